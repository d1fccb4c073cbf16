package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// lister is one of the lists, by the names of its items.
type lister struct {
	member string
	start  func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error]
}

var listers = map[string]lister{
	"/volumes": {"volumes", func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error] {
		return names(c.Volumes.List(ctx, &sandboxclient.ListVolumesParams{Limit: limit, Offset: offset}), func(v *sandboxclient.Volume) string { return v.Name })
	}},
	"/templates": {"templates", func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error] {
		return names(c.Templates.List(ctx, &sandboxclient.ListTemplatesParams{Limit: limit, Offset: offset}), func(v *sandboxclient.Template) string { return v.Name })
	}},
	"/pools": {"pools", func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error] {
		return names(c.Pools.List(ctx, &sandboxclient.ListPoolsParams{Limit: limit, Offset: offset}), func(v *sandboxclient.Pool) string { return v.Name })
	}},
	"/registries": {"registries", func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error] {
		return names(c.Registries.List(ctx, &sandboxclient.ListRegistriesParams{Limit: limit, Offset: offset}), func(v *sandboxclient.Registry) string { return v.Name })
	}},
	"/boxes": {"sandboxes", func(ctx context.Context, c *sandboxclient.Client, limit, offset *int) iter.Seq2[string, error] {
		return names(c.List(ctx, &sandboxclient.ListSandboxesParams{Limit: limit, Offset: offset}), func(v *sandboxclient.Sandbox) string { return v.Name() })
	}},
}

// names are those of a list's items. It fails the contract of such a list as
// an error of its own: an item or an error, not both, and an error only last.
func names[T any](list iter.Seq2[*T, error], name func(*T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		failed := false
		for item, err := range list {
			switch {
			case failed:
				panic("something follows the error")
			case (item == nil) != (err != nil):
				panic(fmt.Sprintf("item %v with error %v", item, err))
			case err != nil:
				failed = true
				if !yield("", err) {
					return
				}
			case !yield(name(item), nil):
				return
			}
		}
	}
}

// paged is a server of a list of n items that gives at most two at a time and
// fails at the offset broken.
func paged(member string, n, broken int) *fake {
	return &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		offset := 0
		_, _ = fmt.Sscan(req.URL.Query().Get("offset"), &offset)
		if offset == broken {
			return reply(500, "{}"), nil
		}
		var items []string
		for i := offset; i < min(offset+2, n); i++ {
			items = append(items, fmt.Sprintf(`{"name":"n%d"}`, i))
		}
		next := offset + 2
		if next >= n {
			next = 0
		}
		return reply(200, fmt.Sprintf(`{%q:[%s],"offset":%d}`, member, strings.Join(items, ","), next)), nil
	}}
}

func queries(t *testing.T, f *fake) (all []string) {
	t.Helper()
	for _, r := range f.requests() {
		q, err := url.ParseQuery(r.query)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, q.Encode())
	}
	return all
}

// TestLists: pages are fetched as the caller goes on, an error comes once and
// last, and a list can be gone through again.
func TestLists(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limit, offset *int
		stop          int // items after which the caller has enough; 0 is never
		broken        int // offset at which the server fails; -1 is never
		want          []string
		failed        bool
		queries       []string
	}{
		"all":            {nil, nil, 0, -1, []string{"n0", "n1", "n2", "n3", "n4"}, false, []string{"", "offset=2", "offset=4"}},
		"from an offset": {nil, new(3), 0, -1, []string{"n3", "n4"}, false, []string{"offset=3"}},
		"in pages":       {new(7), new(1), 0, -1, []string{"n1", "n2", "n3", "n4"}, false, []string{"limit=7&offset=1", "limit=7&offset=3"}},
		"the first":      {nil, nil, 1, -1, []string{"n0"}, false, []string{""}},
		"one page":       {nil, nil, 2, -1, []string{"n0", "n1"}, false, []string{""}},
		"into the next":  {nil, nil, 3, -1, []string{"n0", "n1", "n2"}, false, []string{"", "offset=2"}},
		"broken":         {nil, nil, 0, 2, []string{"n0", "n1"}, true, []string{"", "offset=2"}},
		"broken at once": {nil, nil, 0, 0, nil, true, []string{""}},
		"behind the end": {nil, new(9), 0, -1, nil, false, []string{"offset=9"}},
	}
	for path, l := range listers {
		for name, tt := range tests {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				f := paged(l.member, 5, tt.broken)
				list := l.start(t.Context(), client(t, f), tt.limit, tt.offset)
				if len(f.requests()) != 0 {
					t.Error("something was fetched before it was asked for")
				}
				for round := range 2 {
					var got []string
					failed := false
					for name, err := range list {
						if err != nil {
							failed = errors.Is(err, sandboxclient.ErrServer)
							continue
						}
						if got = append(got, name); len(got) == tt.stop {
							break
						}
					}
					if diff := cmp.Diff(tt.want, got); diff != "" || failed != tt.failed {
						t.Errorf("round %d: failed: %t, want %t; items (-want +got):\n%s", round, failed, tt.failed, diff)
					}
				}
				if diff := cmp.Diff(append(tt.queries, tt.queries...), queries(t, f)); diff != "" {
					t.Errorf("queries of two rounds (-want +got):\n%s", diff)
				}
				for _, r := range f.requests() {
					if r.method != http.MethodGet || r.path != "/v2/sandboxes"+path {
						t.Errorf("sent %s %s", r.method, r.path)
					}
				}
			})
		}
	}
}

// TestPagesThatDoNotAdvance are a protocol error, not a loop without an end.
func TestPagesThatDoNotAdvance(t *testing.T) {
	t.Parallel()
	for path, l := range listers {
		for next, requests := range map[int]int{-1: 1, 3: 1, 4: 1, 5: 2} {
			f := &fake{answer: always(200, fmt.Sprintf(`{%q:[{"name":"a"}],"offset":%d}`, l.member, next))}
			items, failures := 0, 0
			for _, err := range l.start(t.Context(), client(t, f), nil, new(4)) {
				switch {
				case err == nil:
					items++
				case errors.Is(err, sandboxclient.ErrProtocol):
					failures++
				default:
					t.Errorf("%s to %d: error %v", path, next, err)
				}
			}
			if items != requests || failures != 1 || len(f.requests()) != requests {
				t.Errorf("%s from 4 to %d: %d items, %d errors, %d requests; want %d, 1, %d", path, next, items, failures, len(f.requests()), requests, requests)
			}
		}
	}
}

// TestListsOfEarlyServers, which name no next offset, and of odd ones, which
// leave the list out.
func TestListsOfEarlyServers(t *testing.T) {
	t.Parallel()
	for path, l := range listers {
		for body, want := range map[string]int{fmt.Sprintf(`{%q:[{"name":"a"}]}`, l.member): 1, fmt.Sprintf(`{%q:null,"offset":null}`, l.member): 0, `{}`: 0} {
			f := &fake{answer: always(200, body)}
			items := 0
			for _, err := range l.start(t.Context(), client(t, f), nil, nil) {
				if err != nil {
					t.Errorf("%s %s: %v", path, body, err)
				}
				items++
			}
			if items != want || len(f.requests()) != 1 {
				t.Errorf("%s %s: %d items after %d requests, want %d", path, body, items, len(f.requests()), want)
			}
		}
	}
}

// TestListIsCancelled between two pages.
func TestListIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := paged("volumes", 5, -1)
	var got []string
	for v, err := range client(t, f).Volumes.List(ctx, nil) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want cancelled", err)
			}
			continue
		}
		got = append(got, v.Name)
		cancel()
	}
	if len(got) != 2 || len(f.requests()) != 1 {
		t.Errorf("items %v after %d requests; want the first page", got, len(f.requests()))
	}
}

// TestFilters of lists are sent as they are.
func TestFilters(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, "{}")}
	c := client(t, f)
	err := errors.Join(
		last(c.Templates.List(t.Context(), &sandboxclient.ListTemplatesParams{
			NameContains: new("a&b"), SortBy: new(sandboxclient.TemplateSortByImage), SortDirection: new(sandboxclient.SortAscending),
		})),
		last(c.Pools.List(t.Context(), &sandboxclient.ListPoolsParams{NameContains: new("")})),
		last(c.List(t.Context(), &sandboxclient.ListSandboxesParams{
			NameContains: new("a"), Status: new(sandboxclient.StatusStopped), TemplateName: new("t"), Limit: new(7),
			SortBy: new(sandboxclient.SandboxSortByTemplateName), SortDirection: new(sandboxclient.SortDescending),
		})),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"name_contains=a%26b&sort_by=image&sort_direction=asc",
		"name_contains=",
		"limit=7&name_contains=a&sort_by=template_name&sort_direction=desc&status=stopped&template_name=t",
	}
	if diff := cmp.Diff(want, queries(t, f)); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}
