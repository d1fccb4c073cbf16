package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestDataplaneURLs: where a command goes for an address of a sandbox, or why
// it goes nowhere.
func TestDataplaneURLs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw   string
		want  string // host and path
		error string
	}{
		"plain":            {"https://router.example.com/sb-123", "router.example.com/sb-123/execute", ""},
		"no path":          {"http://localhost:8080", "localhost:8080/execute", ""},
		"a slash behind":   {"https://sandbox.example/base/", "sandbox.example/base/execute", ""},
		"slashes behind":   {"https://sandbox.example/base///", "sandbox.example/base/execute", ""},
		"query, fragment":  {"https://h/b?x=1#f", "h/b/execute", ""},
		"an escaped slash": {"https://h/a%2Fb", "h/a%2Fb/execute", ""},
		"a strange path":   {"https://h/a:b/c", "h/a:b/c/execute", ""},
		"ftp":              {"ftp://sandbox.example", "", `data-plane URL has the scheme "ftp"`},
		"WebSocket":        {"wss://sandbox.example/b", "sandbox.example/b/execute", ""},
		"like a WebSocket": {"wsx://sandbox.example/b", "", `data-plane URL has the scheme "wsx"`},
		"less safe, ws":    {"ws://h/sb", "", "data-plane URL is not encrypted although the endpoint is"},
		"no scheme":        {"sandbox.example", "", `data-plane URL has the scheme ""`},
		"no host":          {"https:///sb-1", "", "data-plane URL has no host"},
		"a password":       {"https://u:hunter2@h/sb", "", "data-plane URL holds a user name or password"},
		"less safe":        {"http://h/sb", "", "data-plane URL is not encrypted although the endpoint is"},
		"none":             {"", "", `"a": no data-plane address`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, "{}")}
			sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: tt.raw})
			_, err := sb.Execute(t.Context(), "true", nil)
			if tt.error != "" {
				_, readErr := sb.Download(t.Context(), "/x", nil)
				for _, err := range []error{err, readErr, sb.WriteFile(t.Context(), "/x", nil)} {
					if err == nil || !strings.Contains(err.Error(), tt.error) || strings.Contains(err.Error(), "hunter2") {
						t.Errorf("error %v, want one with %q", err, tt.error)
					}
				}
				if none := errors.Is(err, sandboxclient.ErrNoDataplane); none != (tt.raw == "") || none == errors.Is(err, sandboxclient.ErrInvalid) {
					t.Errorf("error %v matches %q", err, matched(err))
				}
				if len(f.requests()) != 0 {
					t.Errorf("%d requests were sent", len(f.requests()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := f.requests()[0]; got.host+got.path != tt.want || got.query != "" || got.header.Get("X-Api-Key") != fakeKey {
				t.Errorf("sent to %s%s?%s, want %s", got.host, got.path, got.query, tt.want)
			}
		})
	}
}

// TestStateIsTheServersToJudge: a request goes to a sandbox whatever the state
// that was last seen, since that may be old.
func TestStateIsTheServersToJudge(t *testing.T) {
	t.Parallel()
	for _, status := range []sandboxclient.Status{"provisioning", "stopped", "failed", "deleting", "unheard-of"} {
		f := &fake{answer: always(200, "{}")}
		sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a", Status: status, DataplaneURL: "https://r.test"})
		if _, err := sb.Execute(t.Context(), "true", nil); err != nil || len(f.requests()) != 1 {
			t.Errorf("%s: %d requests, error %v", status, len(f.requests()), err)
		}
	}
}

// TestRedirectsLeadNowhere: neither key nor body follows one, to another host
// or to the same.
func TestRedirectsLeadNowhere(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(func() {
		evil.Close()
		if n := strayed.Load(); n != 0 {
			t.Errorf("%d requests reached another host", n)
		}
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{evil.URL + "/steal?secret=1", "/elsewhere"} {
			t.Run(fmt.Sprint(status, target[:4]), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					http.Redirect(w, r, target, status)
				}))
				defer srv.Close()
				followed := false
				c, err := sandboxclient.New(
					sandboxclient.WithEndpoint(srv.URL), sandboxclient.WithAPIKey(fakeKey),
					sandboxclient.WithHTTPClient(&http.Client{Transport: srv.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
						followed = true
						return nil
					}}),
				)
				if err != nil {
					t.Fatal(err)
				}
				sb := c.FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: srv.URL})
				_, getErr := c.Get(t.Context(), "a")
				_, createErr := c.Create(t.Context(), nil)
				_, runErr := sb.Execute(t.Context(), "true", nil)
				for _, err := range []error{getErr, createErr, runErr, sb.WriteFile(t.Context(), "/a", []byte("x"))} {
					api, ok := errors.AsType[*sandboxclient.APIError](err)
					if !ok || api.StatusCode != status || strings.Contains(err.Error(), "secret") {
						t.Errorf("error %v, want an APIError with status %d and no query", err, status)
					}
				}
				if requests.Load() != 4 || followed {
					t.Errorf("%d requests, want 4; the caller's policy was asked: %t", requests.Load(), followed)
				}
			})
		}
	}
}

// TestErrorsOfConnectionsHoldNoSecrets: with the real transport, whose errors
// name addresses.
func TestErrorsOfConnectionsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := sandboxclient.New(
		sandboxclient.WithEndpoint(address+"/base?secret-query"), sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHeader("Authorization", "Bearer secret-token"), sandboxclient.WithRetry(sandboxclient.RetryPolicy{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	sb := c.FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: address + "/sb?secret-query"})
	ctx := sandboxclient.ContextWithHeader(t.Context(), "X-Service-Key", "secret-service")
	_, runErr := sb.Execute(ctx, "echo secret-command", nil)
	for _, err := range []error{second(c.Get(ctx, "a")), runErr, sb.WriteFile(ctx, "/a", []byte("secret-content"))} {
		if !errors.Is(err, sandboxclient.ErrConnection) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %q, want one of the connection without secrets", err)
		}
	}
}

// TestRawClient: the generated client has the facade's address, key and
// retries, and nobody else gets the key.
func TestRawClient(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, "{}")}
	api := client(t, f).API()
	resp, err := api.GetSandbox(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err = api.GetSandbox(t.Context(), "a", func(_ context.Context, req *http.Request) error {
		req.URL.Host = "evil.test"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	seen := f.requests()
	if seen[0].host != "api.test" || seen[0].path != "/v2/sandboxes/boxes/a%2Fb" || seen[0].header.Get("X-Api-Key") != fakeKey {
		t.Errorf("sent %+v", seen[0])
	}
	if seen[1].host != "evil.test" || seen[1].header.Get("X-Api-Key") != "" {
		t.Errorf("another host got %+v", seen[1])
	}
}
