package main

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// wire is a way to a server that can be cut.
type wire struct {
	t        *testing.T
	listener net.Listener
	to       string

	mu    sync.Mutex
	down  bool
	lines map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: l, to: to, lines: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.carry(from) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.cut(true)
		serving.Wait()
	})
	return w
}

func (w *wire) carry(from net.Conn) {
	defer from.Close()
	var d net.Dialer
	to, err := d.DialContext(context.WithoutCancel(w.t.Context()), "tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	down := w.down
	w.lines[from], w.lines[to] = true, true
	w.mu.Unlock()
	if down {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(to, from); to.Close() })
	both.Go(func() { _, _ = io.Copy(from, to); from.Close() })
	both.Wait()
}

// cut breaks all connections, and the next ones, too, if it is to stay down.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for line := range w.lines {
		line.Close()
	}
	clear(w.lines)
}

// openShell opens a shell in a sandbox at the other end of a wire.
func openShell(t *testing.T, env ...string) (*screen, *wire) {
	t.Helper()
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
	w := newWire(t, listener.Listener.Addr().String())
	env = append(env, "LANGSMITH_ENDPOINT=http://"+w.listener.Addr().String(), "LANGSMITH_API_KEY="+server.APIKey())
	openScreenWith(t, env, "create", "--name", "box").ends(0)
	sc := openScreenWith(t, env, "shell", "--shell", "sh", "box")
	sc.isRaw()
	sc.press("n=1; echo ready$n\r")
	sc.expect("ready1\r\n")
	return sc, w
}

// TestShellDroppedLine: the shell is the same one after its line was cut, with
// the terminal's size, and nothing is printed twice.
func TestShellDroppedLine(t *testing.T) {
	t.Parallel()
	sc, w := openShell(t)
	for _, again := range []string{"again2", "again3", "again4"} {
		w.cut(false)
		sc.press("n=$((n+1)); echo again$n\r")
		sc.expect(again + "\r\n")
		if strings.Contains(string(sc.seen), "again") {
			t.Errorf("%s came twice: %q", again, sc.seen)
		}
	}
	w.cut(false)
	if err := terminal.SetSize(int(sc.master.Fd()), terminal.Size{Cols: 120, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	sc.press("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.01; done; echo is$n\r")
	sc.expect("is4\r\n")
	sc.press("exit 3\r")
	sc.ends(3)
}

// TestShellLostServer: while the server is away, Ctrl-C is the program's, which
// goes, and leaves the terminal as it was; a server that comes back finds the
// keys, and Ctrl-C is the shell's again.
func TestShellLostServer(t *testing.T) {
	t.Parallel()
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		sc, w := openShell(t)
		w.cut(true)
		sc.press("typed in vain\r")
		sc.expect("Ctrl-C gives up\r\n")
		sc.press("\x03")
		sc.expect("once more to give up at once")
		sc.press("\x03")
		sc.expect("gave up")
		sc.ends(128 + int(syscall.SIGINT))
	})
	t.Run("for a while", func(t *testing.T) {
		t.Parallel()
		sc, w := openShell(t)
		w.cut(true)
		sc.press("echo back$n\r")
		sc.expect("Ctrl-C gives up\r\n")
		w.cut(false)
		sc.expect("back1\r\n")
		sc.press("cat; echo end$n\r")
		sc.press("mark\r")
		sc.expect("mark\r\nmark\r\n")
		sc.press("\x03")
		sc.expect("^C\r\n") // what is typed before is thrown away
		sc.press("echo on$n\r")
		sc.expect("on1\r\n")
		sc.press("exit\r")
		sc.ends(0)
	})
}

// TestShellPanic: a bug of this program leaves a terminal that can be used.
func TestShellPanic(t *testing.T) {
	t.Parallel()
	sc, _ := openShell(t, "SANDBOX_TEST_AS_COMMAND=panics")
	sc.press("echo 'pani''c now'\r")
	sc.expect("as the test wants it")
	sc.ends(2)
}

// TestShellQuit: so does the signal that has it print its stacks.
func TestShellQuit(t *testing.T) {
	t.Parallel()
	sc, _ := openShell(t)
	if err := sc.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	sc.expect("SIGQUIT")
	sc.ends(2)
}
