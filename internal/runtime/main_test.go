//go:build unix

package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// helpers are what the test program does instead of testing when it is
// started again by a test.
var helpers = map[string]func() error{}

const helperKey = "RUNTIME_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperKey); name != "" {
		if err := helpers[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The poller's own descriptors come with the first use.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	os.Exit(m.Run())
}

// timeout bounds what should not take long; the race detector does.
const timeout = 60 * time.Second

// mode is a kind of runtime under test.
type mode struct {
	name string
	open func(Config) (Runtime, error)
}

// everyMode runs a test in each mode that this host has.
func everyMode(t *testing.T, test func(t *testing.T, rt Runtime)) {
	t.Helper()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) { test(t, m.start(t)) })
	}
}

// start opens a runtime, and checks at the end that it left nothing behind.
func (m mode) start(t *testing.T) Runtime {
	t.Helper()
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "boxes")
	rt, err := m.open(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("directory is left: %v", err)
		}
		if left := cgroupsIn(dir); len(left) > 0 {
			t.Errorf("cgroups are left: %q", left)
		}
	})
	return rt
}

// noLeaks compares what the process holds before and after a test.
func noLeaks(t *testing.T) {
	t.Helper()
	var before held
	eventually(t, "other sandboxes removed", func() error {
		before = holdings()
		if strings.Contains(before.descriptors, trashDir) {
			return errors.New(before.descriptors)
		}
		return nil
	})
	t.Cleanup(func() {
		eventually(t, "nothing left behind", func() error {
			after := holdings()
			// What was about to end when the test began does not count.
			after.goroutines = max(after.goroutines, before.goroutines)
			if after != before {
				return fmt.Errorf("before %+v, after %+v\n%s", before, after, stacks())
			}
			return nil
		})
	})
}

const trashDir = "/trash"

type held struct {
	goroutines, children, mounts int
	descriptors                  string
}

func holdings() held {
	h := held{goroutines: goruntime.NumGoroutine()}
	hostHoldings(&h)
	return h
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:goruntime.Stack(buf, true)])
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(pause)
	}
}

func create(t *testing.T, rt Runtime, spec Spec) Sandbox {
	t.Helper()
	if spec.ID == "" {
		spec.ID = "box"
	}
	box, err := rt.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// job is a started command with its output.
type job struct {
	Process
	output *os.File
}

func start(t *testing.T, box Sandbox, cmd Command) job {
	t.Helper()
	ours, theirs, err := OutputPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	defer theirs.Close()
	cmd.Stdout, cmd.Stderr = theirs, theirs
	process, err := box.Start(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return job{process, ours}
}

func shell(script string) Command { return Command{Args: []string{"/bin/sh", "-c", script}} }

// waitEnd waits for the command.
func (j job) waitEnd(t *testing.T) ExitStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	status, err := j.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// readAll reads until every process that has the output is gone.
func (j job) readAll(t *testing.T) string {
	t.Helper()
	if err := j.output.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(j.output)
	if err != nil {
		t.Fatalf("read output: %v, have %q", err, data)
	}
	return string(data)
}

// readLine reads one line of output, as the sign that a script has got there.
func (j job) readLine(t *testing.T) {
	t.Helper()
	if err := j.output.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); line = append(line, b...) {
		if _, err := j.output.Read(b); err != nil {
			t.Fatalf("read line: %v, have %q", err, line)
		}
	}
}

// run runs a script and returns its output, which has to come with code 0.
func run(t *testing.T, box Sandbox, script string) string {
	t.Helper()
	j := start(t, box, shell(script))
	output := j.readAll(t)
	if status := j.waitEnd(t); status.Code != 0 {
		t.Fatalf("%s: %+v\n%s", script, status, output)
	}
	return strings.TrimSpace(output)
}

func mustWrite(t *testing.T, box Sandbox, name, text string) {
	t.Helper()
	file, err := box.OpenFile(t.Context(), name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, box Sandbox, name string) string {
	t.Helper()
	file, err := box.OpenFile(t.Context(), name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// inside is the path of a sandbox's file for its commands.
func inside(box Sandbox, name string) string {
	prefix, _ := strings.CutSuffix(box.Home(), "/home/user")
	return prefix + name
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// ownKernel reports whether sandboxes have a kernel of their own: this machine
// does not see their named pipes, and they not its holes in files.
func ownKernel(rt Runtime) bool { return rt.Isolation() == IsolationOCI }

// layersOf returns the directory of a runtime or of a sandbox's.
func layersOf(v any) *layers {
	type layered interface{ base() *layers }
	return v.(layered).base()
}
