package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func TestT053InteractiveLifeCycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			want := frame{
				"type": "execute", "command": "python3 -u -i", "timeout_seconds": 90.0, "shell": "/bin/sh",
				"idle_timeout_seconds": -1.0, "ttl_seconds": 120.0, "kill_on_disconnect": false, "pty": true,
			}
			if diff := cmp.Diff(want, hello(t, c)); diff != "" {
				t.Errorf("execute (-want +got):\n%s", diff)
			}
			c.send(started)
			if f := c.recv(); f["type"] != "resize" {
				t.Errorf("%v, want the size of the terminal", f)
			}
			if diff := cmp.Diff(frame{"type": "input", "data": "print('hi')\n"}, c.recv()); diff != "" {
				t.Errorf("input (-want +got):\n%s", diff)
			}
			c.send(stdout("ready\n", 0))
			c.until("kill")
			c.send(exit(137))
			c.drain()
		})
		var w watched
		c := w.of(options{}, p.box().Shell("python3 -u -i"))
		c.ShellPath, c.Timeout, c.IdleTimeout, c.KeepResult = "/bin/sh", 90*sec, -1, 2*time.Minute
		c.TTY, c.OpenStdin = &sandboxclient.WindowSize{Rows: 24, Cols: 80}, true
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(process, "print('hi')\n"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := process.Kill(t.Context()); err != nil {
			t.Error(err)
		}
		exit, ok := errors.AsType[*sandboxclient.ExitError](process.Wait())
		if !ok || exit.Code != 137 || process.Position().Stdout != 6 || w.stdout.String() != "ready\n" {
			t.Errorf("%v, %+v, %q", process.Wait(), process.Position(), w.stdout.String())
		}
		p.close()
	})
}

// TestT054T057Console: a terminal without a command; what an SSH agent would
// be sent is passed over.
func TestT054T057Console(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent := list(
			`{"type":"ssh_agent_data","channel_id":"ch-1","data":"YWdlbnQtcmVxdWVzdA=="}`,
			`{"type":"ssh_agent_data","channel_id":"","data":"?"}`, `{"type":"ssh_agent_close","channel_id":"ch-1"}`,
		)
		p := scripted(t, func(c *conn) {
			want := frame{
				"type": "execute", "timeout_seconds": 60.0, "shell": "/bin/bash", "idle_timeout_seconds": -1.0,
				"kill_on_disconnect": false, "ttl_seconds": 600.0, "pty": true,
			}
			if diff := cmp.Diff(want, hello(t, c)); diff != "" {
				t.Errorf("execute (-want +got):\n%s", diff)
			}
			c.send(agent...)
			c.send(started)
			if diff := cmp.Diff(frame{"type": "resize", "cols": 120.0, "rows": 40.0}, c.recv()); diff != "" {
				t.Errorf("resize (-want +got):\n%s", diff)
			}
			c.send(stdout("shell ready\n", 0))
			c.send(agent...)
			c.send(exit(0))
			c.drain()
			if n := len(c.received()); n != 2 {
				t.Errorf("the client sent %v", c.received())
			}
		})
		var w watched
		c := w.of(options{}, p.box().Shell(""))
		c.IdleTimeout, c.TTY = -1, &sandboxclient.WindowSize{Rows: 40, Cols: 120}
		if err := c.Run(t.Context()); err != nil || w.stdout.String() != "shell ready\n" {
			t.Errorf("%v, %q", err, w.stdout.String())
		}
		p.close()
	})
}

// start starts a command on a peer.
func start(t *testing.T, p *peer, change func(*sandboxclient.Cmd)) *sandboxclient.Process {
	t.Helper()
	c := p.box().Shell("x")
	c.Timeout = -1
	if change != nil {
		change(c)
	}
	process, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return process
}

// TestResize: the last size is the one that counts, on each connection.
func TestResize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		size := func(c *conn, rows float64) {
			c.send(started)
			if f := c.recv(); f["rows"] != rows || f["cols"] != 80.0 {
				t.Errorf("connection %d: %v, want %v rows", c.n+1, f, rows)
			}
		}
		p := scripted(t, func(c *conn) {
			c.until("execute")
			size(c, 24)
			c.until("resize")
			c.pause(sec)
			c.link.cut()
		}, func(c *conn) {
			c.until("reconnect")
			size(c, 41)
			c.send(exit(0))
			c.drain()
		})
		process := start(t, p, func(c *sandboxclient.Cmd) { c.TTY = &sandboxclient.WindowSize{Rows: 24, Cols: 80} })
		synctest.Wait()
		for _, bad := range []sandboxclient.WindowSize{{Cols: 40}, {Rows: 40}} { // T056
			if err := process.Resize(t.Context(), bad); !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("T056 %+v: error %v", bad, err)
			}
		}
		if err := process.Resize(t.Context(), sandboxclient.WindowSize{Rows: 30, Cols: 80}); err != nil {
			t.Error(err)
		}
		<-time.After(1200 * ms) // in the pause
		// T122: who waits for a connection stops waiting, and that is all.
		for rows := range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), ms)
			if err := process.Resize(ctx, sandboxclient.WindowSize{Rows: uint16(40 + rows), Cols: 80}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			cancel()
		}
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		if err := process.Resize(t.Context(), sandboxclient.WindowSize{Rows: 50, Cols: 80}); err != nil {
			t.Errorf("a resize of what has ended: %v", err)
		}
		p.close()
	})
}

func TestT062WaitTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) { c.until("execute"); c.send(started, stdout("x", 0), exit(3)); c.drain() })
		process := start(t, p, nil)
		results := make(chan error)
		for range 3 {
			go func() { results <- process.Wait() }()
		}
		for range 3 {
			if err := <-results; err == nil || err != process.Wait() { //nolint:errorlint // the very same
				t.Errorf("error %v", err)
			}
		}
		select {
		case <-process.Done():
		default:
			t.Error("not done")
		}
		p.close()
	})
}

// TestDetach: T121 at once, also while there is no connection; the command is
// left alone.
func TestDetach(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lose   bool
		attach bool
		stop   func(p *sandboxclient.Process, cancel context.CancelFunc)
		kinds  []error
	}{
		"connected":                    {stop: detach, kinds: []error{sandboxclient.ErrDetached}},
		"T121 in a pause":              {lose: true, stop: detach, kinds: []error{sandboxclient.ErrDetached}},
		"attached":                     {attach: true, stop: detach, kinds: []error{sandboxclient.ErrDetached}},
		"context of Attach":            {attach: true, stop: stopContext, kinds: []error{sandboxclient.ErrDetached, context.Canceled}},
		"context of Attach in a pause": {attach: true, lose: true, stop: stopContext, kinds: []error{sandboxclient.ErrDetached, context.Canceled}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) {
					c.recv()
					c.send(started, stdout("abc", 0))
					if tt.lose {
						c.pause(800 * ms)
						c.link.cut()
					}
					c.drain()
					if len(c.received()) != 1 {
						t.Errorf("the client sent %v", c.received())
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var w watched
				var process *sandboxclient.Process
				var err error
				if tt.attach {
					process, err = p.box().Attach(ctx, "cmd-123", &sandboxclient.AttachOptions{Stdout: &w.stdout})
				} else {
					process, err = w.of(options{}, p.box().Shell("x")).Start(ctx)
				}
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(sec)
				tt.stop(process, cancel)
				err = process.Wait()
				for _, kind := range tt.kinds {
					if !errors.Is(err, kind) {
						t.Errorf("%v is no %v", err, kind)
					}
				}
				if w.stdout.String() != "abc" || process.Position().Stdout != 3 || process.ExitCode() != -1 {
					t.Errorf("%q, %+v, exit code %d", w.stdout.String(), process.Position(), process.ExitCode())
				}
				if took := time.Since(p.began); took != sec {
					t.Errorf("it took %s", took)
				}
				p.close()
			})
		})
	}
}

func detach(p *sandboxclient.Process, _ context.CancelFunc) { _ = p.Detach() }

func stopContext(_ *sandboxclient.Process, cancel context.CancelFunc) { cancel() }

// TestDetachThenAttach: another program goes on where one let go.
func TestDetachThenAttach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(ordinary()))
		var first, second watched
		process, err := first.of(options{}, m.box().Shell("x")).Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(150 * ms)
		_ = process.Detach()
		again, err := m.box().Attach(t.Context(), process.ID(), &sandboxclient.AttachOptions{
			From: process.Position(), Stdout: &second.stdout, Stderr: &second.stderr,
		})
		if err != nil {
			t.Fatal(err)
		}
		o := second.outcome(again.Wait())
		o.views["stdout"] = first.stdout.String() + o.views["stdout"]
		o.views["stderr"] = first.stderr.String() + o.views["stderr"]
		intact(t, m, scenario{}, o)
		if first.stdout.Len() == 0 || second.stdout.Len() == 0 {
			t.Error("one of the two had nothing to do")
		}
		m.close()
	})
}

// TestSameID: a command whose name is known is joined.
func TestT097SameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(ordinary()))
		var w [2]watched
		var all [2]*sandboxclient.Process
		for i := range all {
			c := w[i].of(options{}, m.box().Shell("x"))
			c.ID = "mine"
			var err error
			if all[i], err = c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * ms)
		}
		for i := range all {
			intact(t, m, scenario{}, w[i].outcome(all[i].Wait()))
		}
		if len(m.ran) != 1 || all[0].PID() != all[1].PID() {
			t.Errorf("it ran %d times", len(m.ran))
		}
		m.close()
	})
}
