package sandboxserver_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestStreamRunsACommand(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	f := c.execute(`echo hello; echo warn >&2; echo "$NAME"; pwd; exit 3`, m{"command_id": "cmd-1", "env": m{"NAME": "value"}, "cwd": "/tmp"})
	if f.CommandID != "cmd-1" {
		t.Errorf("id %q", f.CommandID)
	}
	c.exits(3)
	if got := c.stdout.String(); !strings.HasPrefix(got, "hello\nvalue\n") || !strings.HasSuffix(got, "/tmp\n") {
		t.Errorf("stdout %q", got)
	}
	if c.stderr.String() != "warn\n" {
		t.Errorf("stderr %q", c.stderr.String())
	}
}

func TestStreamT142ClosedInput(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("cat", m{"close_stdin": true})
	c.exits(0)
}

func TestStreamInputAndItsEnd(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("cat; echo over", nil)
	c.send(m{"type": "input", "data": "one <é> \"two\"\n"})
	c.until("two\"\n")
	c.send(m{"type": "heartbeat"})
	c.send(m{"type": "ssh_agent_data", "channel_id": "ch-1", "data": "YQ=="})
	c.send(m{"type": "resize", "cols": 0, "rows": 40})
	c.send(m{"type": "input", "data": "three\n", "more": 1})
	c.send(m{"type": "close_stdin"})
	c.send(m{"type": "close_stdin"})
	c.exits(0)
	c.want("one <é> \"two\"\nthree\nover\n", "")
}

func TestStreamT133Timeout(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	begin := time.Now()
	c.execute(`echo begun; setsid sh -c 'sleep 7654321 & sleep 7654321' & sleep 7654321`, m{"timeout_seconds": 1})
	c.fails("CommandTimeout")
	c.want("begun\n", "")
	if took := time.Since(begin); took < time.Second || took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := b.marked("7654321"); n != 0 {
		t.Errorf("%d processes survive", n)
	}
}

func TestStreamT141KillTakesAll(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute(`setsid sh -c 'sleep 8765432 & sleep 8765432' & (setsid sleep 8765432 &) ; echo ready; wait`, nil)
	c.until("ready\n")
	c.send(m{"type": "kill"})
	c.exits(137)
	if n := b.marked("8765432"); n != 0 {
		t.Errorf("%d processes survive", n)
	}
}

func TestStreamKillJustBeforeTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("yes", m{"command_id": "loud", "timeout_seconds": 0})
	c.receive()
	c.send(m{"type": "kill"})
	// With output on its way, anything but a clean end destroys the kill, too.
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	again := b.dial()
	again.next = nil // much was dropped
	again.send(m{"type": "reconnect", "command_id": "loud", "stdout_offset": 1 << 60})
	for {
		f, err := again.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == gen.FrameExit {
			if *f.ExitCode != 137 {
				t.Errorf("exit %d", *f.ExitCode)
			}
			return
		}
	}
}

func TestStreamT256BackgroundChildHoldsTheOutput(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	begin := time.Now()
	c.execute(`sh -c 'sleep 1000 & echo x'`, nil)
	c.exits(0)
	c.want("x\n", "")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestStreamReconnect(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	first := c.execute("printf 'one'; printf warn >&2; read -r line; printf \"$line\"", m{"command_id": "cmd"})
	for c.stdout.Len() < 3 || c.stderr.Len() < 4 {
		c.receive()
	}
	c.drop()
	c = b.dial()
	if f := c.reconnect("cmd", 2, 1); f.PID != first.PID || f.CommandID != "cmd" {
		t.Errorf("acknowledgement %+v", f)
	}
	c.send(m{"type": "input", "data": "two\n"})
	c.exits(0)
	c.want("etwo", "arn")

	c = b.dial() // T139: an ended command is still there
	if f := c.reconnect("cmd", 3, 4); *f.StdinReceived != 0 {
		t.Errorf("%d bytes of input received", *f.StdinReceived)
	}
	c.exits(0)
	c.want("two", "")

	c = b.dial() // T097: and its start is not repeated
	if f := c.execute("echo other", m{"command_id": "cmd"}); f.PID != first.PID {
		t.Errorf("pid %d, want %d", f.PID, first.PID)
	}
	c.exits(0)
	c.want("onetwo", "warn")
}

func TestStreamTwoClients(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	one, two := b.dial(), b.dial()
	one.execute("read -r a; echo $a; read -r b; echo $b", m{"command_id": "cmd"})
	two.reconnect("cmd", 0, 0)
	one.send(m{"type": "input", "data": "first\n"})
	one.until("first\n")
	two.until("first\n")
	two.send(m{"type": "input", "data": "second\n"})
	one.exits(0)
	two.exits(0)
	one.want("first\nsecond\n", "")
	two.want("first\nsecond\n", "")
}

func TestStreamT138KillOnDisconnect(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("sleep 1138", m{"command_id": "tied", "kill_on_disconnect": true, "timeout_seconds": 0})
	c.drop()
	c = b.dial()
	// Whether this comes before the server knows of the loss decides who is
	// the last client; the command dies either way when this one leaves.
	c.reconnect("tied", 0, 0)
	c.drop()
	// Nobody attaches while it is waited for: that would keep the command alive
	// until the server knows of the loss.
	lines := "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$p; done 2>/dev/null; echo"
	for deadline := time.Now().Add(time.Minute); strings.Contains(b.run(lines), "sleep 1138"); {
		if time.Now().After(deadline) {
			t.Fatal("the command survives its client")
		}
	}
	c = b.dial()
	c.reconnect("tied", 0, 0)
	c.exits(137)
}

func TestStreamUnknownCommand(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.send(m{"type": "reconnect", "command_id": "nobody", "stdout_offset": 0, "stderr_offset": 0})
	c.fails("CommandNotFound", "nobody")
}

func TestStreamRefusesFirstFrames(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	for name, test := range map[string]struct {
		frame any
		kind  string
		word  string
	}{
		"no type":            {m{"command": "x"}, "ValidationError", "first frame"},
		"no object":          {[]int{1}, "ValidationError", "first frame"},
		"other frame":        {m{"type": "kill"}, "ValidationError", "execute or reconnect"},
		"T055 no command":    {m{"type": "execute"}, "ValidationError", "command"},
		"wrong type":         {m{"type": "execute", "command": 1}, "ValidationError", "command must be a string"},
		"negative timeout":   {m{"type": "execute", "command": "x", "timeout_seconds": -1}, "ValidationError", "timeout_seconds"},
		"zero byte":          {m{"type": "execute", "command": "a\x00b"}, "ValidationError", "zero byte"},
		"bad name":           {m{"type": "execute", "command": "x", "env": m{"a=b": "c"}}, "ValidationError", "env"},
		"run_config and cwd": {m{"type": "execute", "command": "x", "cwd": "/", "run_config": m{"work_dir": "/tmp"}}, "ValidationError", "run_config"},
		"another user":       {m{"type": "execute", "command": "x", "run_config": m{"user": "app"}}, "CommandError", "app"},
		"no such shell":      {m{"type": "execute", "command": "x", "shell": "/no/shell"}, "CommandError", "/no/shell"},
		"no such directory":  {m{"type": "execute", "command": "x", "cwd": "/no/dir"}, "CommandError", "/no/dir"},
		"no id":              {m{"type": "reconnect"}, "ValidationError", "command_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := b.dial()
			c.t = t
			c.send(test.frame)
			c.fails(test.kind, test.word)
		})
	}
}

func TestStreamMalformedFrameDoesNotHurtTheCommand(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("read -r a; echo $a", m{"command_id": "cmd"})
	if err := c.conn.Write(c.ctx, websocket.MessageText, []byte("not json")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.read(); websocket.CloseStatus(err) != websocket.StatusInvalidFramePayloadData {
		t.Errorf("error %v", err)
	}
	c = b.dial()
	c.reconnect("cmd", 0, 0)
	c.send(m{"type": "input", "data": "fine\n"})
	c.exits(0)
	c.want("fine\n", "")
}

func TestStreamRunConfig(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("pwd; echo $A", m{"close_stdin": true, "run_config": m{"work_dir": "/tmp", "env_vars": m{"A": "b"}, "user": "root"}})
	c.exits(0)
	if got := c.stdout.String(); !strings.HasSuffix(got, "/tmp\nb\n") {
		t.Errorf("stdout %q", got)
	}
}

func TestStreamTerminal(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	// T054: a console, without a command.
	c.execute("", m{"pty": true, "timeout_seconds": 0, "idle_timeout_seconds": -1, "ssh_agent_forward": true, "close_stdin": true})
	c.send(m{"type": "resize", "cols": 121, "rows": 41})
	// The interrupt key throws away what the shell has not read yet, and reaches
	// only what is in the foreground by then: each line waits for the prompt.
	c.typeLine("PS1=; PS1=ready'> '", "ready> ")
	c.typeLine("stty size", "41 121\r\n", "ready> ")
	c.typeLine("ls /nonexistent", "No such file", "ready> ") // T144
	c.typeLine("sh -c 'echo slee''ping; exec sleep 1000'", "sleeping\r\n")
	c.send(m{"type": "input", "data": "\x03"})
	c.until("^C", "ready> ")
	c.typeLine("echo un''interrupted", "uninterrupted\r\n", "ready> ")
	c.send(m{"type": "input", "data": "exit 7\n"})
	c.exits(7)
	if c.stderr.Len() != 0 {
		t.Errorf("stderr %q", c.stderr.String())
	}
}

func TestStreamTerminalEndOfInput(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("stty -echo; echo ready; cat; echo over", m{"pty": true})
	c.until("ready\r\n")
	c.send(m{"type": "input", "data": "line\n\x04"})
	c.exits(0)
	c.want("ready\r\nline\r\nover\r\n", "")
}

func TestStreamBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.send(m{"type": "execute", "command": `printf 'a\377\376b\302'; printf '€'; printf '\342\202'`})
	c.started()
	var text strings.Builder
	var last int64
	for {
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == gen.FrameExit {
			break
		}
		text.WriteString(f.Data)
		last = f.Offset
	}
	if got := text.String(); got != "a\ufffd\ufffdb\ufffd€\ufffd\ufffd" || last > 8 {
		t.Errorf("text %q, last offset %d", got, last)
	}
}

func TestStreamServerPings(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("head -c 3000000 /dev/zero | tr '\\0' x", nil)
	c.exits(0) // more than the window, so that pongs have counted
	if c.stdout.Len() != 3_000_000 {
		t.Errorf("%d bytes", c.stdout.Len())
	}
}

func TestStreamShutdown(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("echo ready; sleep 1000", nil)
	c.until("ready\n")
	closed := make(chan struct{})
	go func() { defer close(closed); _ = b.server.Close() }()
	if f, err := c.read(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("frame %+v error %v, want 1001", f, err)
	}
	<-closed
}

func TestStreamSandboxIsDeletedUnderACommand(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("echo ready; sleep 1000", nil)
	c.until("ready\n")
	b.do(t, http.MethodDelete, b.http.URL+"/v2/sandboxes/boxes/"+b.Name, nil)
	c.fails("CommandError", "sandbox")
}

func (b *box) do(t *testing.T, method, url string, header http.Header) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"X-Api-Key": {"key"}}
	maps.Copy(r.Header, header)
	resp, err := b.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestStreamHandshake(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	url := b.DataplaneURL + "/execute/ws"
	good := http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	with := func(name, value string) http.Header {
		h := good.Clone()
		h[name] = []string{value}
		return h
	}
	for name, test := range map[string]struct {
		url    string
		header http.Header
		status int
	}{
		"no key":         {url, with("X-Api-Key", ""), 401},
		"wrong key":      {url, with("X-Api-Key", "wrong"), 401},
		"no upgrade":     {url, nil, 426},
		"old version":    {url, with("Sec-Websocket-Version", "8"), 400},
		"strange origin": {url, with("Origin", "https://evil.example"), 403},
		"an address":     {url, with("Origin", "http://192.0.2.7"), 403},
		"this machine":   {url, with("Origin", "http://[::1]:3000"), 101},
		"no origin":      {url, with("Origin", "null"), 403},
		"no sandbox":     {strings.Replace(url, b.ID, "nobody", 1), good, 404},
		"own origin":     {url, with("Origin", b.http.URL+"/"), 101},
		"local origin":   {url, with("Origin", "http://localhost:3000"), 101},
		"doubled slash":  {strings.Replace(url, "/execute", "//execute", 1), good, 101},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if status := b.do(t, http.MethodGet, test.url, test.header); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
		})
	}
	if status := b.do(t, http.MethodPost, url, good); status != 405 {
		t.Errorf("POST: status %d", status)
	}
}
