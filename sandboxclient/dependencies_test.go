package sandboxclient_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/langsandbox/sandbox-go"

// goList is the sorted set of what go list prints for a package and all that it
// links.
func goList(t *testing.T, format, pkg string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, pkg)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, problem.String())
	}
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
}

// TestDependencies: what a program gets with this package, module by module. A
// new one is a decision; there are at most six.
func TestDependencies(t *testing.T) {
	t.Parallel()
	got := goList(t, "{{with .Module}}{{.Path}}{{end}}", ".")
	want := []string{
		"github.com/apapsch/go-jsonmerge/v2",
		"github.com/coder/websocket",
		"github.com/google/uuid",
		module,
		"github.com/oapi-codegen/runtime",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("linked modules (-want +got):\n%s", diff)
	}
	if others := len(got) - 1; others > 6 {
		t.Errorf("%d third-party modules, more than 6", others)
	}
}

// TestTwoEnds: client and server know the contract, not each other, and the
// client carries no validator of the contract.
func TestTwoEnds(t *testing.T) {
	t.Parallel()
	for pkg, banned := range map[string][]string{
		".":                {"/sandboxserver", "/internal/genserver", "/internal/runtime", "/internal/sandboxagent", "/sandboxtest", "/cmd"},
		"../sandboxserver": {"/sandboxclient", "/internal/transport", "/sandboxtest", "/cmd"},
	} {
		linked := goList(t, "{{.ImportPath}}", pkg)
		if !slices.Contains(linked, module+"/"+map[string]string{".": "sandboxclient", "../sandboxserver": "sandboxserver"}[pkg]) {
			t.Fatalf("go list of %s knows nothing of it", pkg)
		}
		for _, path := range linked {
			for _, b := range banned {
				if path == module+b || strings.HasPrefix(path, module+b+"/") {
					t.Errorf("%s links %s", pkg, path)
				}
			}
			if pkg == "." && strings.HasPrefix(path, "github.com/getkin/kin-openapi") {
				t.Errorf("the client links %s", path)
			}
		}
	}
}
