package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var errDiskFull = errors.New("disk full")

// TestFailingWriters: a writer that fails has the command killed, and Wait
// says why; the other one has what came for it.
func TestFailingWriters(t *testing.T) {
	t.Parallel()
	fails := func([]byte) (int, error) { return 0, errDiskFull }
	short := func(b []byte) (int, error) { return len(b) - 1, nil }
	tests := map[string]struct {
		stdout, stderr func([]byte) (int, error)
		text           string
	}{
		"stdout":      {stdout: fails, text: "write stdout: disk full"},
		"stderr":      {stderr: fails, text: "write stderr: disk full"},
		"short write": {stdout: short, text: "short write"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, func(c *command) {
					for i := 0; c.sleep(time.Second); i++ {
						c.write(i%2, "output", false)
					}
				})
				var other bytes.Buffer
				c := m.box().Shell("x")
				c.Stdout, c.Stderr = &other, &other
				if tt.stdout != nil {
					c.Stdout = writerFunc(tt.stdout)
				} else {
					c.Stderr = writerFunc(tt.stderr)
				}
				err := c.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "the kill was acknowledged") {
					t.Errorf("error %v", err)
				}
				if tt.text != "short write" && !errors.Is(err, errDiskFull) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
					t.Errorf("error %v", err)
				}
				if cmd := m.only(); cmd.kills != 1 || time.Since(m.began) > 3*time.Second {
					t.Errorf("%d kills, %s", cmd.kills, time.Since(m.began))
				}
				m.close()
			})
		})
	}
}

// TestWriterThatFailsLast: of a command that has ended, the error of a writer
// is not lost.
func TestWriterThatFailsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, func(c *command) { c.write(0, "x", false); c.finish(exit(0)) })
		c := m.box().Shell("x")
		c.Stdout = writerFunc(func([]byte) (int, error) { <-time.After(time.Second); return 0, errDiskFull })
		if err := c.Run(t.Context()); !errors.Is(err, errDiskFull) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("error %v", err)
		}
		m.close()
	})
}

// TestSameWriter: one writer for both streams is called from one goroutine,
// in the order of arrival.
func TestSameWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(ordinary()))
		var inside atomic.Int32
		var all bytes.Buffer
		w := writerFunc(func(b []byte) (int, error) {
			if inside.Add(1) > 1 {
				t.Error("called twice at a time")
			}
			defer inside.Add(-1)
			<-time.After(50 * ms)
			return all.Write(b)
		})
		c := m.box().Shell("x")
		c.Stdout, c.Stderr = &w, &w
		err := c.Run(t.Context())
		intact(t, m, scenario{}, outcome{views{"both": all.String()}, err})
		m.close()
	})
}

// TestMaxOutput: more output than is wanted is an error, and what fitted is
// there.
func TestMaxOutput(t *testing.T) {
	t.Parallel()
	flood := func(c *command) {
		for c.sleep(ms) {
			c.write(0, "0123456789", false)
			c.write(1, "e", false)
		}
	}
	runs := map[string]func(ctx context.Context, sb *sandboxclient.Sandbox) (int, error){
		"Run": func(ctx context.Context, sb *sandboxclient.Sandbox) (int, error) {
			r, err := sb.Run(ctx, "x", &sandboxclient.RunOptions{MaxOutput: 1000})
			return len(r.Stdout) + len(r.Stderr), err
		},
		"Output": func(ctx context.Context, sb *sandboxclient.Sandbox) (int, error) {
			c := sb.Shell("x")
			c.MaxOutput = 1000
			out, err := c.Output(ctx)
			return len(out), err
		},
		"CombinedOutput": func(ctx context.Context, sb *sandboxclient.Sandbox) (int, error) {
			c := sb.Shell("x")
			c.MaxOutput = 1000
			out, err := c.CombinedOutput(ctx)
			return len(out), err
		},
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, flood)
				n, err := run(t.Context(), m.box())
				if n != 1000 || !errors.Is(err, sandboxclient.ErrTooLarge) || !strings.Contains(err.Error(), "1000 bytes") {
					t.Errorf("%d bytes, error %v", n, err)
				}
				if m.only().kills != 1 {
					t.Error("the command was not killed")
				}
				m.close()
			})
		})
	}
}

// TestLeaveStream: leaving the loop, in any way, kills the command.
func TestLeaveStream(t *testing.T) {
	t.Parallel()
	flood := func(c *command) {
		for i := 0; c.sleep(ms); i++ {
			c.write(i%2, strings.Repeat("x", 100<<10), false)
		}
	}
	loops := map[string]func(ctx context.Context, c *sandboxclient.Cmd){
		"break": func(ctx context.Context, c *sandboxclient.Cmd) {
			for range c.Stream(ctx) {
				break
			}
		},
		"panic": func(ctx context.Context, c *sandboxclient.Cmd) {
			defer func() { _ = recover() }()
			for range c.Stream(ctx) {
				panic("out of the loop")
			}
		},
		"context": func(ctx context.Context, c *sandboxclient.Cmd) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			var last error
			for _, err := range c.Stream(ctx) {
				cancel()
				last = err
			}
			if !errors.Is(last, context.Canceled) {
				t.Errorf("error %v", last)
			}
		},
	}
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, flood)
				loop(t.Context(), m.box().Shell("x"))
				if m.only().kills != 1 || time.Since(m.began) > time.Minute {
					t.Errorf("%d kills, after %s", m.only().kills, time.Since(m.began))
				}
				m.close()
			})
		})
	}
}

// TestChunkOffsets: chunks tell their places, and of what is missing.
func TestChunkOffsets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.recv()
			c.send(started, stdout("é", 0), stderr("ab", 0), stdout("", 2), stdout("c", 2))
			c.link.cut()
		}, func(c *conn) {
			c.recv()
			c.send(stdout("cd", 2), stderr("z", 9), exit(0))
			c.drain()
		})
		var got []string
		var last error
		for chunk, err := range p.box().Shell("x").Stream(t.Context()) {
			if last = err; err == nil {
				got = append(got, fmt.Sprintf("%v %d %s", chunk.Stream, chunk.Offset, chunk.Data))
			}
		}
		if want := "stdout 0 é,stderr 0 ab,stdout 2 c,stdout 3 d,stderr 9 z"; strings.Join(got, ",") != want {
			t.Errorf("%q, want %q", got, want)
		}
		if e, ok := errors.AsType[*sandboxclient.GapError](last); !ok || e.Lost != (sandboxclient.Position{Stderr: 7}) || e.Err != nil {
			t.Errorf("error %v", last)
		}
		p.close()
	})
}

// TestBackPressure: a server is held back when nobody takes the output.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var sent atomic.Int64
		p := scripted(t, func(c *conn) {
			c.recv()
			c.send(started)
			go c.drain()
			text := strings.Repeat("x", 32<<10)
			for i := range 320 {
				c.send(stdout(text, int64(i*len(text))))
				sent.Add(int64(len(text)))
			}
			c.send(exit(0))
		})
		var n atomic.Int64
		process := start(t, p, func(c *sandboxclient.Cmd) {
			c.Stdout = writerFunc(func(b []byte) (int, error) {
				<-release
				n.Add(int64(len(b)))
				return len(b), nil
			})
		})
		<-time.After(time.Hour)
		// The budget, a batch that is being written, what was read ahead, and
		// what is on its way.
		if most := int64(2*256<<10 + 256<<10 + linkRoom + 128<<10); sent.Load() > most {
			t.Errorf("%d bytes were taken, more than %d", sent.Load(), most)
		}
		close(release)
		if err := process.Wait(); err != nil || n.Load() != 10<<20 {
			t.Errorf("%d bytes, error %v", n.Load(), err)
		}
		p.close()
	})
}
