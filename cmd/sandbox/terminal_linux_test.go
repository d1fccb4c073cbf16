package main

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// screen is a real terminal with the sandbox command in it, as the leader of
// its session.
type screen struct {
	t      *testing.T
	cmd    *exec.Cmd
	temp   string
	master *os.File
	slave  *os.File
	before *unix.Termios
	seen   []byte // and not expected yet
}

func openScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	return openScreenWith(t, nil, args...)
}

// openScreenWith adds to the environment of the command.
func openScreenWith(t *testing.T, env []string, args ...string) *screen {
	t.Helper()
	sc := newScreen(t, env, args...)
	if err := sc.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return sc
}

// newScreen is a screen whose command is still to be started.
func newScreen(t *testing.T, env []string, args ...string) *screen {
	t.Helper()
	m, s, err := terminal.Open(terminal.Size{Cols: 100, Rows: 30})
	if err != nil {
		t.Fatal(err)
	}
	sc := &screen{t: t, master: os.NewFile(uintptr(m), "master"), slave: os.NewFile(uintptr(s), "slave")}
	t.Cleanup(func() { sc.master.Close(); sc.slave.Close() })
	if err := sc.master.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sc.before = sc.modes()
	sc.cmd, sc.temp = command(t, args...)
	sc.cmd.Env = append(append(sc.cmd.Env, "TERM=vt52"), env...)
	sc.cmd.Stdin, sc.cmd.Stdout, sc.cmd.Stderr = sc.slave, sc.slave, sc.slave
	sc.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	return sc
}

func (sc *screen) modes() *unix.Termios {
	sc.t.Helper()
	modes, err := unix.IoctlGetTermios(int(sc.slave.Fd()), unix.TCGETS)
	if err != nil {
		sc.t.Fatal(err)
	}
	return modes
}

func (sc *screen) press(keys string) {
	sc.t.Helper()
	if _, err := sc.master.WriteString(keys); err != nil {
		sc.t.Fatal(err)
	}
}

// expect reads until text appears.
func (sc *screen) expect(text string) {
	sc.t.Helper()
	buf := make([]byte, 4096)
	for {
		if _, after, found := bytes.Cut(sc.seen, []byte(text)); found {
			sc.seen = after
			return
		}
		n, err := sc.master.Read(buf)
		sc.seen = append(sc.seen, buf[:n]...)
		if err != nil {
			sc.t.Fatalf("waiting for %q: %v; seen %q", text, err, sc.seen)
		}
	}
}

func (sc *screen) isRaw() {
	sc.t.Helper()
	waitFor(sc.t, "raw mode", func() bool {
		return sc.modes().Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0
	})
}

// ends waits for the program, which must leave nothing behind and the terminal
// as it was.
func (sc *screen) ends(code int) {
	sc.t.Helper()
	if err := sc.master.SetDeadline(time.Time{}); err != nil {
		sc.t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() { // else the program would wait for room to write
		defer close(drained)
		for buf := make([]byte, 4096); ; {
			n, err := sc.master.Read(buf)
			sc.seen = append(sc.seen, buf[:n]...)
			if sc.seen = sc.seen[max(0, len(sc.seen)-1<<16):]; err != nil {
				return
			}
		}
	}()
	late := time.AfterFunc(30*time.Second, func() { _ = sc.cmd.Process.Signal(syscall.SIGQUIT) }) // for its stacks
	err := sc.cmd.Wait()
	late.Stop()
	if e := sc.master.SetReadDeadline(time.Now()); e != nil {
		sc.t.Error(e)
	}
	<-drained
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		sc.t.Fatal(err)
	}
	if got := sc.cmd.ProcessState.ExitCode(); got != code {
		sc.t.Errorf("exit code %d, want %d; seen %s", got, code, bytes.ReplaceAll(sc.seen, []byte("ready\r\n"), nil))
	}
	if diff := cmp.Diff(sc.before, sc.modes()); diff != "" {
		sc.t.Errorf("the terminal's modes (-before +after):\n%s", diff)
	}
	mustBeEmpty(sc.t, sc.temp)
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	sc := openScreen(t, "run", "-it", "--", "sh", "-c", `
		until [ "$(stty size)" = "30 100" ]; do sleep 0.01; done # it is told right after the start
		[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo "TERM=$TERM"
		until [ "$(stty size)" = "40 120" ]; do sleep 0.01; done; echo resized
		read line; echo "got $line"
		cat; echo "end of cat"
		exit 7`)
	sc.expect("TERM=vt52\r\n")
	sc.isRaw()
	if err := terminal.SetSize(int(sc.master.Fd()), terminal.Size{Cols: 120, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	sc.expect("resized\r\n")
	sc.press("Gr\xc3")
	sc.press("\xbc\xc3\x9fe \xff!\r")
	sc.expect("got Grüße \ufffd!\r\n")
	sc.press("text\r")
	sc.expect("text\r\ntext\r\n")
	sc.press("\x04")
	sc.expect("end of cat\r\n")
	sc.ends(7)
}

// TestTerminalInterrupt: Ctrl-C is the command's, also while it floods the
// terminal.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	// The line comes from the program itself: a shell that is about to start
	// one may lose the signal.
	tests := map[string]struct {
		script, keys string
		code         int
	}{
		"that is handled": {`trap 'exit 9' INT; echo ready; while :; do :; done`, "", 9},
		"that ends it":    {`stty -echo; echo on; exec cat`, "ready\r", 130},
		"in a flood":      {`exec yes ready`, "", 130},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := openScreen(t, "run", "-t", "--", "sh", "-c", tt.script)
			if tt.keys != "" {
				sc.expect("on\r\n") // no echo: what comes back is the program's
				sc.press(tt.keys)
			}
			sc.expect("ready\r\n")
			sc.isRaw()
			sc.press("\x03")
			sc.ends(tt.code)
		})
	}
}

func TestTerminalSignal(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			sc := openScreen(t, "run", "-t", "--", "sh", "-c", "echo ready; sleep 1000")
			sc.expect("ready\r\n")
			sc.isRaw()
			if err := sc.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			sc.ends(128 + int(s))
		})
	}
}

// TestTerminalHungUp: who closes the window leaves nothing running.
func TestTerminalHungUp(t *testing.T) {
	t.Parallel()
	sc := openScreen(t, "run", "-t", "--", "sh", "-c", "trap '' HUP; echo ready; sleep 1000")
	sc.expect("ready\r\n")
	sc.isRaw()
	sc.slave.Close()
	sc.master.Close()
	_ = sc.cmd.Wait()
	if got, want := sc.cmd.ProcessState.ExitCode(), 128+int(syscall.SIGHUP); got != want {
		t.Errorf("exit code %d, want %d", got, want)
	}
	mustBeEmpty(t, sc.temp)
}

// TestTerminalFailure: a command that sandbox itself ends says so on a
// terminal that is as it was.
func TestTerminalFailure(t *testing.T) {
	t.Parallel()
	sc := openScreen(t, "run", "-t", "--timeout", "1s", "--", "sh", "-c", "echo ready; sleep 1000")
	sc.expect("ready\r\n")
	sc.expect("its time was over")
	sc.expect("--timeout\r\n")
	sc.ends(exitFailed)
	if strings.Contains(string(sc.seen), "sandbox:") {
		t.Errorf("and then %q", sc.seen)
	}
}

// TestShell: a shell in a sandbox that stays has the terminal, and gives it
// back as it was; a list on a terminal has colours.
func TestShell(t *testing.T) {
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
	env := []string{"LANGSMITH_ENDPOINT=" + listener.URL, "LANGSMITH_API_KEY=" + server.APIKey()}
	made := openScreenWith(t, env, "create", "--name", "box")
	made.expect("box")
	made.ends(0)
	sc := openScreenWith(t, env, "shell", "--shell", "sh", "--env", "MARK=in$((2))side", "box")
	sc.isRaw()
	sc.press("tty; echo $MARK; stty size\r")
	sc.expect("/dev/pts/")
	sc.expect("in$((2))side")
	sc.expect("30 100")
	sc.press("exit 3\r")
	sc.ends(3)
	list := openScreenWith(t, env, "ls")
	list.expect("\x1b[32mready\x1b[0m")
	list.ends(0)
	plain := openScreenWith(t, append(env, "NO_COLOR=1"), "ls")
	plain.expect("ready   -")
	plain.ends(0)
}
