package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var dashedUUIDv7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// hello takes the first frame of a connection, without the name of the command.
func hello(t *testing.T, c *conn) frame {
	t.Helper()
	f := c.recv()
	if id, _ := f["command_id"].(string); !dashedUUIDv7.MatchString(id) {
		t.Errorf("the command is called %q", id)
	}
	g := frame{}
	for k, v := range f {
		if k != "command_id" {
			g[k] = v
		}
	}
	return g
}

func TestT050Defaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			want := frame{
				"type": "execute", "command": "echo ok", "timeout_seconds": 60.0, "shell": "/bin/bash",
				"idle_timeout_seconds": 300.0, "kill_on_disconnect": false, "ttl_seconds": 600.0, "close_stdin": true,
			}
			if diff := cmp.Diff(want, hello(t, c)); diff != "" {
				t.Errorf("execute (-want +got):\n%s", diff)
			}
			c.send(started, exit(0))
			c.drain()
		})
		if err := p.box().Shell("echo ok").Run(t.Context()); err != nil {
			t.Error(err)
		}
		p.close()
	})
}

// TestLifecycleFields: what a command may say of itself, as it is sent.
func TestLifecycleFields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			want := frame{
				"type": "execute", "command": `'a b' ''\'''`, "command_id": "mine", "timeout_seconds": 0.0, "shell": "/bin/sh",
				"idle_timeout_seconds": -1.0, "kill_on_disconnect": true, "ttl_seconds": 2.0, "cwd": "/srv", "env": frame{"A": "b"},
			}
			if diff := cmp.Diff(want, c.recv()); diff != "" {
				t.Errorf("execute (-want +got):\n%s", diff)
			}
			c.send(`{"type":"started","command_id":"mine","pid":42}`, exit(0))
			c.drain()
		})
		c := p.box().Command("a b", "'")
		c.ID, c.Dir, c.ShellPath, c.Env = "mine", "/srv", "/bin/sh", map[string]string{"A": "b"}
		c.Timeout, c.IdleTimeout, c.KeepResult, c.KillOnDisconnect = -1, -1, 1001*time.Millisecond, true
		c.OpenStdin = true
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		p.close()
	})
}

func TestT051BasicFlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started, stdout("hello ", 0), stdout("world\n", 6), stderr("warn", 0), exit(0))
			c.drain()
		})
		var w watched
		process, err := w.of(options{}, p.box().Shell("x")).Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if process.ID() != "cmd-123" || process.PID() != 42 {
			t.Errorf("%q %d", process.ID(), process.PID())
		}
		if err := process.Wait(); err != nil || process.ExitCode() != 0 {
			t.Error(err, process.ExitCode())
		}
		if diff := cmp.Diff(views{"stdout": "hello world\n", "stderr": "warn"}, w.outcome(nil).views); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
		if at := process.Position(); at != (sandboxclient.Position{Stdout: 12, Stderr: 4}) {
			t.Errorf("%+v", at)
		}
		p.close()
	})
}

// TestAnswers: one connection, and what becomes of a run.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type want struct {
		stdout, stderr string
		code           int
		err            error
		text           string
	}
	tests := map[string]struct {
		frames []string
		want   want
	}{
		"T052 failing command": {[]string{started, stderr("error!\n", 0), exit(1)}, want{stderr: "error!\n", code: 1}},
		"T058 first frame is output": {
			[]string{stdout("x", 0)},
			want{err: sandboxclient.ErrOperation, text: "expected started, got stdout"},
		},
		"T058 first frame is exit":    {[]string{exit(0)}, want{err: sandboxclient.ErrProtocol, text: "expected started, got exit"}},
		"T059 first frame is error":   {[]string{`{"type":"error","error":"no","error_type":"CommandError"}`}, want{err: sandboxclient.ErrOperation, text: "no [CommandError]"}},
		"T060 both streams":           {[]string{started, stdout("out", 0), stderr("err", 0), exit(0)}, want{stdout: "out", stderr: "err"}},
		"T063 the result drains":      {[]string{started, stdout("output", 0), exit(0)}, want{stdout: "output"}},
		"T064 frame of no known kind": {[]string{started, stdout("a", 0), `{"type":"heartbeat"}`, stdout("b", 1), exit(0)}, want{stdout: "ab"}},
		"T065 no offset": {
			[]string{started, `{"type":"stdout","data":"x"}`, `{"type":"stdout","data":"y"}`, stdout("z", 2), exit(0)},
			want{stdout: "xyz"},
		},
		"T066 exit without a code": {[]string{started, `{"type":"exit"}`}, want{code: -1}},
		"T067 no JSON":             {[]string{started, stdout("a", 0), `not json`}, want{stdout: "a", code: -1, err: sandboxclient.ErrProtocol}},
		"T067 no JSON at first":    {[]string{`not json`}, want{err: sandboxclient.ErrProtocol}},
		"T124 emoji":               {[]string{started, stdout("😀", 0), stdout("x", 4), exit(0)}, want{stdout: "😀x"}},
		"T126 no data":             {[]string{started, stdout("", 5), stdout("x", 5), exit(0)}, want{stdout: "x", err: sandboxclient.ErrOutputLost}},
		"T129 a byte that was replaced": {
			[]string{started, stdout("a\uFFFD", 0), stdout("b", 2), exit(0)}, want{stdout: "a\uFFFDb"},
		},
		"T253 exit and what follows":  {[]string{started, exit(0), stdout("x", 0), exit(3)}, want{}},
		"T257 frames behind exit":     {[]string{started, stdout("a", 0), exit(3), stdout("b", 1), "not json", exit(4)}, want{stdout: "a", code: 3}},
		"members of no known name":    {[]string{started, `{"x":[{}],"type":"stdout","offset":0,"data":"a"}`, exit(0)}, want{stdout: "a"}},
		"frames of an SSH agent":      {[]string{started, `{"type":"ssh_agent_data","channel_id":"","data":"?"}`, `{"type":"ssh_agent_close","channel_id":"c"}`, exit(0)}, want{}},
		"heartbeat before started":    {[]string{`{"type":"heartbeat"}`, started, exit(0)}, want{}},
		"started twice":               {[]string{started, started, stdout("a", 0), exit(0)}, want{stdout: "a"}},
		"started of another, later":   {[]string{started, `{"type":"started","command_id":"other","pid":1}`, exit(0)}, want{}},
		"started without a name":      {[]string{`{"type":"started"}`, exit(0)}, want{}},
		"started that makes no sense": {[]string{`{"type":"started","command_id":7}`}, want{err: sandboxclient.ErrProtocol}},
		"exit that makes no sense":    {[]string{started, `{"type":"exit","exit_code":"7"}`}, want{code: -1, err: sandboxclient.ErrProtocol}},
		"error that makes no sense":   {[]string{started, `{"type":"error","error":7}`}, want{code: -1, err: sandboxclient.ErrProtocol}},
		"output that makes no sense":  {[]string{started, `{"type":"stdout","data":7}`}, want{code: -1, err: sandboxclient.ErrProtocol}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) {
					c.until("execute")
					c.send(tt.frames...)
					c.drain()
				})
				began := time.Now()
				r, err := p.box().Run(t.Context(), "x", nil)
				if !errors.Is(err, tt.want.err) || tt.want.err == nil && err != nil || !strings.Contains(fmt.Sprint(err), tt.want.text) {
					t.Errorf("error %v, want %v %q", err, tt.want.err, tt.want.text)
				}
				want := &sandboxclient.Result{Stdout: tt.want.stdout, Stderr: tt.want.stderr, ExitCode: tt.want.code}
				if diff := cmp.Diff(want, r); diff != "" && (r != nil || tt.want.code != 0 || tt.want.err == nil) {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %s", took)
				}
				p.close()
			})
		})
	}
}

// TestErrorFrames: a command that is refused, and one that ends that way.
func TestErrorFrames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		frame, code, known, unknown string
		kinds                       []error
	}{
		"T072": {`{"type":"error","error":"timed out","error_type":"CommandTimeout"}`, "CommandTimeout", "timed out", "timed out", []error{sandboxclient.ErrCommandTimeout, sandboxclient.ErrTimeout}},
		"T073 T074 T079": {
			`{"type":"error","error":"not found","error_type":"CommandNotFound"}`, "CommandNotFound", "command not found: cmd-123", "not found",
			[]error{sandboxclient.ErrCommandNotFound, sandboxclient.ErrNotFound},
		},
		"T075": {`{"type":"error","error":"expired","error_type":"SessionExpired"}`, "SessionExpired", "session expired: cmd-123", "expired", []error{sandboxclient.ErrSessionExpired}},
		"T076": {`{"type":"error","error":"something broke","error_type":"Unknown"}`, "Unknown", "something broke", "something broke", nil},
		"T077": {`{"type":"error","error":"oops"}`, "CommandError", "oops", "oops", nil},
		"T078": {`{"type":"error"}`, "CommandError", "the server gave no reason", "the server gave no reason", nil},
	}
	for name, tt := range tests {
		check := func(t *testing.T, err error, operation, message string) {
			t.Helper()
			e, ok := errors.AsType[*sandboxclient.CommandError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if e.Code != tt.code || e.Message != message || e.Operation != operation || e.Error() != message+" ["+tt.code+"]" {
				t.Errorf("%+v", e)
			}
			for _, kind := range append(tt.kinds, sandboxclient.ErrOperation) {
				if !errors.Is(err, kind) {
					t.Errorf("%v is no %v", err, kind)
				}
			}
		}
		t.Run(name+" on a start", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) { c.until("execute"); c.send(tt.frame); c.drain() })
				check(t, p.box().Shell("x").Run(t.Context()), "command", tt.unknown)
				p.close()
			})
		})
		t.Run(name+" on a reconnect", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t,
					func(c *conn) { c.until("execute"); c.send(started); c.link.cut() },
					func(c *conn) { c.until("reconnect"); c.send(tt.frame); c.drain() },
				)
				check(t, p.box().Shell("x").Run(t.Context()), "reconnect", tt.known)
				p.close()
			})
		})
	}
}

// TestT055T061Refused: what cannot be, without a connection.
func TestT055T061Refused(t *testing.T) {
	t.Parallel()
	none := newPeer(t, nil)
	none.refuse = func(context.Context, int) (*http.Response, error) {
		t.Error("there was a handshake")
		return nil, errors.New("refused")
	}
	defer none.end()
	sb := none.box()
	both := sb.Shell("x")
	both.Stdin, both.OpenStdin = strings.NewReader("x"), true
	flat := sb.Shell("")
	flat.TTY = &sandboxclient.WindowSize{Rows: 40}
	taken := sb.Shell("x")
	taken.Stdout = &strings.Builder{}
	output := func(c *sandboxclient.Cmd) error { _, err := c.Output(t.Context()); return err }
	combined := func(c *sandboxclient.Cmd) error { _, err := c.CombinedOutput(t.Context()); return err }
	stream := func(c *sandboxclient.Cmd) (last error) {
		for _, err := range c.Stream(t.Context()) {
			last = err
		}
		return last
	}
	for name, err := range map[string]error{
		"T055 no command":        sb.Shell("").Run(t.Context()),
		"T055 no program":        sb.Command("", "x").Run(t.Context()),
		"T056 no columns":        flat.Run(t.Context()),
		"stdin twice":            both.Run(t.Context()),
		"T061 Output":            output(taken),
		"T061 CombinedOutput":    combined(taken),
		"T061 Stream":            stream(taken),
		"no sandbox":             new(sandboxclient.Cmd).Run(t.Context()),
		"no UTF-8":               sb.Shell("\xff").Run(t.Context()),
		"zero byte in a command": sb.Shell("a\x00b").Run(t.Context()),
	} {
		if !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := sb.Attach(t.Context(), "", nil); !errors.Is(err, sandboxclient.ErrInvalid) {
		t.Errorf("no id: error %v", err)
	}
}
