package sandboxserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// box is a sandbox on a server of its own, with real processes.
type box struct {
	t      testing.TB
	server *sandboxserver.Server
	http   *httptest.Server
	gen.Sandbox
}

// newStreamBox starts a server with the strongest isolation of this host.
func newStreamBox(tb testing.TB) *box {
	tb.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{APIKey: "key", MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		tb.Fatal(err)
	}
	b := &box{t: tb, server: server, http: httptest.NewServer(server)}
	tb.Cleanup(b.close)
	r, _ := http.NewRequestWithContext(tb.Context(), http.MethodPost, b.http.URL+"/v2/sandboxes/boxes", strings.NewReader("{}"))
	r.Header.Set("X-Api-Key", "key")
	r.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Client().Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&b.Sandbox); err != nil || resp.StatusCode != http.StatusCreated {
		tb.Fatalf("create: status %d: %v", resp.StatusCode, err)
	}
	return b
}

func (b *box) close() {
	if err := b.server.Close(); err != nil {
		b.t.Error(err)
	}
	b.http.Close()
}

// client is a connection that speaks frames.
type client struct {
	t      testing.TB
	ctx    context.Context //nolint:containedctx // the test's
	conn   *websocket.Conn
	stdout bytes.Buffer
	seen   int // of stdout, by until
	stderr bytes.Buffer
	next   map[gen.FrameType]int64
}

func (b *box) dial() *client {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 3*time.Minute)
	b.t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, b.DataplaneURL+"/execute/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"X-Api-Key": {"key"}},
	})
	if err != nil {
		b.t.Fatalf("dial: %v (%+v)", err, resp)
	}
	conn.SetReadLimit(1 << 20)
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{t: b.t, ctx: ctx, conn: conn, next: make(map[gen.FrameType]int64)}
}

// frame is any frame of a server.
type frame struct {
	Type          gen.FrameType `json:"type"`
	Data          string        `json:"data"`
	Offset        int64         `json:"offset"`
	CommandID     string        `json:"command_id"`
	PID           int           `json:"pid"`
	StdinReceived *int64        `json:"stdin_received"`
	ExitCode      *int          `json:"exit_code"`
	Error         string        `json:"error"`
	ErrorType     string        `json:"error_type"`
}

type m map[string]any

func (c *client) send(v any) {
	c.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(c.ctx, websocket.MessageText, data); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() (f frame, err error) {
	kind, data, err := c.conn.Read(c.ctx)
	if err != nil {
		return f, err
	}
	if kind != websocket.MessageText {
		return f, errors.New("binary message")
	}
	return f, json.Unmarshal(data, &f)
}

// receive reads a frame, and keeps its output.
func (c *client) receive() frame {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("%v: after %q", err, c.stdout.String())
	}
	if f.Type == gen.FrameStdout || f.Type == gen.FrameStderr {
		into := &c.stdout
		if f.Type == gen.FrameStderr {
			into = &c.stderr
		}
		if next := c.next[f.Type]; f.Offset != next {
			c.t.Fatalf("%s at %d, want %d", f.Type, f.Offset, next)
		}
		c.next[f.Type] = f.Offset + int64(len(f.Data))
		into.WriteString(f.Data)
	}
	return f
}

// execute starts a command, with what official clients always send.
func (c *client) execute(command string, more m) frame {
	c.t.Helper()
	f := m{
		"type": "execute", "command": command, "timeout_seconds": 60, "shell": "/bin/bash",
		"idle_timeout_seconds": 300, "kill_on_disconnect": false, "ttl_seconds": 600,
	}
	maps.Copy(f, more)
	c.send(f)
	return c.started()
}

func (c *client) reconnect(id string, stdout, stderr int64) frame {
	c.t.Helper()
	c.next[gen.FrameStdout], c.next[gen.FrameStderr] = stdout, stderr
	c.send(m{"type": "reconnect", "command_id": id, "stdout_offset": stdout, "stderr_offset": stderr})
	return c.started()
}

func (c *client) started() frame {
	c.t.Helper()
	f := c.receive()
	if f.Type != gen.FrameStarted || f.CommandID == "" || f.PID == 0 || f.StdinReceived == nil {
		c.t.Fatalf("first frame %+v, want started", f)
	}
	return f
}

// until reads until the texts have been printed on standard output, one behind
// the other, and behind what was waited for before.
func (c *client) until(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		for {
			if _, rest, found := strings.Cut(c.stdout.String()[c.seen:], text); found {
				c.seen = c.stdout.Len() - len(rest)
				break
			}
			if f := c.receive(); f.Type == gen.FrameExit || f.Type == gen.FrameError {
				c.t.Fatalf("%+v before %q: %q %q", f, text, c.stdout.String(), c.stderr.String())
			}
		}
	}
}

// typeLine types a line and reads until the texts have come.
func (c *client) typeLine(line string, texts ...string) {
	c.t.Helper()
	c.send(m{"type": "input", "data": line + "\n"})
	c.until(texts...)
}

// end reads up to the last frame, and checks that nothing follows but a clean
// close.
func (c *client) end() frame {
	c.t.Helper()
	for {
		f := c.receive()
		if f.Type != gen.FrameExit && f.Type != gen.FrameError {
			continue
		}
		if _, err := c.read(); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			c.t.Errorf("after the end: %v", err)
		}
		return f
	}
}

func (c *client) exits(code int) {
	c.t.Helper()
	if f := c.end(); f.Type != gen.FrameExit || f.ExitCode == nil || *f.ExitCode != code {
		c.t.Errorf("end %+v, want exit %d; stdout %.200q stderr %.200q", show(f), code, c.stdout.String(), c.stderr.String())
	}
}

func (c *client) fails(kind string, words ...string) {
	c.t.Helper()
	f := c.end()
	if f.Type != gen.FrameError || f.ErrorType != kind {
		c.t.Errorf("end %s, want error %s", show(f), kind)
	}
	for _, word := range words {
		if !strings.Contains(f.Error, word) {
			c.t.Errorf("error %q lacks %q", f.Error, word)
		}
	}
}

func show(f frame) string {
	data, err := json.Marshal(f)
	return fmt.Sprint(string(data), err)
}

func (c *client) want(stdout, stderr string) {
	c.t.Helper()
	if c.stdout.String() != stdout || c.stderr.String() != stderr {
		c.t.Errorf("stdout %.200q stderr %.200q, want %.200q and %.200q", c.stdout.String(), c.stderr.String(), stdout, stderr)
	}
}

// drop breaks the connection without a word.
func (c *client) drop() { _ = c.conn.CloseNow() }

// run runs a command to its end in a sandbox and returns its output.
func (b *box) run(command string) string {
	b.t.Helper()
	c := b.dial()
	c.execute(command, m{"close_stdin": true})
	c.exits(0)
	return c.stdout.String()
}

// marked counts the processes of the sandbox that have a word in their command
// line.
func (b *box) marked(word string) int {
	b.t.Helper()
	if b.server.Isolation() != sandboxserver.IsolationNative {
		n := 0 // the processes are this machine's, and behind a fence commands do not see any
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			if line, err := os.ReadFile(file); err == nil && bytes.Contains(bytes.ReplaceAll(line, []byte{0}, []byte(" ")), []byte(word)) {
				n++
			}
		}
		return n
	}
	half := len(word) / 2 // so that the count does not count itself
	out := b.run(fmt.Sprintf(`w=%s; w=${w}%s; n=0
for p in /proc/[0-9]*; do case $(tr '\0' ' ' <$p/cmdline) in *"$w"*) n=$((n+1));; esac; done 2>/dev/null; echo $n`, word[:half], word[half:]))
	var n int
	_, _ = fmt.Sscan(out, &n)
	return n
}
