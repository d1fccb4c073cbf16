//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// A program is one official client and the cases for it.
type program struct {
	dir     string   // below testdata
	client  string   // as its registry names it
	version string   // as its lock file pins it
	install []string // what fetches it, in a copy of dir
	run     []string // what runs its cases, there
}

func programs() []program {
	npm := []string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"}
	pip := []string{"sh", "-ec", "python3 -m venv venv; exec venv/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements.txt"}
	node, python := []string{"node", "main.mjs"}, []string{"venv/bin/python", "main.py"}
	return []program{
		{dir: "js1", client: "JavaScript", version: "0.5.9", install: npm, run: node},
		{dir: "js2", client: "JavaScript", version: "0.12.0", install: npm, run: node},
		{dir: "py1", client: "Python", version: "0.7.33", install: pip, run: python},
		{dir: "py2", client: "Python", version: "0.15.0", install: pip, run: python},
	}
}

// A line is what a program says of one case.
type line struct {
	Feature string `json:"feature"`
	Case    string `json:"case"`
	OK      bool   `json:"ok"`
	Error   string `json:"error"`

	Calls   []string `json:"calls"`   // members of the client that the case called
	Members []string `json:"members"` // all that it offers: the last line, which has nothing else
}

// An outcome is what the program of a client said.
type outcome struct {
	lines   []line
	members []string
}

// TestInterop runs the official clients. A client whose registry is out of
// reach is no failure, but said loudly, and then the matrix is not compared.
//
//nolint:paralleltest // a program that drops the connections drops those of all
func TestInterop(t *testing.T) {
	env := environment(t)
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	results := make(map[string]outcome)
	for _, p := range programs() {
		t.Run(p.dir, func(t *testing.T) {
			dir := filepath.Join(work, p.dir)
			out, err := command(t, dir, nil, p.install, 5*time.Minute).CombinedOutput()
			switch {
			case err == nil:
				results[p.dir] = run(t, p, dir, env)
				members(t, p, results[p.dir])
			case unreachable(err, string(out)):
				fmt.Fprintf(os.Stderr, "\n!!! INTEROP: %s %s WAS NOT RUN: cannot install it: %v\n%s\n", p.client, p.version, err, out)
			default:
				t.Errorf("%s %s: install: %v\n%s", p.client, p.version, err, out)
			}
		})
	}
	matrix(t, results)
}

func run(t *testing.T, p program, dir string, env []string) outcome {
	t.Helper()
	cmd := command(t, dir, env, p.run, 10*time.Minute)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", p.client, p.version, err, stderr.String())
	}
	var result outcome
	for text := range bytes.Lines(out) {
		var l line
		err := json.Unmarshal(text, &l)
		if err == nil && l.Members != nil {
			result.members = l.Members
			continue
		}
		if err != nil || l.Case == "" {
			t.Errorf("no result of a case: %q", text)
			continue
		}
		result.lines = append(result.lines, l)
		switch {
		case notOffered(l):
			fmt.Fprintf(os.Stderr, "!!! INTEROP: NOT OFFERED to %s %s: %s, %s: %s\n", p.client, p.version, l.Feature, l.Case, l.Error)
		case !l.OK:
			t.Errorf("%s, %s: %s", l.Feature, l.Case, l.Error)
		}
	}
	if len(result.lines) == 0 {
		t.Errorf("%s %s ran no case\n%s", p.client, p.version, stderr.String())
	}
	return result
}

// notOffered: the server says that it has no such thing. The matrix tells.
func notOffered(l line) bool {
	return !l.OK && (strings.Contains(l.Error, "not implemented") || strings.Contains(l.Error, "HTTP 501"))
}

func command(t *testing.T, dir string, env, args []string, limit time.Duration) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// environment starts what the programs talk to and tells where it is.
func environment(t *testing.T) []string {
	t.Helper()
	address, key := serve(t)
	proxy := newProxy(t, address)
	return []string{
		"INTEROP_ENDPOINT=http://" + proxy.address() + "/v2/sandboxes",
		"INTEROP_SMALL_ENDPOINT=" + serveSmall(t, key),
		"INTEROP_API_KEY=" + key,
		"INTEROP_DROP=" + proxy.control(t),
		"LANGSMITH_TRACING=false", "LANGSMITH_ENDPOINT=", "LANGSMITH_API_KEY=",
		"HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "http_proxy=", "https_proxy=", "all_proxy=",
	}
}

// serve builds and starts sandbox serve, and returns its address and key.
func serve(t *testing.T) (address, key string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sandbox")
	build := command(t, "../..", nil, []string{"go", "build", "-o", binary, "./cmd/sandbox"}, 5*time.Minute)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "serve", "--min-isolation", "process") //nolint:noctx // interrupted below
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for (address == "" || key == "") && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch name {
		case "LANGSMITH_ENDPOINT":
			address = strings.TrimPrefix(value, "http://")
		case "LANGSMITH_API_KEY":
			key = value
		}
	}
	if address == "" || key == "" {
		t.Fatal("sandbox serve did not say where it is")
	}
	return address, key
}

// serveSmall starts a server that has room for one sandbox.
func serveSmall(t *testing.T, key string) string {
	t.Helper()
	_, server := sandboxtest.New(t, sandboxtest.WithConfig(func(c *sandboxserver.Config) {
		c.APIKey, c.Limits.Sandboxes = key, 1
	}))
	return server.Endpoint
}
