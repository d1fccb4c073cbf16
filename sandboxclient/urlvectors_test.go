package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// tap notes what is sent, and answers that there is no such sandbox.
type tap struct{ requests []*http.Request }

func (p *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	p.requests = append(p.requests, req)
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	return reply(404, `{"detail":{"error":"NotFound","message":"m"}}`), nil
}

// tapped is a handle on a sandbox whose requests are noted. Its client sends
// the key if there is one, and talks to anybody.
func tapped(t *testing.T, key string, info sandboxclient.Info, opts ...sandboxclient.Option) (*tap, *sandboxclient.Sandbox) {
	t.Helper()
	p := &tap{}
	c, err := sandboxclient.New(append([]sandboxclient.Option{
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint("http://localhost:1/v2/sandboxes"),
		sandboxclient.WithAPIKey(key), sandboxclient.WithPlaintext(),
		sandboxclient.WithHTTPClient(&http.Client{Transport: p}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	info.Name = "box1"
	return p, c.FromInfo(info)
}

// entrances are the three ways into a sandbox.
var entrances = map[string]func(context.Context, *sandboxclient.Sandbox) error{
	"execute": func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		return second(sb.Execute(ctx, "true", nil))
	},
	"stream": func(ctx context.Context, sb *sandboxclient.Sandbox) error { return second(sb.Run(ctx, "true", nil)) },
	"tunnel": func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		return second(sb.DialContext(ctx, "tcp", "localhost:80"))
	},
}

// TestURLVectors: where requests go. A WebSocket begins as HTTP: what is wss
// in the reference is seen as https here.
func TestURLVectors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ dataplane, way, want string }{
		"T001":         {"https://router.example.com/sb-123", "stream", "https://router.example.com/sb-123/execute/ws"},
		"T002":         {"http://localhost:8080", "stream", "http://localhost:8080/execute/ws"},
		"T003":         {"https://sandbox.example/base/", "execute", "https://sandbox.example/base/execute"},
		"T004":         {"https://sandbox.example/base/", "stream", "https://sandbox.example/base/execute/ws"},
		"T005":         {"wss://sandbox.example/b", "stream", "https://sandbox.example/b/execute/ws"},
		"T005 execute": {"ws://localhost/b", "execute", "http://localhost/b/execute"},
		"T010":         {"https://h/b?x=1", "stream", "https://h/b/execute/ws"},
		"T011":         {"http://localhost/", "tunnel", "http://localhost/tunnel"},
		"T012":         {"https://example.com/sb-1", "tunnel", "https://example.com/sb-1/tunnel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, fakeKey, sandboxclient.Info{DataplaneURL: tt.dataplane})
			if err := entrances[tt.way](t.Context(), sb); err == nil {
				t.Error("no error")
			}
			if len(p.requests) != 1 || p.requests[0].URL.String() != tt.want {
				t.Fatalf("sent %v, want one to %s", p.requests, tt.want)
			}
			if upgrade := p.requests[0].Header.Get("Upgrade"); (upgrade == "websocket") != (tt.way != "execute") {
				t.Errorf("upgrade %q", upgrade)
			}
		})
	}
}

// TestNowhereVectors: what is wrong here is not sent.
func TestNowhereVectors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dataplane string
		status    sandboxclient.Status
		want      error
		text      string
	}{
		"T006":              {"ftp://sandbox.example", "ready", sandboxclient.ErrInvalid, `scheme "ftp"`},
		"T007":              {"sandbox.example", "ready", sandboxclient.ErrInvalid, "data-plane URL"},
		"T008 ready":        {"", "ready", sandboxclient.ErrNoDataplane, `"box1"`},
		"T008 stopped":      {"", "stopped", sandboxclient.ErrNoDataplane, `"box1"`},
		"T008 provisioning": {"", "provisioning", sandboxclient.ErrNoDataplane, `"box1"`},
	} {
		for way, do := range entrances {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				p, sb := tapped(t, fakeKey, sandboxclient.Info{DataplaneURL: tt.dataplane, Status: tt.status})
				err := do(t.Context(), sb)
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || len(p.requests) != 0 {
					t.Errorf("%d requests, %v", len(p.requests), err)
				}
			})
		}
	}
}

// TestHeaderVectors: the key goes along each way, if there is one.
func TestHeaderVectors(t *testing.T) {
	t.Parallel()
	dp := sandboxclient.Info{DataplaneURL: "https://router.example.com/sb-123"}
	for way, do := range entrances {
		t.Run("T014 "+way, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, "test-key", dp)
			_ = do(t.Context(), sb)
			if got := p.requests[0].Header.Values("X-Api-Key"); len(got) != 1 || got[0] != "test-key" {
				t.Errorf("key %q", got)
			}
		})
		t.Run("T015 "+way, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, "", dp)
			_ = do(t.Context(), sb)
			if got, ok := p.requests[0].Header["X-Api-Key"]; ok {
				t.Errorf("key %q", got)
			}
		})
		t.Run("T016 "+way, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, fakeKey, dp, sandboxclient.WithHeader("X-Service-Key", "base"))
			_ = do(sandboxclient.ContextWithHeader(t.Context(), "x-service-key", "override"), sb)
			if got := p.requests[0].Header.Values("X-Service-Key"); len(got) != 1 || got[0] != "override" {
				t.Errorf("values %q", got)
			}
		})
		t.Run("T017 "+way, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, "k1", dp)
			ctx := sandboxclient.ContextWithHeader(t.Context(), "X-Api-Key", "override-key")
			_ = do(sandboxclient.ContextWithHeader(ctx, "X-Test-Header", "sandbox-run"), sb)
			h := p.requests[0].Header
			if got := h.Values("X-Api-Key"); len(got) != 1 || got[0] != "override-key" || h.Get("X-Test-Header") != "sandbox-run" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestPathVectors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ path, query string }{
		"T018": {"/app/test.txt", "path=%2Fapp%2Ftest.txt"},
		"T019": {"/app/a b+c%d&e=ü.txt", "%2Bc%25d%26e"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, sb := tapped(t, fakeKey, sandboxclient.Info{DataplaneURL: "https://router.example.com/sb-123"})
			_, _ = sb.ReadFile(t.Context(), tt.path)
			_ = sb.WriteFile(t.Context(), tt.path, nil)
			if len(p.requests) != 2 {
				t.Fatalf("%d requests", len(p.requests))
			}
			for _, req := range p.requests {
				query, err := url.ParseQuery(req.URL.RawQuery)
				if err != nil || query.Get("path") != tt.path || !strings.Contains(req.URL.RawQuery, tt.query) {
					t.Errorf("query %q, %v", req.URL.RawQuery, err)
				}
			}
		})
	}
}

// TestStateVectors: the server decides what a sandbox can do in its state.
func TestStateVectors(t *testing.T) {
	t.Parallel()
	const dp = "https://router.test/sb-1"
	for _, status := range []sandboxclient.Status{"stopped", "provisioning", "failed"} {
		for way, do := range entrances {
			t.Run("T009 "+string(status)+" "+way, func(t *testing.T) {
				t.Parallel()
				p, sb := tapped(t, fakeKey, sandboxclient.Info{DataplaneURL: dp, Status: status})
				_ = do(t.Context(), sb)
				if len(p.requests) != 1 {
					t.Errorf("%d requests", len(p.requests))
				}
			})
		}
	}
	t.Run("T020", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/stop") {
				return reply(204, ""), nil
			}
			return reply(200, `{"exit_code":0}`), nil
		}}
		sb := box(client(t, f))
		if err := sb.Stop(t.Context()); err != nil || sb.Info().DataplaneURL != dp {
			t.Fatalf("%q, %v", sb.Info().DataplaneURL, err)
		}
		if _, err := sb.Execute(t.Context(), "true", nil); err != nil || len(f.requests()) != 2 {
			t.Errorf("%d requests, %v", len(f.requests()), err)
		}
	})
}

// TestRetryVectors: an answer is "status" or "status Retry-After", "-" is no
// connection.
func TestRetryVectors(t *testing.T) {
	t.Parallel()
	noConnection := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, tt := range map[string]struct {
		answers  []string
		attempts int // of the policy; 0 is the default
		sent     int
		waits    []time.Duration // at least
		want     error
		text     string
	}{
		"T040 502":          {answers: []string{"502", "200"}, sent: 2, waits: []time.Duration{sec}},
		"T040 503":          {answers: []string{"503", "200"}, sent: 2, waits: []time.Duration{sec}},
		"T040 504":          {answers: []string{"504", "200"}, sent: 2, waits: []time.Duration{sec}},
		"T041":              {answers: []string{"429 2", "200"}, sent: 2, waits: []time.Duration{2 * sec}},
		"T042":              {answers: []string{"429", "200"}, sent: 2, waits: []time.Duration{sec}},
		"T042 not a number": {answers: []string{"429 not-a-number", "200"}, sent: 2, waits: []time.Duration{sec}},
		"T043":              {answers: []string{"-", "502", "200"}, sent: 3, waits: []time.Duration{sec, 2 * sec}},
		"T044":              {answers: []string{"502"}, sent: 4, waits: []time.Duration{sec, 2 * sec, 4 * sec}, want: sandboxclient.ErrUnavailable, text: "502"},
		"T045":              {answers: []string{"-"}, sent: 4, waits: []time.Duration{sec, 2 * sec, 4 * sec}, want: sandboxclient.ErrConnection, text: "after 4 attempts"},
		"T046 400":          {answers: []string{"400"}, sent: 1},
		"T046 401":          {answers: []string{"401"}, sent: 1, want: sandboxclient.ErrUnauthorized},
		"T046 404":          {answers: []string{"404"}, sent: 1, want: sandboxclient.ErrNotFound},
		"T046 409":          {answers: []string{"409"}, sent: 1},
		"T046 422":          {answers: []string{"422"}, sent: 1, want: sandboxclient.ErrInvalid},
		"T046 500":          {answers: []string{"500"}, sent: 1},
		"T047":              {answers: []string{"502"}, attempts: 1, sent: 1, want: sandboxclient.ErrUnavailable},
		"T048":              {answers: []string{"502", "502", "502", "200"}, sent: 4, waits: []time.Duration{sec, 2 * sec, 4 * sec}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
					at = append(at, time.Now())
					code, after, _ := strings.Cut(tt.answers[min(n, len(tt.answers)-1)], " ")
					if code == "-" {
						return nil, noConnection
					}
					return answered(code, after), nil
				}}
				policy := sandboxclient.DefaultRetryPolicy()
				if tt.attempts != 0 {
					policy.MaxAttempts = tt.attempts
				}
				_, err := client(t, f, sandboxclient.WithRetry(policy)).Get(t.Context(), "box1")
				last := tt.answers[len(tt.answers)-1]
				if (err == nil) != (last == "200") || tt.want != nil && !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v", err)
				}
				if len(at) != tt.sent {
					t.Fatalf("%d requests, want %d", len(at), tt.sent)
				}
				for i, least := range tt.waits {
					if wait := at[i+1].Sub(at[i]); wait < least || wait >= least+sec {
						t.Errorf("wait %d: %s, want %s to a second more", i, wait, least)
					}
				}
			})
		})
	}
	t.Run("T049", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: always(502, "")}
		_, err := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy()))).Execute(t.Context(), "true", nil)
		if len(f.requests()) != 1 || !errors.Is(err, sandboxclient.ErrUnavailable) {
			t.Errorf("%d requests, %v", len(f.requests()), err)
		}
	})
}

// answered is the answer of a status, which may say when to come again.
func answered(code, after string) *http.Response {
	statuses := map[string]int{"200": 200, "400": 400, "401": 401, "404": 404, "409": 409, "422": 422, "429": 429, "500": 500, "502": 502, "503": 503, "504": 504}
	body := `{"detail":{"error":"E","message":"m"}}`
	if code == "200" {
		body = `{"name":"box1"}`
	}
	resp := reply(statuses[code], body)
	if after != "" {
		resp.Header.Set("Retry-After", after)
	}
	return resp
}
