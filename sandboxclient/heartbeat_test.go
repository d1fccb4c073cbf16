package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestHeartbeat: a silent command on a connection that is well keeps it; one
// whose peer is gone is noticed by its silence.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	lively := func(c *conn) {
		c.recv()
		c.send(started)
		go func() { c.pause(20 * time.Minute); c.send(exit(0)) }()
		c.drain()
	}
	frozen := func(c *conn) { c.recv(); c.send(started); c.pause(10 * sec); c.link.freeze(); c.pause(time.Hour) }
	deaf := func(c *conn) { c.recv(); c.send(started); c.pause(time.Hour) } // no pong, as nobody reads
	ended := func(c *conn) { c.until("reconnect"); c.send(exit(0)); c.drain() }
	// Output is a sign of life: it says more than an answer that is late.
	busy := func(c *conn) {
		c.recv()
		c.send(started)
		for i := range 60 {
			c.pause(10 * sec)
			c.send(stdout("x", int64(i)))
		}
		c.send(exit(0))
		c.drain()
	}
	pinging := func(c *conn) {
		c.recv()
		c.send(started)
		go c.drain() // which takes the answers
		for range 5 {
			ctx, cancel := context.WithTimeout(c.peer.life, sec)
			if err := c.ws.Ping(ctx); err != nil {
				c.peer.t.Errorf("a ping of the server was not answered: %v", err)
			}
			cancel()
			c.pause(7 * sec)
		}
		c.send(exit(0))
		c.pause(sec)
	}
	tests := map[string]struct {
		serve  []func(*conn)
		policy sandboxclient.CommandPolicy
		at     []time.Duration
		took   time.Duration
	}{
		"silent and well":      {[]func(*conn){lively}, steady, []time.Duration{0}, 20 * time.Minute},
		"half-open":            {[]func(*conn){frozen, ended}, steady, []time.Duration{0, 90500 * ms}, 90500 * ms},
		"no answer to a ping":  {[]func(*conn){deaf, ended}, steady, []time.Duration{0, 90500 * ms}, 90500 * ms},
		"output, no answer":    {[]func(*conn){busy}, steady, []time.Duration{0}, 10 * time.Minute},
		"pings of the server":  {[]func(*conn){pinging}, steady, []time.Duration{0}, 35 * sec},
		"no pings of this one": {[]func(*conn){lively}, sandboxclient.CommandPolicy{PingInterval: -1}, []time.Duration{0}, 20 * time.Minute},
		"its own times": {
			[]func(*conn){frozen, ended},
			sandboxclient.CommandPolicy{Jitter: -1, PingInterval: 15 * sec, PingTimeout: 5 * sec},
			[]time.Duration{0, 20500 * ms},
			20500 * ms,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, tt.serve...)
				c := p.box(sandboxclient.WithCommandPolicy(tt.policy)).Shell("x")
				c.Timeout = -1
				if err := c.Run(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(p.began); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				p.at(tt.at...)
				p.close()
			})
		})
	}
}

// TestSlowReadersAreNotPinged: a connection that this side does not read is
// not given up for its silence, whatever writes to it.
func TestSlowReadersAreNotPinged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(large(1<<20)()))
		process := start(t, m.peer, func(c *sandboxclient.Cmd) {
			c.OpenStdin = true
			c.Stdout = writerFunc(func(b []byte) (int, error) {
				<-time.After(5 * time.Minute)
				return len(b), nil
			})
		})
		if _, err := io.WriteString(process, sentInput); err != nil {
			t.Error(err)
		}
		_ = process.CloseWrite()
		_ = process.Wait()
		if n := len(m.connections()); n != 1 {
			t.Errorf("%d connections", n)
		}
		m.close()
	})
}

// TestTimeoutsOfTheHTTPClient: they are for requests, not for connections.
func TestTimeoutsOfTheHTTPClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.recv()
			c.send(started)
			go func() { c.pause(time.Minute); c.send(exit(0)) }()
			c.drain()
		})
		hc := &http.Client{Transport: p, Timeout: 5 * sec}
		sb := p.box(sandboxclient.WithHTTPClient(hc), sandboxclient.WithRequestTimeout(5*sec))
		if err := sb.Shell("x").Run(t.Context()); err != nil {
			t.Error(err)
		}
		p.at(0)
		p.close()
	})
}

// TestPingThatCannotBeSent: a connection that cannot be written to is given up
// then, input or not, and is not tried again and again until patience ends.
func TestPingThatCannotBeSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(nil))
		times(1, inputRead, func(c *conn) bool { c.link.sever(); return true })(m)
		c := m.box().Shell("x")
		c.Timeout, c.Stdin = -1, strings.NewReader("x")
		err := c.Run(t.Context())
		if !errors.As(err, new(*sandboxclient.ExitError)) || string(m.only().input) != "x" {
			t.Errorf("error %v, input %q", err, m.only().input)
		}
		if took := time.Since(m.began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
		m.close()
	})
}
