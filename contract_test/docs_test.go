package contract_test

import (
	"bytes"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

var (
	markedPrograms = regexp.MustCompile("(?s)<!-- example: (\\S+) (\\S+) -->\n```go\n(.*?)```\n<!-- /example -->")
	codeBlocks     = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	localLinks     = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	shellSnippets  = regexp.MustCompile("(?s)(<!-- not run: [^\n]+ -->\n)?```sh\n(.*?)```")
)

// manuals are what people read, by file name.
func manuals(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	texts := map[string]string{}
	for _, file := range append(files, filepath.Join("..", "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// TestDocumentedPrograms: every program in the documentation stands in an
// example or a test, which are compiled and run.
func TestDocumentedPrograms(t *testing.T) {
	t.Parallel()
	for name, text := range manuals(t) {
		if rest := markedPrograms.ReplaceAllString(text, ""); strings.Contains(rest, "```go") {
			t.Errorf("%s has a program that no example is named for", name)
		}
		for _, m := range markedPrograms.FindAllStringSubmatch(text, -1) {
			file, function, program := m[1], m[2], m[3]
			source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
			if err != nil {
				t.Fatal(err)
			}
			_, body, found := strings.Cut(string(source), "func "+function+"(")
			if !found {
				t.Fatalf("%s has no %s", file, function)
			}
			body, _, _ = strings.Cut(body, "\nfunc ")
			if !strings.Contains(unindented(body), unindented(program)) {
				t.Errorf("the program of %s is not in %s of %s:\n%s", name, function, file, program)
			}
		}
	}
}

func unindented(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// TestDocumentedLinks: what the documentation links to in this repository is
// there.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	for name, text := range manuals(t) {
		dir := filepath.Join("..", "docs")
		if name == "README.md" {
			dir = ".."
		}
		text = codeBlocks.ReplaceAllString(text, "")
		for _, m := range localLinks.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDocumentedCommands runs the shell snippets of each page, one after the
// other in one shell, with a server and a sandbox called $BOX.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), "../cmd/sandbox")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	texts := manuals(t)
	ran := 0
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		var snippets []string
		for _, m := range shellSnippets.FindAllStringSubmatch(texts[name], -1) {
			if m[1] == "" {
				snippets = append(snippets, m[2])
			}
		}
		if ran += len(snippets); len(snippets) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runScript(t, bin, "set -eu\n"+strings.Join(snippets, ""))
		})
	}
	if ran < 3 {
		t.Errorf("only %d snippets were found", ran)
	}
}

func runScript(t *testing.T, bin, script string) {
	t.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	defer func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	env := map[string]string{"LANGSMITH_ENDPOINT": listener.URL, "LANGSMITH_API_KEY": server.APIKey()}
	c, err := sandboxclient.New(sandboxclient.WithEnvironment(func(key string) string { return env[key] }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	box := ready(t, c)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "XDG_STATE_HOME=",
		"BOX="+box.Name(), "LANGSMITH_ENDPOINT="+listener.URL, "LANGSMITH_API_KEY="+server.APIKey())
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		t.Errorf("%v\n%s\n%s", err, script, &output)
	}
}
