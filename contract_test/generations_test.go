package contract_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	gocmp "github.com/google/go-cmp/cmp"
)

var writeTable = flag.Bool("update", false, "write the table of docs/generations.md")

// partly is what the local server refuses of operations that it has.
var partly = map[string]string{
	"createVolume":   "sizes count and do not limit",
	"createTemplate": "images are pulled if it is configured",
	"createSandbox":  "without bucket mounts, provider credentials, saved memory and delegation",
	"updateSandbox":  "without provider credentials",
	"createSnapshot": "images are pulled if it is configured",
	"captureSandbox": "without memory and images of a Docker inside",
	"createRegistry": "without AWS roles",
	"updateRegistry": "without AWS roles",
}

// streams are no operations, and belong in the table all the same.
var streams = []string{
	"| `GET {dataplane_url}/execute/ws` | yes | yes | `Sandbox.Run`, `Sandbox.Command`, `Sandbox.Shell`, `Sandbox.Attach` | yes |",
	"| `GET {dataplane_url}/tunnel` | yes | yes | `Sandbox.DialContext`, `Sandbox.Tunnel` | yes |",
}

// TestGenerationsTable: the table of what holds where is that of the contract,
// of the facade's rows, and of what the local server refuses.
func TestGenerationsTable(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- operations -->\n", "<!-- /operations -->"
	name := filepath.Join("..", "docs", "generations.md")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), begin)
	is, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", name)
	}
	want := "\n" + strings.Join(generationsTable(specOf(t)), "\n") + "\n\n"
	if *writeTable {
		if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(strings.Split(is, "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("table; go test ./contract_test -run TestGenerationsTable -update writes it (-is +should be):\n%s", diff)
	}
}

func generationsTable(doc *openapi3.T) []string {
	lines := []string{"| Operation | 1 | 2 | SDK | Local server |", "|---|---|---|---|---|"}
	ops := operations(doc)
	methods := []string{"POST", "GET", "PATCH", "DELETE"}
	order := slices.SortedFunc(maps.Keys(ops), func(a, b string) int {
		x, y := ops[a], ops[b]
		return cmp.Or(
			tagIndex(doc, x.Operation)-tagIndex(doc, y.Operation), cmp.Compare(x.Path, y.Path),
			slices.Index(methods, x.Method)-slices.Index(methods, y.Method),
		)
	})
	for _, id := range order {
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s | %s |",
			address(ops[id]), holds(ops[id].Operation, 1), holds(ops[id].Operation, 2), facadeOf(id), localOf(id)))
	}
	return append(lines, streams...)
}

func tagIndex(doc *openapi3.T, op *openapi3.Operation) int {
	return slices.IndexFunc(doc.Tags, func(tag *openapi3.Tag) bool { return tag.Name == op.Tags[0] })
}

func address(route *routers.Route) string {
	base := ""
	if slices.Contains([]string{"execute", "upload", "download"}, route.Operation.Tags[0]) || route.PathItem.Servers != nil {
		base = "{dataplane_url}"
	}
	if strings.HasPrefix(route.Path, "/auth/") {
		base = "{host}"
	}
	return route.Method + " " + base + route.Path
}

func holds(op *openapi3.Operation, generation float64) string {
	if generations, ok := op.Extensions["x-generations"].([]any); ok && slices.Contains(generations, any(generation)) {
		return "yes"
	}
	return ""
}

func facadeOf(id string) string {
	if rawOnly[id] != "" {
		return "`Client.API`"
	}
	var names []string
	for _, row := range contractRows {
		method, _, _ := strings.Cut(row.method, " ")
		if name := "`" + method + "`"; row.op == id && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func localOf(id string) string {
	if reason := refused[id]; reason != "" {
		return "no: " + reason
	}
	if reason := partly[id]; reason != "" {
		return "yes, " + reason
	}
	return "yes"
}
