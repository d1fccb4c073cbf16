package sandboxserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestLists(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("zeta", map[string]any{"image": "a"})
	b.template("alpha", map[string]any{"image": "b"})
	b.want(201, "POST", "/volumes", `{"name":"v1","size":"1"}`)
	b.want(201, "POST", "/volumes", `{"name":"v2","size":"1"}`)
	b.want(201, "POST", "/pools", `{"name":"p-one","template_name":"zeta","replicas":1}`)
	b.want(201, "POST", "/pools", `{"name":"p-two","template_name":"zeta","replicas":1}`)
	b.box(map[string]any{"name": "m", "template_name": "zeta"})
	b.box(map[string]any{"name": "a1", "template_name": "alpha"})
	b.box(map[string]any{"name": "z"})
	b.box(map[string]any{"name": "a2"})
	b.want(204, "POST", "/boxes/a1/stop", nil)
	for _, c := range []struct {
		path, want string
		offset     int
	}{
		{"/boxes", "a2 z a1 m", 0},
		{"/boxes?sort_direction=asc", "m a1 z a2", 0},
		{"/boxes?sort_by=name", "z m a2 a1", 0},
		{"/boxes?sort_by=name&sort_direction=asc", "a1 a2 m z", 0},
		{"/boxes?sort_by=status&sort_direction=asc", "m z a2 a1", 0},
		{"/boxes?sort_by=template_name&sort_direction=asc", "z a2 a1 m", 0},
		{"/boxes?sort_by=template_name", "m a1 a2 z", 0},
		{"/boxes?name_contains=a", "a2 a1", 0},
		{"/boxes?name_contains=A", "", 0},
		{"/boxes?status=stopped", "a1", 0},
		{"/boxes?status=failed", "", 0},
		{"/boxes?template_name=zeta", "m", 0},
		{"/boxes?limit=3", "a2 z a1", 3},
		{"/boxes?limit=3&offset=3", "m", 0},
		{"/boxes?limit=2&offset=2", "a1 m", 0},
		{"/boxes?offset=4", "", 0},
		{"/boxes?offset=9223372036854775807", "", 0},
		{"/boxes?limit=9223372036854775807&offset=3", "m", 0},
		{"/boxes?unknown=1", "a2 z a1 m", 0},
		{"/templates", "alpha zeta", 0},
		{"/templates?sort_by=name&sort_direction=asc", "alpha zeta", 0},
		{"/templates?sort_by=image&sort_direction=asc", "zeta alpha", 0},
		{"/templates?name_contains=z&limit=1", "zeta", 0},
		{"/pools", "p-two p-one", 0},
		{"/pools?name_contains=one", "p-one", 0},
		{"/pools?limit=1", "p-two", 1},
		{"/volumes", "v2 v1", 0},
		{"/volumes?limit=1&offset=1", "v1", 0},
	} {
		a := b.want(200, "GET", c.path, nil)
		list := decode[struct {
			Sandboxes []gen.Sandbox
			Templates []gen.Template
			Pools     []gen.Pool
			Volumes   []gen.Volume
			Offset    int
		}](t, a)
		var names []string
		for _, s := range list.Sandboxes {
			names = append(names, s.Name)
			if s.DataplaneURL == "" {
				t.Errorf("%s: no dataplane_url", s.Name)
			}
		}
		for _, x := range list.Templates {
			names = append(names, x.Name)
		}
		for _, x := range list.Pools {
			names = append(names, x.Name)
		}
		for _, x := range list.Volumes {
			names = append(names, x.Name)
		}
		if got := strings.Join(names, " "); got != c.want || list.Offset != c.offset {
			t.Errorf("%s: %q offset %d, want %q offset %d", c.path, got, list.Offset, c.want, c.offset)
		}
	}
}

func TestListDefaultLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 51 {
		b.want(201, "POST", "/templates", fmt.Sprintf(`{"name":"t%d","image":"i"}`, i))
	}
	list := decode[gen.TemplateList](t, b.want(200, "GET", "/templates", nil))
	if len(list.Templates) != 50 || list.Offset != 50 {
		t.Errorf("%d templates, offset %d", len(list.Templates), list.Offset)
	}
}

func TestListRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for query, places := range map[string][]string{
		"limit=0":                               {"query.limit"},
		"limit=x":                               {"query.limit"},
		"limit=":                                {"query.limit"},
		"offset=-1":                             {"query.offset"},
		"limit=9223372036854775808":             {"query.limit"},
		"status=gone":                           {"query.status"},
		"sort_by=age&sort_direction=up&limit=0": {"query.limit", "query.sort_by", "query.sort_direction"},
	} {
		a := b.call("GET", "/boxes?"+query, nil)
		if a.status != 422 {
			t.Errorf("%s: %+v", query, a)
			continue
		}
		if got := a.places(t); !slices.Equal(got, places) {
			t.Errorf("%s: %v, want %v", query, got, places)
		}
	}
	b.refused(b.call("GET", "/boxes?sort_by=age", nil), 422, "", "sort_by must be one of name status created_at template_name")
}

// TestCursors: pages by cursor hold everything once, in order, also when
// entries come and go between two of them.
func TestCursors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 25 {
		b.want(201, "POST", "/registries", fmt.Sprintf(`{"name":"r%d","url":"ghcr.io"}`, i))
	}
	next := func(query string) ([]string, gen.RegistryList) {
		list := decode[gen.RegistryList](t, b.want(200, "GET", "/registries?"+query, nil))
		var names []string
		for i, r := range list.Items {
			names = append(names, r.Name)
			if list.Registries[i].Name != r.Name {
				t.Errorf("%s: items and registries differ", query)
			}
		}
		return names, list
	}
	names, list := next("page_size=2")
	if !slices.Equal(names, []string{"r24", "r23"}) || list.NextCursor == "" || list.Offset != 2 {
		t.Fatalf("first page %v, next %q or %d", names, list.NextCursor, list.Offset)
	}
	b.want(201, "POST", "/registries", `{"name":"new","url":"ghcr.io"}`)
	b.want(204, "DELETE", "/registries/r23", nil)
	b.want(204, "DELETE", "/registries/r22", nil)
	names, list = next("page_size=2&cursor=" + list.NextCursor)
	if !slices.Equal(names, []string{"r21", "r20"}) || list.NextCursor == "" || list.Offset != 0 {
		t.Fatalf("second page %v, next %q or %d", names, list.NextCursor, list.Offset)
	}
	names, list = next("cursor=" + list.NextCursor)
	if len(names) != 20 || names[0] != "r19" || names[19] != "r0" || list.NextCursor != "" {
		t.Errorf("a page of the default size %v, next %q", names, list.NextCursor)
	}
	if names, _ := next(""); len(names) != 24 {
		t.Errorf("%d registries without parameters", len(names))
	}
	if names, list := next("name_contains=none"); len(names) != 0 || list.Items == nil || list.Registries == nil {
		t.Errorf("an empty page is %+v", list)
	}
	for query, place := range map[string]string{
		"cursor=": "query.cursor", "cursor=!": "query.cursor", "cursor=e30": "query.cursor", "page_size=0": "query.page_size", "page_size=101": "query.page_size",
	} {
		a := b.want(422, "GET", "/registries?"+query, nil)
		if got := a.places(t); !slices.Equal(got, []string{place}) {
			t.Errorf("%s: %v", query, got)
		}
	}
}
