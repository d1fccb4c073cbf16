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
