package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var errWanted = errors.New("no longer wanted")

// endings are the ways in which a context ends.
func endings(parent context.Context) map[string]func() (context.Context, context.CancelFunc) {
	return map[string]func() (context.Context, context.CancelFunc){
		"canceled": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(parent)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"deadline": func() (context.Context, context.CancelFunc) { return context.WithTimeout(parent, time.Second) },
		"cause": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(parent)
			time.AfterFunc(time.Second, func() { cancel(errWanted) })
			return ctx, func() { cancel(nil) }
		},
	}
}

// TestContextEnd: a context that ends has the command killed, and the error
// says whether that was acknowledged.
func TestContextEnd(t *testing.T) {
	t.Parallel()
	kinds := map[string][]error{
		"canceled": {context.Canceled}, "deadline": {context.DeadlineExceeded}, "cause": {context.Canceled, errWanted},
	}
	tests := map[string]struct {
		answer  func(*conn) // to the kill
		acked   bool
		took    time.Duration
		stdout  string
		reached string
	}{
		"acknowledged": {func(c *conn) { c.send(stdout("!", 1), exit(137)); c.drain() }, true, sec, "x!", "the kill was acknowledged"},
		"acknowledged late": {
			func(c *conn) { c.pause(9 * sec); c.send(stdout("!", 1), exit(137)); c.drain() }, true, 5500 * ms, "x!", "the kill was acknowledged", // on a connection of its own, since that one is silent
		},
		"not answered": {(*conn).drain, false, 11 * sec, "x", "the kill was not acknowledged"},
		"lost":         {func(c *conn) { c.link.reset() }, true, 1500 * ms, "x!", "the kill was acknowledged"},
		"a frozen connection": {
			func(c *conn) { c.link.freeze(); c.drain() }, true, 5500 * ms, "x!", "the kill was acknowledged",
		},
		"output without an end": {
			func(c *conn) {
				for i := 1; c.send(stdout("", int64(i))); i++ {
					c.pause(100 * ms)
				}
			}, false, 11 * sec, "x", "the kill was not acknowledged",
		},
	}
	for name, tt := range tests {
		for how := range kinds {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := scripted(t, func(c *conn) {
						c.until("execute")
						c.send(started, stdout("x", 0))
						if c.until("kill") {
							tt.answer(c)
						}
					}, func(c *conn) {
						c.until("kill")
						c.send(stdout("!", 1), exit(137))
						c.drain()
					})
					ctx, cancel := endings(t.Context())[how]()
					defer cancel()
					r, err := p.box().Run(ctx, "x", nil)
					for _, kind := range kinds[how] {
						if !errors.Is(err, kind) {
							t.Errorf("%v is no %v", err, kind)
						}
					}
					if errors.Is(err, sandboxclient.ErrOutcomeUnknown) == tt.acked || !strings.Contains(fmt.Sprint(err), tt.reached) {
						t.Errorf("error %v", err)
					}
					if took := time.Since(p.began); took != tt.took {
						t.Errorf("it took %s, want %s", took, tt.took)
					}
					if r == nil || r.Stdout != tt.stdout {
						t.Errorf("result %+v", r)
					}
					p.close()
				})
			})
		}
	}
}

// TestContextEndsBefore: a context that ends before the command runs.
func TestContextEndsBefore(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refuse func(context.Context) (*http.Response, error)
		serve  func(*conn)
		asked  bool // the command may run
	}{
		"T088 during the handshake": {refuse: hangs},
		"T090 in a pause":           {refuse: refused},
		"before started":            {serve: (*conn).drain, asked: true},
		"in a pause, asked for":     {serve: func(c *conn) { c.recv(); c.pause(50 * ms); c.link.reset() }, asked: true},
		"behind a reconnect that nobody answers": {serve: func(c *conn) {
			if c.n > 0 {
				c.drain()
			}
			c.recv()
			c.link.reset()
		}, asked: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, tt.serve)
				if tt.refuse != nil {
					p.refuse = func(ctx context.Context, _ int) (*http.Response, error) { return tt.refuse(ctx) }
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
				defer cancel()
				_, err := p.box().Shell("x").Start(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) != tt.asked {
					t.Errorf("error %v", err)
				}
				if took := time.Since(p.began); !tt.asked && took != 100*ms || took > 11*sec {
					t.Errorf("it took %s", took)
				}
				p.close()
			})
		})
	}
	t.Run("at first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, nil)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errWanted)
			if _, err := p.box().Run(ctx, "x", nil); !errors.Is(err, context.Canceled) || !errors.Is(err, errWanted) {
				t.Errorf("error %v", err)
			}
			if _, err := p.box().Attach(ctx, "x", nil); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			p.at()
			p.close()
		})
	})
}

// TestKill: a kill in any state of the connection.
func TestKill(t *testing.T) {
	t.Parallel()
	type script struct {
		serve []func(*conn)
		code  int
		at    []time.Duration
	}
	reconnectAndDie := func(c *conn) {
		c.until("reconnect")
		if f := c.recv(); f["type"] != "kill" {
			c.peer.t.Errorf("the first frame is %v", f)
		}
		c.send(started, exit(137))
		c.drain()
	}
	begin := func(c *conn) { c.until("execute"); c.send(started) }
	tests := map[string]script{
		"T141 connected": {[]func(*conn){func(c *conn) { begin(c); c.until("kill"); c.send(exit(137)); c.drain() }}, 137, []time.Duration{0}},
		"T115 and then the connection is lost": {
			[]func(*conn){func(c *conn) { begin(c); c.until("kill"); c.link.reset() }, reconnectAndDie}, 137, []time.Duration{0, 1500 * ms},
		},
		"T116 in a pause": {
			[]func(*conn){func(c *conn) { begin(c); c.pause(800 * ms); c.link.cut() }, reconnectAndDie}, 137, []time.Duration{0, sec},
		},
		"ended already": {[]func(*conn){func(c *conn) { begin(c); c.send(exit(3)); c.drain() }}, 3, []time.Duration{0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, tt.serve...)
				process, err := p.box().Shell("x").Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(sec)
				for range 2 {
					if err := process.Kill(t.Context()); err != nil {
						t.Error(err)
					}
				}
				exit, ok := errors.AsType[*sandboxclient.ExitError](process.Wait())
				if !ok || exit.Code != tt.code || process.ExitCode() != tt.code {
					t.Errorf("error %v, exit code %d", process.Wait(), process.ExitCode())
				}
				if err := process.Kill(t.Context()); err != nil {
					t.Errorf("a kill of what has ended: %v", err)
				}
				p.at(tt.at...)
				p.close()
			})
		})
	}
}

// TestKillUnanswered: what does not end is given up.
func TestKillUnanswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) { c.until("execute"); c.send(started, stdout("x", 0)); c.drain() })
		c := p.box().Shell("x")
		c.WaitDelay = 3 * sec
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Kill(t.Context()); err != nil {
			t.Error(err)
		}
		e, ok := errors.AsType[*sandboxclient.DisconnectError](process.Wait())
		if !ok || e.From.Stdout != 1 || process.ExitCode() != -1 || time.Since(p.began) != 3*sec {
			t.Errorf("%v after %s, exit code %d", process.Wait(), time.Since(p.began), process.ExitCode())
		}
		p.close()
	})
}

// TestKillPassesInputAndOutput: a kill does not wait behind input that the
// server does not take, nor behind output that a writer does not take.
func TestKillPassesInputAndOutput(t *testing.T) {
	t.Parallel()
	t.Run("input", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := scripted(t, func(c *conn) {
				c.until("execute")
				c.send(started)
				c.pause(time.Hour)
			}, func(c *conn) {
				c.until("kill")
				c.send(exit(137))
				c.drain()
			})
			c := p.box().Shell("x")
			c.OpenStdin = true
			process, err := c.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wrote := make(chan error, 1)
			go func() {
				_, err := process.Write(bytes.Repeat([]byte("x"), 1<<20))
				wrote <- err
			}()
			synctest.Wait()
			if err := process.Kill(t.Context()); err != nil {
				t.Error(err)
			}
			if err := process.Wait(); !errors.As(err, new(*sandboxclient.ExitError)) || <-wrote == nil {
				t.Errorf("error %v", err)
			}
			if took := time.Since(p.began); took > 5*sec {
				t.Errorf("it took %s", took)
			}
			p.close()
		})
	})
	t.Run("output", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			p := scripted(t, func(c *conn) {
				c.until("execute")
				c.send(started)
				text := strings.Repeat("x", 64<<10)
				go func() {
					for i := 0; c.send(stdout(text, int64(i*len(text)))); i++ {
					}
				}()
				if c.until("kill") {
					close(release)
					c.link.cut()
				}
			}, func(c *conn) {
				c.until("kill")
				c.send(exit(137))
				c.drain()
			})
			c := p.box().Shell("x")
			c.Timeout = -1
			c.Stdout = writerFunc(func(b []byte) (int, error) { <-release; return len(b), nil })
			process, err := c.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * time.Minute) // and no ping takes the silence amiss
			if err := process.Kill(t.Context()); err != nil {
				t.Error(err)
			}
			_ = process.Wait()
			if n := len(p.connections()); n > 2 {
				t.Errorf("%d connections", n)
			}
			p.close()
		})
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestBlockedWriter: a writer that never returns holds up nobody for longer
// than WaitDelay.
func TestBlockedWriter(t *testing.T) {
	t.Parallel()
	stops := map[string]func(p *sandboxclient.Process, cancel context.CancelFunc) error{
		"context": func(_ *sandboxclient.Process, cancel context.CancelFunc) error { cancel(); return nil },
		"kill":    func(p *sandboxclient.Process, _ context.CancelFunc) error { return p.Kill(context.Background()) }, //nolint:usetesting // it ends by itself
		"detach":  func(p *sandboxclient.Process, _ context.CancelFunc) error { return p.Detach() },
		"end":     nil,
	}
	for name, stop := range stops {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/alive %v", name, alive), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					size := 64 << 10
					p := newPeer(t, func(c *conn) {
						if c.n > 0 || !c.until("execute") {
							return
						}
						text := strings.Repeat("x", size)
						frames := 64
						if stop == nil {
							frames = 2
						}
						c.send(started)
						go func() {
							for i := range frames {
								if !c.send(stdout(text, int64(i*size))) {
									return
								}
							}
							c.send(exit(0))
						}()
						if !alive {
							c.pause(500 * ms)
							c.link.reset()
						}
						c.drain()
					})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					c := p.box().Shell("x")
					c.WaitDelay = 5 * sec
					c.Stdout = writerFunc(func(b []byte) (int, error) { <-release; return len(b), nil })
					process, err := c.Start(ctx)
					if err != nil {
						t.Fatal(err)
					}
					<-time.After(sec)
					if stop == nil {
						cancel()
					} else if err := stop(process, cancel); (err != nil) != (name == "kill" && !alive || name == "detach") {
						t.Errorf("%s: %v", name, err)
					}
					if err := process.Wait(); err == nil || process.ExitCode() > 0 {
						t.Errorf("%v, exit code %d", err, process.ExitCode())
					}
					if took := time.Since(p.began); took > 7*sec {
						t.Errorf("it took %s", took)
					}
					close(release)
					p.close()
				})
			})
		}
	}
}
