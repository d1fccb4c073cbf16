package contract_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADMEPrograms: every program of the README stands in an Example, which
// the tests compile and run.
func TestREADMEPrograms(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	marked := regexp.MustCompile("(?s)<!-- example: (\\S+) (\\S+) -->\n```go\n(.*?)```\n<!-- /example -->").FindAllSubmatch(readme, -1)
	if len(marked) < 2 {
		t.Fatalf("found %d programs in the README, want at least 2", len(marked))
	}
	for _, m := range marked {
		file, function, program := string(m[1]), string(m[2]), string(m[3])
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
			if err != nil {
				t.Fatal(err)
			}
			_, body, found := strings.Cut(string(source), "func "+function+"() {")
			if !found {
				t.Fatalf("%s has no %s", file, function)
			}
			body, _, _ = strings.Cut(body, "\nfunc ")
			if !strings.Contains(unindented(body), unindented(program)) {
				t.Errorf("the README's program is not in %s of %s:\n%s", function, file, program)
			}
		})
	}
}

func unindented(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
