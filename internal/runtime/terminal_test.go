package runtime_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// typist is a command in a terminal and what it has printed so far.
type typist struct {
	t       *testing.T
	ctx     context.Context
	process runtime.TerminalProcess
	printed strings.Builder
}

// inTerminal runs a test with a shell command in a terminal, in every isolation
// that this host has.
func inTerminal(t *testing.T, script string, test func(*testing.T, *typist)) {
	t.Helper()
	for _, isolation := range []runtime.Isolation{runtime.IsolationProcess, runtime.IsolationNative} {
		t.Run(string(isolation), func(t *testing.T) {
			rt, err := runtime.New(runtime.Config{Dir: filepath.Join(t.TempDir(), "rt"), Isolation: isolation})
			if errors.Is(err, runtime.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := rt.Close(); err != nil {
					t.Error(err)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			box, err := rt.Create(ctx, runtime.Spec{ID: "box"})
			if err != nil {
				t.Fatal(err)
			}
			process, err := box.Start(ctx, runtime.Command{
				Args: []string{"/bin/bash", "--norc", "-c", script},
				TTY:  &runtime.WindowSize{Cols: 91, Rows: 37},
			})
			if err != nil {
				t.Fatal(err)
			}
			p, ok := process.(runtime.TerminalProcess)
			if !ok {
				t.Fatalf("%T has no terminal", process)
			}
			defer p.Terminal().Close()
			test(t, &typist{t: t, ctx: ctx, process: p})
		})
	}
}

// until reads until something was printed, and forgets what came before it.
func (y *typist) until(text string) {
	y.t.Helper()
	_ = y.process.Terminal().SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 1024)
	for !strings.Contains(y.printed.String(), text) {
		n, err := y.process.Terminal().Read(buffer)
		y.printed.Write(buffer[:n])
		if err != nil {
			y.t.Fatalf("%v while waiting for %q: %q", err, text, y.printed.String())
		}
	}
	_, rest, _ := strings.Cut(y.printed.String(), text)
	y.printed.Reset()
	y.printed.WriteString(rest)
}

func (y *typist) types(text string) {
	y.t.Helper()
	if _, err := io.WriteString(y.process.Terminal(), text); err != nil {
		y.t.Fatal(err)
	}
}

func (y *typist) exits(code int) {
	y.t.Helper()
	status, err := y.process.Wait(y.ctx)
	if err != nil || status.Code != code {
		y.t.Errorf("status %+v error %v, want code %d", status, err, code)
	}
}

func TestTerminalHasSizeAndController(t *testing.T) {
	inTerminal(t, "stty size; tty; test -t 0 -a -t 1 -a -t 2 && echo all; : < /dev/tty && echo controls; echo oops >&2; exit 3",
		func(_ *testing.T, y *typist) {
			for _, text := range []string{"37 91\r\n", "/dev/pts/", "all\r\n", "controls\r\n", "oops\r\n"} {
				y.until(text)
			}
			y.exits(3)
		})
}

func TestTerminalResize(t *testing.T) {
	inTerminal(t, "trap told=1 WINCH; echo ready; until [ $told ]; do sleep 0.01; done; stty size; read -r line; echo got $line", func(t *testing.T, y *typist) {
		y.until("ready\r\n")
		if err := y.process.Resize(runtime.WindowSize{Cols: 120, Rows: 40}); err != nil {
			t.Fatal(err)
		}
		y.until("40 120\r\n")
		y.types("it\n")
		y.until("got it\r\n")
		y.exits(0)
	})
}

func TestTerminalInterrupts(t *testing.T) {
	inTerminal(t, "echo ready; sleep 1000", func(_ *testing.T, y *typist) {
		y.until("ready\r\n")
		y.types("\x03")
		y.exits(128 + int(syscall.SIGINT))
	})
}

func TestTerminalEndsInput(t *testing.T) {
	inTerminal(t, "stty -echo; echo ready; cat; echo over", func(_ *testing.T, y *typist) {
		y.until("ready\r\n")
		y.types("line\n\x04")
		y.until("line\r\nover\r\n")
		y.exits(0)
	})
}

func TestTerminalEndsWithItsProcesses(t *testing.T) {
	inTerminal(t, "echo bye", func(t *testing.T, y *typist) {
		y.until("bye\r\n")
		y.exits(0)
		_ = y.process.Terminal().SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := y.process.Terminal().Read(make([]byte, 10)); !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) {
			t.Errorf("error %v, want EIO or EOF", err)
		}
	})
}

func TestTerminalReadCanBeBrokenOff(t *testing.T) {
	inTerminal(t, "sleep 1000", func(t *testing.T, y *typist) {
		_ = y.process.Terminal().SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := y.process.Terminal().Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := y.process.Kill(); err != nil {
			t.Fatal(err)
		}
		y.exits(128 + int(syscall.SIGKILL))
	})
}
