// Package examples runs the example programs against a server of their own.
package examples_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// outputs is what each program prints, as a regular expression.
var outputs = map[string]string{
	"agent":      `(?s)-> write_file .*-> run .*<- exit code [12]: .*-> write_file .*<- exit code 0: 6\n.*-> finish there are 6\n`,
	"buildlog":   ` +\d+\.\ds  checking the source\n +\d+\.\ds  compiling 2 lines\n +\d+\.\ds  done\n`,
	"evaluate":   `bc      right\nloop    right\nhangs   took too long\nfails   failed with exit code 3\nwrong   wrong: 3\n`,
	"files":      `(?s).+`,
	"fork":       `sort fruits:\napple\nfig\npear\nsort -r fruits:\npear\nfig\napple\nsort fruits \| head -1:\napple\n`,
	"pool":       `\S+ was ready after \S+\n`,
	"quickstart": `Linux|Darwin`,
	"webservice": `tunnelled: hello from the sandbox\ndialled: hello from the sandbox\n`,
}

func TestExamples(t *testing.T) {
	t.Parallel()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	env := append(os.Environ(), "LANGSMITH_ENDPOINT="+listener.URL, "LANGSMITH_API_KEY="+server.APIKey())
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, main := range mains(t) {
		t.Run(main, func(t *testing.T) {
			t.Parallel()
			want, known := outputs[main]
			if !known {
				t.Fatal("say in this test what it prints")
			}
			var stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), filepath.Join(bin, main))
			cmd.Env, cmd.Dir, cmd.Stderr = env, t.TempDir(), &stderr
			out, err := cmd.Output()
			if err != nil || stderr.Len() > 0 || !regexp.MustCompile("^"+want).Match(out) {
				t.Errorf("%v\n%s%s\nwant %s", err, out, &stderr, want)
			}
		})
	}
}

// mains are the directories with a program.
func mains(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) < len(outputs) {
		t.Fatal(files, err)
	}
	for i, file := range files {
		files[i] = filepath.Dir(file)
	}
	return files
}
