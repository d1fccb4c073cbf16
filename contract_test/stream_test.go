package contract_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// lines are the connections of a client, to be cut.
type lines struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

// transport dials through the lines.
func (l *lines) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.open == nil {
			l.open = map[net.Conn]bool{}
		}
		l.open[conn] = true
		return &cuttable{conn, l}, nil
	}}
}

// cuttable is a connection that is no longer to be cut once it is closed.
type cuttable struct {
	net.Conn
	lines *lines
}

func (c *cuttable) Close() error {
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	delete(c.lines.open, c.Conn)
	return c.Conn.Close()
}

// cut breaks all connections, without a word to the peer's WebSocket.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// hurried reconnects at once, as often as it takes.
var hurried = sandboxclient.WithCommandPolicy(sandboxclient.CommandPolicy{
	BaseDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond, ReconnectRetries: 1000,
})

// lineSandbox is a sandbox of a local server over lines.
func lineSandbox(t *testing.T) (*lines, *sandboxclient.Sandbox) {
	t.Helper()
	l := &lines{}
	transport := l.transport()
	t.Cleanup(transport.CloseIdleConnections)
	c, _ := sandboxtest.New(t, sandboxtest.WithClient(hurried, sandboxclient.WithHTTPClient(&http.Client{Transport: transport})))
	sb, err := c.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l, sb
}

// output runs a command line and returns what it prints.
func output(t *testing.T, sb *sandboxclient.Sandbox, script string) string {
	t.Helper()
	result, err := sb.Run(t.Context(), script, nil)
	if err != nil || result.ExitCode != 0 {
		t.Fatalf("%s: %+v, %v", script, result, err)
	}
	return result.Stdout
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// processes are the command lines in the sandbox that hold a text.
func processes(t *testing.T, sb *sandboxclient.Sandbox, text string) string {
	t.Helper()
	var found []string
	for line := range strings.Lines(output(t, sb, `for p in /proc/[0-9]*; do tr '\0\n' '  ' < $p/cmdline; echo; done 2>/dev/null; echo end`)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// cutter is a writer that cuts the lines whenever so much has come.
type cutter struct {
	io.Writer
	lines *lines
	at    []int64
	size  int64
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.size += int64(n)
	if len(c.at) > 0 && c.size > c.at[0] {
		c.at = c.at[1:]
		c.lines.cut()
	}
	return n, err
}

// TestStreamOverFiftyCuts: 64 MiB of text arrive whole over a line that breaks
// fifty times, and the command runs once.
func TestStreamOverFiftyCuts(t *testing.T) {
	t.Parallel()
	const size, cuts = 64 << 20, 50
	l, sb := lineSandbox(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	hash := sha256.New()
	c := &cutter{Writer: hash, lines: l}
	for i := range int64(cuts) {
		c.at = append(c.at, size/cuts*i+random.Int64N(size/cuts-(1<<20)))
	}
	cmd := sb.Shell(fmt.Sprintf("echo once >> $HOME/runs; head -c %d /dev/urandom | base64 -w0 | tee >(sha256sum > $HOME/sum)", size/4*3))
	cmd.Stdout, cmd.Timeout = c, -1
	p, err := cmd.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatalf("%v after %d bytes, %+v", err, c.size, p.Stats())
	}
	if c.size != size || p.Position().Stdout != size || len(c.at) > 0 {
		t.Errorf("%d bytes at %+v, %d cuts left", c.size, p.Position(), len(c.at))
	}
	if s := p.Stats(); s.Reconnects < cuts || s.Lost != 0 {
		t.Errorf("%+v, want %d reconnects", s, cuts)
	}
	if sum := output(t, sb, "cat $HOME/sum"); !strings.HasPrefix(sum, hex.EncodeToString(hash.Sum(nil))) {
		t.Errorf("hash %x, want %s", hash.Sum(nil), sum)
	}
	if runs := output(t, sb, "cat $HOME/runs"); runs != "once\n" {
		t.Errorf("ran %q", runs)
	}
}

// TestInputOverCuts: what is written arrives once and in order, over a line
// that breaks, from a server that counts what it received.
func TestInputOverCuts(t *testing.T) {
	t.Parallel()
	const size, cuts = 4 << 20, 10
	l, sb := lineSandbox(t)
	var in bytes.Buffer
	for i := 0; in.Len() < size; i++ {
		fmt.Fprintf(&in, "line %d é\n", i)
	}
	want := sha256.Sum256(in.Bytes())
	cmd := sb.Command("sha256sum")
	cmd.Stdin = &cuttingReader{from: &in, lines: l, every: size / cuts}
	out, err := cmd.Output(t.Context())
	if err != nil || !bytes.HasPrefix(out, []byte(hex.EncodeToString(want[:]))) {
		t.Errorf("%s, %v, want %x", out, err, want)
	}
}

type cuttingReader struct {
	from        io.Reader
	lines       *lines
	every, size int
}

func (c *cuttingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.size/c.every != (c.size+n)/c.every {
		c.lines.cut()
	}
	c.size += n
	return n, err
}

// TestThousandAtOnce: a thousand commands of one client at the same time, each
// with its own input and exit code.
func TestThousandAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1000
	_, sb := lineSandbox(t)
	begin := time.Now()
	var all sync.WaitGroup
	var wrong atomic.Int64
	for i := range many {
		all.Go(func() {
			text := fmt.Sprintf("command %d\n", i)
			result, err := sb.Run(t.Context(), fmt.Sprintf(`: one of a thousand; read -r line; echo "$line"; echo err >&2; exit %d`, i%100),
				&sandboxclient.RunOptions{Stdin: strings.NewReader(text), Timeout: -1})
			if err != nil || result.Stdout != text || result.Stderr != "err\n" || result.ExitCode != i%100 {
				if wrong.Add(1) < 5 {
					t.Errorf("%d: %+v, %v", i, result, err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d commands in %s", many, time.Since(begin))
	if left := processes(t, sb, "one of a thousand"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestStreamEndToEnd holds the rest of the command stream to a real server.
func TestStreamEndToEnd(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	t.Run("arguments arrive as they are", func(t *testing.T) {
		t.Parallel()
		args := []string{"", " ", "a b", "'", `"`, `\`, "$HOME", "`id`", "*", "~", "é\n\t", "-n", "a=b", "!x", "\x7f"}
		out, err := sb.Command("printf", append([]string{`[%s]`}, args...)...).Output(t.Context())
		want := "[" + strings.Join(args, "][") + "]"
		if err != nil || string(out) != want {
			t.Errorf("%q, %v, want %q", out, err, want)
		}
	})
	t.Run("a failure has the end of standard error", func(t *testing.T) {
		t.Parallel()
		out, err := sb.Shell("echo out; echo problem >&2; exit 3").Output(t.Context())
		failed, ok := errors.AsType[*sandboxclient.ExitError](err)
		if !ok || failed.Code != 3 || failed.Stderr != "problem\n" || string(out) != "out\n" {
			t.Errorf("%q, %#v", out, err)
		}
	})
	t.Run("the end of the context kills the tree", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := sb.Shell("sleep 1234 & echo started; sleep 1234; echo never")
		for chunk, err := range cmd.Stream(ctx) {
			if err != nil {
				if !errors.Is(err, context.Canceled) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "kill was acknowledged") {
					t.Error(err)
				}
				break
			}
			if string(chunk.Data) != "started\n" {
				t.Errorf("%q", chunk.Data)
			}
			cancel()
		}
		if left := processes(t, sb, "sleep 1234"); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("a timeout", func(t *testing.T) {
		t.Parallel()
		result, err := sb.Run(t.Context(), "echo begun; sleep 1000", &sandboxclient.RunOptions{Timeout: time.Second})
		if !errors.Is(err, sandboxclient.ErrCommandTimeout) || result == nil || result.Stdout != "begun\n" {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("a terminal", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		cmd := sb.Shell("read -r line; stty size; echo \"$line\"; tty")
		cmd.TTY, cmd.OpenStdin, cmd.Stdout = &sandboxclient.WindowSize{Rows: 24, Cols: 80}, true, &out
		p := ok[*sandboxclient.Process](t)(cmd.Start(t.Context()))
		if err := p.Resize(t.Context(), sandboxclient.WindowSize{Rows: 50, Cols: 132}); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(p, "typed\r"); err != nil {
			t.Error(err)
		}
		if err := p.Wait(); err != nil || !strings.Contains(out.String(), "50 132\r\ntyped\r\n/dev/pts/") {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
	t.Run("another program attaches", func(t *testing.T) {
		t.Parallel()
		cmd := sb.Shell("echo 12345; read -r line; echo \"$line\"; echo e >&2")
		cmd.OpenStdin, cmd.ID = true, "the-command"
		p := ok[*sandboxclient.Process](t)(cmd.Start(t.Context()))
		if err := p.Detach(); err != nil || !errors.Is(p.Wait(), sandboxclient.ErrDetached) {
			t.Errorf("%v, %v", err, p.Wait())
		}
		var out, errs bytes.Buffer
		q := ok[*sandboxclient.Process](t)(sb.Attach(t.Context(), "the-command", &sandboxclient.AttachOptions{
			From: sandboxclient.Position{Stdout: 2}, Stdout: &out, Stderr: &errs,
		}))
		if _, err := io.WriteString(q, "more\n"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(q.CloseWrite(), q.Wait()); err != nil || out.String() != "345\nmore\n" || errs.String() != "e\n" {
			t.Errorf("%q, %q, %v", out.String(), errs.String(), err)
		}
		again := ok[*sandboxclient.Process](t)(cmd.Start(t.Context()))
		if err := again.Wait(); err != nil || again.Position() != (sandboxclient.Position{Stdout: 11, Stderr: 2}) {
			t.Errorf("joined at %+v, %v", again.Position(), err)
		}
	})
	t.Run("a command that nobody knows", func(t *testing.T) {
		t.Parallel()
		_, err := sb.Attach(t.Context(), "none", nil)
		if !errors.Is(err, sandboxclient.ErrCommandNotFound) {
			t.Error(err)
		}
	})
	t.Run("a writer that never returns", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stuck := make(chan struct{})
		defer close(stuck)
		cmd := sb.Shell("yes")
		cmd.Stdout, cmd.WaitDelay = writerFunc(func([]byte) (int, error) { cancel(); <-stuck; return 0, io.EOF }), time.Second/2
		if err := cmd.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("too much output", func(t *testing.T) {
		t.Parallel()
		result, err := sb.Run(t.Context(), "yes", &sandboxclient.RunOptions{MaxOutput: 1000})
		if !errors.Is(err, sandboxclient.ErrTooLarge) || len(result.Stdout) != 1000 {
			t.Errorf("%d bytes, %v", len(result.Stdout), err)
		}
	})
	t.Run("bytes that are no text", func(t *testing.T) {
		t.Parallel()
		result, err := sb.Run(t.Context(), `printf 'a\377b\303\251'`, nil)
		if err != nil || result.Stdout != "a\uFFFDbé" {
			t.Errorf("%+v, %v", result, err)
		}
	})
}
