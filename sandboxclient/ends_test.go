package sandboxclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestEnds: how commands end, and when the caller has the result.
func TestEnds(t *testing.T) {
	t.Parallel()
	begin := func(c *conn) { c.recv(); c.send(started, stdout("hi", 0)) }
	silent := func(c *conn) { begin(c); c.drain() }
	late := func(c *conn) {
		begin(c)
		c.until("kill")
		c.pause(2 * sec)
		c.send(stdout("!", 2), exit(137))
		c.drain()
	}
	tests := map[string]struct {
		serve  []func(*conn)
		stdout string
		took   time.Duration
		kinds  []error
		not    error
	}{
		"T253 exit and close together": {
			[]func(*conn){func(c *conn) {
				begin(c)
				c.send(exit(0))
				c.closing(websocket.StatusNormalClosure)
				c.pause(sec)
				c.link.cut()
			}}, "hi", 0, nil, nil,
		},
		"T254 no close behind exit": {[]func(*conn){func(c *conn) { begin(c); c.send(exit(0)); c.drain() }}, "hi", 0, nil, nil},
		"T255 nothing at all": {
			[]func(*conn){silent},
			"hi", 41 * sec,
			[]error{sandboxclient.ErrCommandTimeout, sandboxclient.ErrTimeout, sandboxclient.ErrOperation, sandboxclient.ErrOutcomeUnknown},
			nil,
		},
		"T255 the kill is heard": {
			[]func(*conn){late}, "hi!", 33 * sec, []error{sandboxclient.ErrCommandTimeout}, sandboxclient.ErrOutcomeUnknown,
		},
		"T256 exit at once": {[]func(*conn){func(c *conn) { begin(c); c.send(exit(0)); c.drain() }}, "hi", 0, nil, nil},
		"T256 CommandTimeout": {
			[]func(*conn){func(c *conn) {
				begin(c)
				c.pause(sec)
				c.send(`{"type":"error","error":"timed out","error_type":"CommandTimeout"}`)
				c.drain()
			}}, "hi", sec, []error{sandboxclient.ErrCommandTimeout}, sandboxclient.ErrOutcomeUnknown,
		},
		"T133 CommandTimeout on a later connection": {
			[]func(*conn){func(c *conn) { begin(c); c.link.cut() }, func(c *conn) {
				c.recv()
				c.send(started)
				c.pause(500 * ms)
				c.send(`{"type":"error","error":"timed out","error_type":"CommandTimeout"}`)
				c.drain()
			}}, "hi", sec, []error{sandboxclient.ErrCommandTimeout}, nil,
		},
		"T255 nothing, on connections that are lost": {
			[]func(*conn){func(c *conn) { begin(c); c.pause(30 * sec); c.link.cut() }, late},
			"hi!", 33 * sec,
			[]error{sandboxclient.ErrCommandTimeout},
			sandboxclient.ErrOutcomeUnknown,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, tt.serve...)
				r, err := p.box().Run(t.Context(), "x", &sandboxclient.RunOptions{Timeout: sec})
				if (err != nil) != (tt.kinds != nil) || tt.not != nil && errors.Is(err, tt.not) {
					t.Errorf("error %v", err)
				}
				for _, kind := range tt.kinds {
					if !errors.Is(err, kind) {
						t.Errorf("%v is no %v", err, kind)
					}
				}
				if r == nil || r.Stdout != tt.stdout {
					t.Errorf("result %+v, want output %q", r, tt.stdout)
				}
				if took := time.Since(p.began); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				p.close()
			})
		})
	}
}

// TestDeadlineIsSent: the timeout that the server is told, and that none is
// as long as the context.
func TestDeadlineIsSent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		timeout, deadline time.Duration
		want              float64
	}{
		"T050 nothing said": {0, 0, 60},
		"T134 never":        {-1, 0, 0},
		"rounded up":        {1, 0, 1},
		"the context's":     {0, 90500 * ms, 91},
		"both":              {5 * sec, 90 * sec, 5},
		"as good as never":  {1<<63 - 1, 0, 2147483647},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) {
					if f := c.recv(); f["timeout_seconds"] != tt.want {
						t.Errorf("%v, want %v", f["timeout_seconds"], tt.want)
					}
					c.send(started, exit(0))
					c.drain()
				})
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				c := p.box().Shell("x")
				c.Timeout, c.IdleTimeout, c.KeepResult = tt.timeout, tt.timeout, tt.timeout
				if err := c.Run(ctx); err != nil {
					t.Error(err)
				}
				p.close()
			})
		})
	}
}

// TestFrameLimit: a frame that is too large is an error for good, not one
// after five attempts.
func TestFrameLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.recv()
			c.send(started, stdout("x", 0), stdout(strings.Repeat("y", 2000), 1))
			c.drain()
		})
		sb := p.box(sandboxclient.WithCommandPolicy(sandboxclient.CommandPolicy{FrameLimit: 1000}))
		r, err := sb.Run(t.Context(), "x", nil)
		if !errors.Is(err, sandboxclient.ErrTooLarge) || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || r.Stdout != "x" {
			t.Errorf("%+v, error %v", r, err)
		}
		p.at(0)
		p.close()
	})
}
