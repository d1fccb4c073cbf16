package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// buffer is a buffer that a test may look into while it is written.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// mustExit waits for a program to end with a code.
func mustExit(t *testing.T, cmd *exec.Cmd, code int, stderr fmt.Stringer) {
	t.Helper()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; stderr: %s", got, code, stderr)
	}
}

// start starts the command with pipes.
func start(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out *os.File, stderr *buffer) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	stderr = new(buffer)
	cmd.Stdout, cmd.Stderr = w, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return in, out, stderr
}

// TestStreams: what the command prints is there before it ends, and what it is
// sent before the input ends.
func TestStreams(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "run", "-i", "--", "sh", "-c", "echo question; read answer; echo got $answer; cat; exit 4")
	in, out, stderr := start(t, cmd)
	lines := bufio.NewReader(out)
	say := func(text string) {
		if _, err := io.WriteString(in, text); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
	}
	expect("question\n")
	say("forty\n")
	expect("got forty\n")
	say("two\n")
	expect("two\n")
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	mustExit(t, cmd, 4, stderr)
	mustBeEmpty(t, temp)
}

// TestInput: standard input is read on request only, and one that stays open
// does not keep the program.
func TestInput(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		input  string
		stdout string
		stderr string
		code   int
	}{
		"is the end of the file":  {args: []string{"--", "cat"}, input: "not read"},
		"may stay open":           {args: []string{"-i", "--", "head", "-n1"}, input: "line\n", stdout: "line\n"},
		"may not be wanted":       {args: []string{"-i", "--", "true"}},
		"must be text":            {args: []string{"-i", "--", "cat"}, input: "\xff\xfe\x00\n", stderr: "base64", code: exitFailed},
		"is no terminal":          {args: []string{"-t", "--", "cat"}, stderr: "--tty needs a terminal", code: exitFailed},
		"is no terminal with -it": {args: []string{"-it", "--", "cat"}, stderr: "--tty needs a terminal", code: exitFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, temp := command(t, append([]string{"run"}, tt.args...)...)
			in, out, stderr := start(t, cmd)
			defer in.Close()
			if _, err := io.WriteString(in, tt.input); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(out)
			if err != nil || string(got) != tt.stdout {
				t.Errorf("stdout %q, %v, want %q", got, err, tt.stdout)
			}
			mustExit(t, cmd, tt.code, stderr)
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stderr %q does not contain %q", stderr, tt.stderr)
			}
			mustBeEmpty(t, temp)
		})
	}
}

// TestInputOfAnyLength goes there and back through buffers of all sizes.
func TestInputOfAnyLength(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "run", "-i", "--", "cat")
	in, out, stderr := start(t, cmd)
	text := strings.Repeat("0123456789 äöü € 𝄞\n", 100_000)
	go func() {
		_, _ = io.WriteString(in, text)
		_ = in.Close()
	}()
	got, err := io.ReadAll(out)
	if err != nil || string(got) != text {
		t.Errorf("%d bytes of %d came back, or others: %v", len(got), len(text), err)
	}
	mustExit(t, cmd, 0, stderr)
	mustBeEmpty(t, temp)
}

// TestOutputClosed: a reader that has seen enough ends it all, and silently.
func TestOutputClosed(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "run", "--", "yes")
	_, out, stderr := start(t, cmd)
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	mustExit(t, cmd, 128+int(syscall.SIGPIPE), stderr)
	if said := strings.TrimPrefix(strings.TrimSuffix(stderr.String(), "\n"), "sandbox: "); said != "" && said != noIsolation && said != fencedRoot {
		t.Errorf("stderr %q", said)
	}
	mustBeEmpty(t, temp)
}

// TestOneFile: output to one file is written by one writer, in its order.
func TestOneFile(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "both"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	again, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var c sandboxclient.Cmd
	(&app{out: f, err: again}).connectOutput(&c)
	if c.Stdout != c.Stderr {
		t.Error("one file, two writers")
	}
	(&app{out: f, err: os.Stderr}).connectOutput(&c)
	if c.Stdout == c.Stderr {
		t.Error("two files, one writer")
	}
}

// onServer is a command against a server of this process, whose requests go
// through a filter first.
func onServer(t *testing.T, filter func(next http.Handler) http.Handler, args ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := command(t, args...)
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	h := httptest.NewServer(filter(server))
	t.Cleanup(h.Close)
	cmd.Env = append(cmd.Env, "LANGSMITH_ENDPOINT="+h.URL, "LANGSMITH_API_KEY="+server.APIKey())
	return cmd
}

// TestSecondSignal: when the deletion takes too long, another Ctrl-C ends the
// program, which says what may be left.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	cmd := onServer(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		})
	}, "run", "--", "sh", "-c", "echo ready; sleep 1000")
	_, out, stderr := start(t, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err, stderr)
	}
	interrupt := func() {
		t.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	interrupt() // is the same, as that of timeout(1)
	waitFor(t, "the notice", func() bool { return strings.Contains(stderr.String(), "once more") })
	interrupt()
	mustExit(t, cmd, 130, stderr)
	if !strings.Contains(stderr.String(), "sandbox ephemeral-") || !strings.Contains(stderr.String(), "may be left") {
		t.Errorf("stderr %q does not name what is left", stderr)
	}
}

// TestDeletionRefused: the exit code stays the command's, unless that was a
// success.
func TestDeletionRefused(t *testing.T) {
	t.Parallel()
	for script, code := range map[string]int{"exit 3": 3, "exit 0": exitFailed} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			cmd := onServer(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodDelete {
						http.Error(w, "{}", http.StatusForbidden)
						return
					}
					next.ServeHTTP(w, r)
				})
			}, "run", "--", "sh", "-c", script)
			_, _, stderr := start(t, cmd)
			mustExit(t, cmd, code, stderr)
			if !strings.Contains(stderr.String(), "may be left") {
				t.Errorf("stderr %q does not name what is left", stderr)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	interrupt := signalError{syscall.SIGINT}
	lost := &sandboxclient.DisconnectError{ID: "id-1", Err: io.ErrUnexpectedEOF}
	tests := map[string]struct {
		signal error
		err    error
		code   int
		stderr []string // empty for silence
	}{
		"exit code":     {nil, &sandboxclient.ExitError{Code: 3}, 3, nil},
		"no exit code":  {nil, &sandboxclient.ExitError{Code: -1}, exitFailed, []string{"exit status -1"}},
		"no such code":  {nil, &sandboxclient.ExitError{Code: 256}, exitFailed, []string{"exit status 256"}},
		"missing":       {nil, &sandboxclient.GapError{Lost: sandboxclient.Position{Stdout: 5}, Err: &sandboxclient.ExitError{Code: 3}}, 3, []string{"5 bytes"}},
		"lost":          {nil, lost, exitFailed, []string{"unexpected EOF", "what became of command id-1", "sandbox sb"}},
		"lost at the C": {interrupt, lost, exitFailed, []string{"command id-1"}},
		"interrupted":   {interrupt, context.Canceled, exitFailed, nil},
		"closed output": {nil, fmt.Errorf("write stdout: %w", errOutputClosed), 141, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if tt.signal != nil {
				cancel(tt.signal)
			}
			var stderr bytes.Buffer
			err := (&app{err: &stderr}).outcome(ctx, "sb", tt.err)
			if code, ok := errors.AsType[exitError](err); !ok || int(code) != tt.code {
				t.Errorf("%v, want exit code %d", err, tt.code)
			}
			for _, want := range tt.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr %q does not contain %q", stderr.String(), want)
				}
			}
			if tt.stderr == nil && stderr.Len() > 0 {
				t.Errorf("stderr %q, want none", stderr.String())
			}
		})
	}
}
