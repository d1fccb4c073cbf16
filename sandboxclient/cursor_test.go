package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// cursorList is one of the lists that can go on from a cursor.
type cursorList struct {
	twin  string // the older name of its items
	start func(ctx context.Context, c *sandboxclient.Client, p paging) iter.Seq2[string, error]
}

type paging struct {
	limit, offset, pageSize *int
	cursor                  *string
}

var cursorLists = map[string]cursorList{
	"/volumes": {"volumes", func(ctx context.Context, c *sandboxclient.Client, p paging) iter.Seq2[string, error] {
		return names(c.Volumes.List(ctx, &sandboxclient.ListVolumesParams{Limit: p.limit, Offset: p.offset, PageSize: p.pageSize, Cursor: p.cursor}),
			func(v *sandboxclient.Volume) string { return v.Name })
	}},
	"/registries": {"registries", func(ctx context.Context, c *sandboxclient.Client, p paging) iter.Seq2[string, error] {
		return names(c.Registries.List(ctx, &sandboxclient.ListRegistriesParams{Limit: p.limit, Offset: p.offset, PageSize: p.pageSize, Cursor: p.cursor}),
			func(v *sandboxclient.Registry) string { return v.Name })
	}},
	"/boxes": {"sandboxes", func(ctx context.Context, c *sandboxclient.Client, p paging) iter.Seq2[string, error] {
		return names(c.List(ctx, &sandboxclient.ListSandboxesParams{Limit: p.limit, Offset: p.offset, PageSize: p.pageSize, Cursor: p.cursor}),
			func(sb *sandboxclient.Sandbox) string { return sb.Name() })
	}},
}

// TestCostsByCursor: this list has no other style, and sends all it was asked.
func TestCostsByCursor(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
		return reply(200, []string{`{"items":[{"lcu":"0.1"}],"next_cursor":"c1"}`, `{"items":[{"lcu":"2"}],"next_cursor":null}`}[n]), nil
	}}
	params := january(0)
	params.ResourceIDs, params.PageSize = []string{"a", "b"}, new(1)
	var got []string
	for cost, err := range client(t, f).Usage.Costs(t.Context(), params) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, cost.LCU)
	}
	if diff := cmp.Diff([]string{"0.1", "2"}, got); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	const query = "page_size=1&resource_ids=a&resource_ids=b&start_time=2026-01-01T00%3A00%3A00Z"
	want := []string{"end_time=2026-02-01T00%3A00%3A00Z&" + query, "cursor=c1&end_time=2026-02-01T00%3A00%3A00Z&" + query}
	if diff := cmp.Diff(want, queries(t, f)); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

// TestCursors: a cursor is followed wherever there is one, empty pages
// included, with the parameters that belong to it.
func TestCursors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		start   paging
		answers []string // twin is the older name of the items
		want    []string
		queries []string
	}{
		"by default": {
			paging{},
			[]string{`{"items":[{"name":"a"}],"twin":[{"name":"a"}],"next_cursor":"c1","offset":1}`, `{"items":[{"name":"b"}],"next_cursor":null}`},
			[]string{"a", "b"},
			[]string{"", "cursor=c1"},
		},
		"pages of a size": {
			paging{pageSize: new(1)},
			[]string{`{"items":[{"name":"a"}],"next_cursor":"c1"}`, `{"items":[{"name":"b"}]}`},
			[]string{"a", "b"},
			[]string{"page_size=1", "cursor=c1&page_size=1"},
		},
		"the older parameters": {
			paging{limit: new(7), offset: new(2)},
			[]string{`{"items":[{"name":"a"}],"next_cursor":"c1","offset":9}`, `{"items":[{"name":"b"}],"next_cursor":null,"offset":0}`},
			[]string{"a", "b"},
			[]string{"limit=7&offset=2", "cursor=c1&page_size=7"},
		},
		"the older members": {
			paging{},
			[]string{`{"items":[],"twin":[{"name":"a"}],"offset":1}`, `{"items":null,"twin":[{"name":"b"}],"offset":0}`},
			[]string{"a", "b"},
			[]string{"", "offset=1"},
		},
		"empty pages": {
			paging{},
			[]string{`{"items":[],"next_cursor":"c1"}`, `{"next_cursor":"c2"}`, `{"items":[{"name":"a"}]}`},
			[]string{"a"},
			[]string{"", "cursor=c1", "cursor=c2"},
		},
		"from a cursor": {
			paging{cursor: new("c0"), offset: new(3)},
			[]string{`{"items":[{"name":"a"}],"next_cursor":"","offset":50}`},
			[]string{"a"},
			[]string{"cursor=c0"},
		},
	}
	for path, l := range cursorLists {
		for name, tt := range tests {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
					return reply(200, strings.ReplaceAll(tt.answers[n], "twin", l.twin)), nil
				}}
				var got []string
				for name, err := range l.start(t.Context(), client(t, f), tt.start) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, name)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.queries, queries(t, f)); diff != "" {
					t.Errorf("queries (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestCursorsInCircles are a protocol error, not a loop without an end, also
// when the circle has more than one page.
func TestCursorsInCircles(t *testing.T) {
	t.Parallel()
	for path, l := range cursorLists {
		for _, start := range []*string{nil, new("c0")} {
			f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
				return reply(200, fmt.Sprintf(`{"items":[{"name":"a"}],"next_cursor":"c%d"}`, n%2)), nil
			}}
			items, failures := 0, 0
			for _, err := range l.start(t.Context(), client(t, f), paging{cursor: start}) {
				switch {
				case err == nil:
					items++
				case errors.Is(err, sandboxclient.ErrProtocol):
					failures++
				default:
					t.Errorf("%s: error %v", path, err)
				}
			}
			if items > 3 || failures != 1 {
				t.Errorf("%s: %d items, %d errors", path, items, failures)
			}
		}
	}
}
