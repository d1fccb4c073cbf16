package sandboxclient_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestHandshakeHeaders: each connection has the headers of the client, and
// asks for nothing that is not served.
func TestHandshakeHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t,
			func(c *conn) { c.recv(); c.send(started); c.link.cut() },
			func(c *conn) { c.recv(); c.send(exit(0)); c.drain() },
		)
		sb := p.box(sandboxclient.WithHeader("X-Service-Key", "service"), sandboxclient.WithUserAgent("product", "7"))
		if err := sb.Shell("x").Run(t.Context()); err != nil {
			t.Error(err)
		}
		if len(p.seen) != 2 {
			t.Fatalf("%d handshakes", len(p.seen))
		}
		for i, h := range p.seen {
			for name, want := range map[string]string{
				"X-Api-Key": fakeKey, "X-Service-Key": "service", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Extensions": "", "Sec-WebSocket-Protocol": "",
			} {
				if got := h.Values(name); len(got) > 1 || h.Get(name) != want {
					t.Errorf("handshake %d: %s is %q, want %q", i, name, got, want)
				}
			}
			if p.hosts[i] != "router.test" {
				t.Errorf("handshake %d went to %s", i, p.hosts[i])
			}
		}
		p.close()
	})
}

// TestHandshakeRedirects: a handshake that is sent elsewhere is refused, and
// nothing goes there.
func TestHandshakeRedirects(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"https://evil.test/steal", "wss://evil.test/steal", "/elsewhere"} {
		for _, later := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := scripted(t, func(c *conn) { c.recv(); c.send(started); c.link.cut() })
				p.refuse = func(_ context.Context, n int) (*http.Response, error) {
					if later && n == 0 {
						return nil, errAccept
					}
					resp := reply(http.StatusTemporaryRedirect, "")
					resp.Header.Set("Location", target)
					return resp, nil
				}
				hc := &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
				err := p.box(sandboxclient.WithHTTPClient(hc)).Shell("x").Run(t.Context())
				e, ok := errors.AsType[*sandboxclient.APIError](err)
				if !ok || e.StatusCode != http.StatusTemporaryRedirect || errors.Is(err, sandboxclient.ErrOutcomeUnknown) != later {
					t.Errorf("error %v", err)
				}
				want := 1
				if later {
					want = 2
				}
				if len(p.hosts) != want {
					t.Errorf("handshakes with %v", p.hosts)
				}
				for i, host := range p.hosts {
					if host != "router.test" || p.paths[i] != "GET /sb-1/execute/ws" {
						t.Errorf("handshake with %s%s", host, p.paths[i])
					}
				}
				p.close()
			})
		}
	}
}

// TestHandshakeNeedsADataplane: without an address there is nothing to try.
func TestHandshakeNeedsADataplane(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]error{
		"": sandboxclient.ErrNoDataplane, "ftp://router.test": sandboxclient.ErrInvalid, "http://router.test/sb": sandboxclient.ErrInvalid,
	} {
		f := &fake{answer: always(500, "")}
		sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: raw})
		_, err := sb.Run(t.Context(), "x", nil)
		_, attachErr := sb.Attach(t.Context(), "x", nil)
		if !errors.Is(err, want) || !errors.Is(attachErr, want) || len(f.requests()) != 0 {
			t.Errorf("%q: errors %v and %v, %d requests", raw, err, attachErr, len(f.requests()))
		}
	}
}
