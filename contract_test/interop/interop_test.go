//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A program is one official client and the cases for it.
type program struct {
	dir     string     // below testdata
	client  string     // as its registry names it
	version string     // as its lock file pins it
	install []string   // what fetches it, in a copy of dir
	run     [][]string // what runs its cases, there, side by side
}

func programs() []program {
	npm := []string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"}
	pip := []string{"sh", "-ec", "python3 -m venv venv; exec venv/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements.txt"}
	node := [][]string{{"node", "main.mjs"}}
	python := [][]string{{"venv/bin/python", "main.py", "sync"}, {"venv/bin/python", "main.py", "async"}}
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
	Kind    string `json:"kind"` // of two clients that a package has: sync or async
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Absent  bool   `json:"absent"` // it was not run: this machine has not what it needs

	Seconds float64  `json:"seconds"`
	Calls   []string `json:"calls"`   // members of the client that the case called
	Members []string `json:"members"` // all that it offers: the last line, which has nothing else
}

// An outcome is what the program of a client said.
type outcome struct {
	lines   []line
	members []string
	absent  bool // cases were not run here
}

// TestInterop runs the official clients. A client whose registry is out of
// reach is no failure, but said loudly, and then the matrix is not compared.
func TestInterop(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	results := make(map[string]outcome)
	t.Run("clients", func(t *testing.T) {
		for _, p := range programs() {
			t.Run(p.dir, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(work, p.dir)
				out, err := command(t, dir, nil, p.install, 5*time.Minute).CombinedOutput()
				switch {
				case err == nil:
					result := runAll(t, p, dir, m)
					members(t, p, result)
					mu.Lock()
					defer mu.Unlock()
					results[p.dir] = result
				case unreachable(err, string(out)):
					fmt.Fprintf(os.Stderr, "\n!!! INTEROP: %s %s WAS NOT RUN: cannot install it: %v\n%s\n", p.client, p.version, err, out)
				default:
					t.Errorf("%s %s: install: %v\n%s", p.client, p.version, err, out)
				}
			})
		}
	})
	matrix(t, results)
}

// runAll runs all that a program consists of.
func runAll(t *testing.T, p program, dir string, m *machine) outcome {
	t.Helper()
	parts := make([]outcome, len(p.run))
	var all sync.WaitGroup
	for i, args := range p.run {
		cmd := command(t, dir, m.environment(t), args, 5*time.Minute)
		all.Go(func() { parts[i] = run(t, p, cmd) })
	}
	all.Wait()
	var whole outcome
	for _, part := range parts {
		whole.lines = append(whole.lines, part.lines...)
		whole.members = part.members
		whole.absent = whole.absent || part.absent
	}
	return whole
}

func run(t *testing.T, p program, cmd *exec.Cmd) outcome {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %s: %v", p.client, p.version, err)
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
		case l.Absent:
			fmt.Fprintf(os.Stderr, "!!! INTEROP: NOT RUN HERE for %s %s: %s, %s %s\n", p.client, p.version, l.Feature, l.Case, l.Kind)
			result.absent = true
		case l.OK:
			t.Logf("%4.1f s: %s, %s %s", l.Seconds, l.Feature, l.Case, l.Kind)
		default:
			t.Errorf("%s, %s %s: %s", l.Feature, l.Case, l.Kind, l.Error)
		}
	}
	if len(result.lines) == 0 || result.members == nil {
		t.Errorf("%s %s did not come to its end", p.client, p.version)
	}
	if t.Failed() {
		t.Logf("%s", &stderr)
	}
	return result
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
