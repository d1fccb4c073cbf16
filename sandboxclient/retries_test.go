package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// succeed is a connection on which all goes well.
func succeed(c *conn) {
	c.until("execute")
	c.send(started, exit(0))
	c.drain()
}

// at checks when the handshakes began.
func (p *peer) at(want ...time.Duration) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.dials, want) {
		p.t.Errorf("handshakes at %v, want %v", p.dials, want)
	}
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

// TestStartRetries: a first attempt that fails, and a second one.
func TestStartRetries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		first  func(*conn) // nil if the handshake is refused
		refuse func(context.Context) (*http.Response, error)
		pause  time.Duration
	}{
		"T080 close 1000 before started":        {first: func(c *conn) { c.until("execute"); c.close(websocket.StatusNormalClosure) }, pause: 500 * ms},
		"T081 no answer":                        {refuse: hangs, pause: 30*sec + 500*ms},
		"T081 no answer to execute":             {first: (*conn).drain, pause: 30*sec + 500*ms},
		"T082 500":                              {refuse: status(500), pause: 500 * ms},
		"T082 502":                              {refuse: status(502), pause: 500 * ms},
		"T082 503":                              {refuse: status(503), pause: 500 * ms},
		"T082 504":                              {refuse: status(504), pause: 500 * ms},
		"T084 429":                              {refuse: status(429), pause: 500 * ms},
		"T085 429 with Retry-After":             {refuse: status(429, "Retry-After", "3"), pause: 3 * sec},
		"T085 503 with a long Retry-After":      {refuse: status(503, "Retry-After", "20"), pause: 20 * sec},
		"T095 reset before started":             {first: func(c *conn) { c.until("execute"); c.link.reset() }, pause: 500 * ms},
		"connection refused":                    {refuse: refused, pause: 500 * ms},
		"close 1001 before started":             {first: func(c *conn) { c.until("execute"); c.close(websocket.StatusGoingAway) }},
		"close without status before started":   {first: func(c *conn) { c.until("execute"); c.close(websocket.StatusNoStatusRcvd) }, pause: 500 * ms},
		"close 1011 before started":             {first: func(c *conn) { c.until("execute"); c.close(websocket.StatusInternalError) }, pause: 500 * ms},
		"cut before execute":                    {first: func(c *conn) { c.link.reset() }, pause: 500 * ms},
		"half-open from the handshake on":       {first: func(c *conn) { c.link.freeze() }, pause: 30*sec + 500*ms},
		"unknown frames instead of an answer":   {first: func(c *conn) { c.send(`{"type":"x"}`); c.drain() }, pause: 30*sec + 500*ms},
		"an agent frame, and then nothing":      {first: func(c *conn) { c.send(`{"type":"ssh_agent_close"}`); c.drain() }, pause: 30*sec + 500*ms},
		"a message that is never complete":      {first: func(c *conn) { _, _ = end{c.link, serverSide}.Write([]byte{0x01, 5, 'x'}); c.drain() }, pause: 30*sec + 500*ms},
		"an answer to the handshake, no peer":   {first: func(c *conn) { c.pause(time.Hour) }, pause: 30*sec + 500*ms},
		"close 1008 before started, once":       {first: func(c *conn) { c.until("execute"); c.close(websocket.StatusPolicyViolation) }, pause: 500 * ms},
		"close of an application, once":         {first: func(c *conn) { c.until("execute"); c.close(4000) }, pause: 500 * ms},
		"a server that closes in the middle":    {first: func(c *conn) { _, _ = end{c.link, serverSide}.Write([]byte{0x81}); c.link.cut() }, pause: 500 * ms},
		"a server that breaks the protocol":     {first: func(c *conn) { _, _ = end{c.link, serverSide}.Write([]byte{0xff, 0}); c.drain() }, pause: 500 * ms},
		"T097 execute arrived, started did not": {first: func(c *conn) { c.until("execute"); c.link.cut() }, pause: 500 * ms},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				scripts := []func(*conn){succeed}
				if tt.first != nil {
					scripts = []func(*conn){tt.first, succeed}
				}
				p := scripted(t, scripts...)
				if tt.refuse != nil {
					p.refuse = func(ctx context.Context, n int) (*http.Response, error) {
						if n > 0 {
							return nil, errAccept
						}
						return tt.refuse(ctx)
					}
				}
				if err := p.box().Shell("x").Run(t.Context()); err != nil {
					t.Error(err)
				}
				p.at(0, tt.pause)
				ids := map[any]bool{}
				for _, c := range p.connections() {
					for _, f := range c.sent("execute") {
						ids[f["command_id"]] = true
					}
				}
				if len(ids) != 1 {
					t.Errorf("the command has the names %v", ids)
				}
				p.close()
			})
		})
	}
}

// TestStartFails: starts that come to nothing, with what was tried.
func TestStartFails(t *testing.T) {
	t.Parallel()
	unknown := func(code int) func(context.Context) (*http.Response, error) {
		return func(context.Context) (*http.Response, error) {
			return reply(code, "internal database failure details"), nil
		}
	}
	tests := map[string]struct {
		refuse   func(context.Context) (*http.Response, error)
		policy   sandboxclient.CommandPolicy
		deadline time.Duration
		at       []time.Duration
		took     time.Duration
		kinds    []error
		text     string
		not      string
	}{
		"T083 400": {refuse: unknown(400), at: []time.Duration{0}, not: "database"},
		"T083 401": {refuse: unknown(401), at: []time.Duration{0}, kinds: []error{sandboxclient.ErrUnauthorized}},
		"T083 403": {refuse: unknown(403), at: []time.Duration{0}, kinds: []error{sandboxclient.ErrForbidden}},
		"T083 404": {refuse: unknown(404), at: []time.Duration{0}, kinds: []error{sandboxclient.ErrNotFound}},
		"T083 505": {refuse: unknown(505), at: []time.Duration{0}},
		"a 200":    {refuse: unknown(200), at: []time.Duration{0}, not: "database"},
		"T086 T107 each is refused": {
			refuse: refused, at: []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms}, took: 15500 * ms,
			kinds: []error{sandboxclient.ErrConnection}, text: "connection refused",
		},
		"T087 none is answered": {
			refuse: hangs, at: []time.Duration{0, 30500 * ms, 61500 * ms, 93500 * ms}, took: 2 * time.Minute,
			kinds: []error{sandboxclient.ErrConnection, sandboxclient.ErrTimeout},
		},
		"T088 a deadline": {
			refuse: hangs, deadline: 45 * sec, at: []time.Duration{0, 30500 * ms}, took: 45 * sec, kinds: []error{context.DeadlineExceeded},
		},
		"T089 the budget ends in a pause": {
			refuse: func(ctx context.Context) (*http.Response, error) {
				<-time.After(119900 * ms)
				return refused(ctx)
			},
			policy: sandboxclient.CommandPolicy{Jitter: -1, OpenTimeout: -1}, at: []time.Duration{0}, took: 2 * time.Minute,
			kinds: []error{sandboxclient.ErrConnection},
		},
		"T090 a short deadline": {refuse: refused, deadline: 100 * ms, at: []time.Duration{0}, took: 100 * ms, kinds: []error{context.DeadlineExceeded}},
		"T091 an id of the error": {
			refuse: func(context.Context) (*http.Response, error) {
				return reply(503, `{"detail":{"error":"ServiceUnavailable","message":"Service unavailable.","error_id":"err-503"}}`), nil
			},
			policy: sandboxclient.CommandPolicy{StartRetries: -1}, at: []time.Duration{0},
			kinds: []error{sandboxclient.ErrUnavailable}, text: "err-503",
		},
		"T092 no envelope": {refuse: unknown(502), policy: sandboxclient.CommandPolicy{StartRetries: -1}, at: []time.Duration{0}, not: "database"},
		"T093 no stream":   {refuse: unknown(404), at: []time.Duration{0}, text: "execute/ws returned 404"},
		"T094 no HTTP": {
			refuse: func(context.Context) (*http.Response, error) {
				return nil, errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`)
			},
			policy: sandboxclient.CommandPolicy{StartRetries: -1}, at: []time.Duration{0},
			kinds: []error{sandboxclient.ErrConnection}, text: "no valid HTTP answer; the sandbox may be stopped or unreachable",
		},
		"Retry-After beyond the budget": {
			refuse: status(429, "Retry-After", "600"), at: []time.Duration{0}, took: 0, kinds: []error{sandboxclient.ErrQuota},
		},
		"no WebSocket": {
			refuse: func(context.Context) (*http.Response, error) {
				resp := reply(http.StatusSwitchingProtocols, "")
				resp.Body = end{newLink(), clientSide}
				return resp, nil
			},
			took: 3 * sec, // which the library gives it to say why
			at:   []time.Duration{0}, kinds: []error{sandboxclient.ErrProtocol},
		},
		"a connection that cannot be written to": {
			refuse: func(context.Context) (*http.Response, error) {
				resp := reply(http.StatusSwitchingProtocols, "")
				resp.Body = io.NopCloser(strings.NewReader(""))
				return resp, nil
			},
			at: []time.Duration{0}, kinds: []error{sandboxclient.ErrProtocol},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t)
				p.refuse = func(ctx context.Context, _ int) (*http.Response, error) { return tt.refuse(ctx) }
				if tt.policy == (sandboxclient.CommandPolicy{}) {
					tt.policy = steady
				}
				ctx, cancel := context.WithCancel(t.Context())
				if tt.deadline != 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.deadline)
				}
				defer cancel()
				_, err := p.box(sandboxclient.WithCommandPolicy(tt.policy)).Run(ctx, "x", nil)
				took := time.Since(p.began)
				if err == nil {
					t.Fatal("no error")
				}
				for _, kind := range tt.kinds {
					if !errors.Is(err, kind) {
						t.Errorf("%v is no %v", err, kind)
					}
				}
				if errors.Is(err, sandboxclient.ErrOutcomeUnknown) != errors.Is(err, sandboxclient.ErrProtocol) {
					t.Errorf("%v: nothing was asked for", err)
				}
				if !strings.Contains(err.Error(), tt.text) || tt.not != "" && strings.Contains(err.Error(), tt.not) {
					t.Errorf("error %q, want %q without %q", err, tt.text, tt.not)
				}
				if took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				p.at(tt.at...)
				p.close()
			})
		})
	}
}

// TestT086EarlyEnds: connections that end before the command is acknowledged.
func TestT086EarlyEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(c *conn) { c.until("execute"); c.close(websocket.StatusNormalClosure) })
		err := p.box().Shell("x").Run(t.Context())
		e, ok := errors.AsType[*sandboxclient.DisconnectError](err)
		if !ok || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "1000") || !dashedUUIDv7.MatchString(e.ID) {
			t.Errorf("error %v", err)
		}
		p.at(0, 500*ms, 1500*ms, 3500*ms, 7500*ms, 15500*ms)
		p.close()
	})
}

func TestT096NameOfTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := func(c *conn) {
			if f := c.recv(); f["command_id"] != "cmd-123" || f["type"] != "reconnect" {
				t.Errorf("%v", f)
			}
		}
		p := scripted(t,
			func(c *conn) { c.until("execute"); c.send(started); c.link.cut() },
			func(c *conn) { check(c); c.send(started); c.link.cut() },
			func(c *conn) { check(c); c.send(started, exit(0)); c.drain() },
		)
		process, err := p.box().Shell("x").Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil || process.ID() != "cmd-123" {
			t.Error(err, process.ID())
		}
		p.close()
	})
}

// TestT098NoOtherWay: a command that cannot be streamed is not run otherwise.
func TestT098NoOtherWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, nil)
		p.refuse = func(context.Context, int) (*http.Response, error) { return nil, errors.New("no") }
		if _, err := p.box().Run(t.Context(), "x", nil); err == nil {
			t.Error("no error")
		}
		for _, path := range p.paths {
			if path != "GET /sb-1/execute/ws" {
				t.Errorf("request %s", path)
			}
		}
		p.close()
	})
}
