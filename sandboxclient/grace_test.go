package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestSlowReaderIsNoTimeout: a command that ended in time did so, however long
// its output waits for whoever reads it.
func TestSlowReaderIsNoTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const chunks = 64
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started)
			for i := range chunks {
				c.send(stdout(strings.Repeat("a", 32<<10), int64(i)<<15))
			}
			c.send(exit(0))
			c.drain()
		})
		c := p.box().Shell("cat big")
		c.Timeout = sec
		size, paused := 0, false
		for chunk, err := range c.Stream(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			size += len(chunk.Data)
			if !paused {
				paused = true
				<-time.After(10 * time.Minute)
			}
		}
		if size != chunks<<15 {
			t.Errorf("%d bytes, want %d", size, chunks<<15)
		}
		p.close()
	})
}

// TestRepeatedGoodbyes: an acknowledgement alone does not make a server that
// closes each connection welcome.
func TestRepeatedGoodbyes(t *testing.T) {
	t.Parallel()
	for code, final := range map[websocket.StatusCode]bool{1001: false, 1008: true, 4000: true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, func(c *conn) {
				c.recv()
				c.send(started)
				c.close(code)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := p.box().Run(ctx, "x", nil)
			n := len(p.connections())
			if lost := errors.As(err, new(*sandboxclient.DisconnectError)); lost != final || final && n > 3 || n > 150 {
				t.Errorf("%d: %d connections, %v", code, n, err)
			}
			p.close()
		})
	}
}

// TestAttachWithoutAcknowledgement: a command that was attached to for longer
// than a start may take has the whole budget when its connection is lost.
func TestAttachWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("reconnect")
			go c.drain()
			c.pause(time.Hour)
			c.link.cut()
		}, func(c *conn) { c.until("reconnect"); c.send(exit(0)); c.drain() })
		process, err := p.box().Attach(t.Context(), "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		p.close()
	})
}

// TestObserverLeaves: a writer that fails has an attached command let go of,
// not killed.
func TestObserverLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("reconnect")
			c.send(started, stdout("x", 0))
			if c.until("kill") {
				t.Error("the command was killed")
			}
		})
		broken := errors.New("broken")
		process, err := p.box().Attach(t.Context(), "x", &sandboxclient.AttachOptions{
			Stdout: writerFunc(func([]byte) (int, error) { return 0, broken }),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); !errors.Is(err, sandboxclient.ErrDetached) || !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		p.close()
	})
}

// TestKillComesBack: a kill is tried again soon while the sandbox is out of
// reach, and a command that is not known any more afterwards was killed.
func TestKillComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(c *conn) {
			switch {
			case c.n == 0:
				c.until("execute")
				c.send(started)
				c.link.cut()
			case time.Since(c.peer.began) < 5*sec:
				c.link.cut()
			default:
				c.until("kill")
				c.send(`{"type":"error","error_type":"CommandNotFound","error":"gone"}`)
				c.drain()
			}
		})
		policy := steady
		policy.BaseDelay, policy.MaxDelay = 8*sec, 8*sec
		process, err := p.box(sandboxclient.WithCommandPolicy(policy)).Shell("x").Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(sec)
		if err := process.Kill(t.Context()); err != nil {
			t.Error(err)
		}
		if err := process.Wait(); !errors.As(err, new(*sandboxclient.ExitError)) || process.ExitCode() != -1 {
			t.Errorf("error %v, exit code %d", err, process.ExitCode())
		}
		if took := time.Since(p.began); took > 7*sec {
			t.Errorf("it took %s", took)
		}
		p.close()
	})
}

// TestEndBehindStuckWriter: the end of a killed command is read though a
// writer never takes the output before it.
func TestEndBehindStuckWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started)
			go func() {
				for i := range 30 {
					c.send(stdout(strings.Repeat("a", 32<<10), int64(i)<<15))
				}
			}()
			c.until("kill")
			c.send(exit(137))
			c.drain()
		})
		release := make(chan struct{})
		c := p.box().Shell("x")
		c.Stdout = writerFunc(func([]byte) (int, error) { <-release; return 0, io.ErrClosedPipe })
		ctx, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		process, err := c.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = process.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) || process.ExitCode() != 137 {
			t.Errorf("error %v, exit code %d", err, process.ExitCode())
		}
		close(release)
		p.close()
	})
}

// TestContextEndsBehindTheCommand: when the writer is still busy then, the
// error tells of both.
func TestContextEndsBehindTheCommand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) { c.until("execute"); c.send(started, stdout("x", 0), exit(3)); c.drain() })
		release := make(chan struct{})
		c := p.box().Shell("x")
		c.Stdout = writerFunc(func(b []byte) (int, error) { <-release; return len(b), nil })
		ctx, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		err := c.Run(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, new(*sandboxclient.ExitError)) {
			t.Errorf("error %v", err)
		}
		close(release)
		p.close()
	})
}

// TestOddServers: numbers and texts that no server should send.
func TestOddServers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		send string
		kind error
	}{
		"a negative offset": {stdout("x", -1), sandboxclient.ErrProtocol},
		"a huge offset":     {stdout("x", 1<<62), sandboxclient.ErrProtocol},
		"a huge error":      {`{"type":"error","error_type":"X","error":"` + strings.Repeat("é", 10<<20) + `"}`, sandboxclient.ErrOperation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) { c.until("execute"); c.send(started, tt.send); c.drain() })
				_, err := p.box().Run(t.Context(), "x", nil)
				if !errors.Is(err, tt.kind) || len(err.Error()) > 10<<10 {
					t.Errorf("%.100v of %d bytes", err, len(err.Error()))
				}
				p.close()
			})
		})
	}
}

// TestTerminalIsNotShared: the size that was given is the caller's again.
func TestTerminalIsNotShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sizes := func(c *conn) {
			if f := c.recv(); f["type"] == "resize" && f["cols"] != 80.0 {
				t.Errorf("%v", f)
			}
		}
		p := scripted(t, func(c *conn) { c.until("execute"); c.send(started); sizes(c); c.link.cut() },
			func(c *conn) { c.until("reconnect"); c.send(started); sizes(c); c.send(exit(0)); c.drain() })
		size := sandboxclient.WindowSize{Rows: 24, Cols: 80}
		c := p.box().Shell("")
		c.TTY = &size
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size.Cols = 999
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		p.close()
	})
}

// TestNoFrameLimit: a negative limit is none.
func TestNoFrameLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started, stdout(strings.Repeat("x", 65<<20), 0), exit(0))
			c.drain()
		})
		policy := steady
		policy.FrameLimit = -1
		r, err := p.box(sandboxclient.WithCommandPolicy(policy)).Run(t.Context(), "x", &sandboxclient.RunOptions{MaxOutput: 1 << 30})
		if err != nil || len(r.Stdout) != 65<<20 {
			t.Error(err)
		}
		p.close()
	})
}

// TestOutOfReachIsTold: once for each time, and not for a moment's loss.
func TestOutOfReachIsTold(t *testing.T) {
	t.Parallel()
	for outage, want := range map[time.Duration]int{sec: 0, time.Minute: 1} {
		synctest.Test(t, func(t *testing.T) {
			var until time.Time
			p := newPeer(t, func(c *conn) {
				c.recv()
				c.send(started)
				if c.n > 1 {
					c.send(exit(0))
					c.drain()
					return
				}
				c.pause(sec)
				until = time.Now().Add(outage)
				c.link.cut()
			})
			p.refuse = func(context.Context, int) (*http.Response, error) {
				if time.Now().Before(until) {
					return nil, errors.New("connection refused")
				}
				return nil, errAccept
			}
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			c := p.box(sandboxclient.WithLogger(logger)).Shell("x")
			c.Timeout = -1
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "\n"); n != 2*want {
				t.Errorf("an outage of %s: %d warnings, want %d:\n%s", outage, n, 2*want, log.String())
			}
			p.close()
		})
	}
}
