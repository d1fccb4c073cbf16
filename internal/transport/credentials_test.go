package transport_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

func parsed(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestKeyByHost: the key and the client's headers go to the endpoint and to
// the sandbox of the call, whose scheme and port count, and nowhere else.
func TestKeyByHost(t *testing.T) {
	t.Parallel()
	const endpoint, dataplane = "https://api.test", "https://router.test:8443/sb-1"
	tests := map[string]struct {
		address, dataplane string
		keyed              bool
	}{
		"endpoint":                   {endpoint + "/v2/sandboxes", "", true},
		"endpoint, other case":       {"https://API.test/v2", "", true},
		"endpoint, port spelled out": {"https://api.test:443/v2", "", true},
		"endpoint, other port":       {"https://api.test:8443/v2", "", false},
		"endpoint, other scheme":     {"http://api.test/v2", "", false},
		"host that ends alike":       {"https://evil-api.test/v2", "", false},
		"host that starts alike":     {"https://api.test.evil/v2", "", false},
		"sandbox":                    {"https://router.test:8443/sb-1/execute", dataplane, true},
		"sandbox, other port":        {"https://router.test/sb-1/execute", dataplane, false},
		"sandbox of another call":    {"https://router.test:8443/sb-1/execute", "", false},
		"endpoint, from a sandbox":   {endpoint, dataplane, true},
		"elsewhere, from a sandbox":  {"https://evil.test", dataplane, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got http.Header
			hc := scripted(func(_ int, req *http.Request) (*http.Response, error) {
				got = req.Header
				return status(http.StatusOK, ""), nil
			}).client()
			doer := transport.New(transport.Config{
				Endpoint: parsed(t, endpoint), APIKey: "k", Header: http.Header{"X-Tenant-Id": {"t"}},
				Client: hc, Logger: slog.New(slog.DiscardHandler),
			})
			var call transport.Call
			if tt.dataplane != "" {
				call.Dataplane = parsed(t, tt.dataplane)
			}
			ctx := transport.WithHeader(transport.WithCall(t.Context(), call), "X-Mine", "m")
			if _, err := doer.Do(request(t, http.MethodGet, tt.address, nil).WithContext(ctx)); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"X-Api-Key", "X-Tenant-Id", "X-Mine"} {
				if got := got.Get(key) != ""; got != tt.keyed {
					t.Errorf("%s sent: %t, want %t", key, got, tt.keyed)
				}
			}
		})
	}
}

// TestMoreSpecificHeaderWins: that of the call over that of the client over
// the key, whatever the case of its name.
func TestMoreSpecificHeaderWins(t *testing.T) {
	t.Parallel()
	var got http.Header
	hc := scripted(func(_ int, req *http.Request) (*http.Response, error) {
		got = req.Header
		return status(http.StatusOK, ""), nil
	}).client()
	send := func(header http.Header, perCall map[string]string) {
		ctx := t.Context()
		for key, value := range perCall {
			ctx = transport.WithHeader(ctx, key, value) //nolint:fatcontext // one layer a header
		}
		doer := transport.New(transport.Config{Endpoint: parsed(t, "https://h.test"), APIKey: "k", Header: header, Client: hc, Logger: slog.New(slog.DiscardHandler)})
		if _, err := doer.Do(request(t, http.MethodGet, "https://h.test/", nil).WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		client  http.Header
		perCall map[string]string
		want    string
	}{
		{nil, nil, "k"},
		{http.Header{"X-Api-Key": {"client"}}, nil, "client"},
		{http.Header{"X-Api-Key": {"client"}}, map[string]string{"x-api-key": "call"}, "call"},
		{nil, map[string]string{"X-API-KEY": "call"}, "call"},
	} {
		send(tt.client, tt.perCall)
		if values := got.Values("X-Api-Key"); !slices.Equal(values, []string{tt.want}) {
			t.Errorf("client %v, call %v: sent %q, want %q once", tt.client, tt.perCall, values, tt.want)
		}
	}
}

// TestHeadersOfCalls: each layer adds to the one below and changes nothing of
// it; all can be taken off.
func TestHeadersOfCalls(t *testing.T) {
	t.Parallel()
	outer := transport.WithHeader(t.Context(), "X-A", "1")
	inner := transport.WithHeader(outer, "X-A", "2")
	for name, tt := range map[string]struct {
		req  *http.Request
		want string
	}{
		"outer": {request(t, http.MethodGet, "https://h.test/", nil).WithContext(outer), "1"},
		"inner": {request(t, http.MethodGet, "https://h.test/", nil).WithContext(inner), "2"},
		"none":  {request(t, http.MethodGet, "https://h.test/", nil).WithContext(transport.WithoutHeader(inner)), ""},
	} {
		var got string
		hc := scripted(func(_ int, req *http.Request) (*http.Response, error) {
			got = req.Header.Get("X-A")
			return status(http.StatusOK, ""), nil
		}).client()
		if _, err := chain(t, hc).Do(tt.req); err != nil || got != tt.want {
			t.Errorf("%s: sent %q, want %q (%v)", name, got, tt.want, err)
		}
	}
}

// TestPlaintextSecrets: no kind of secret leaves the machine unencrypted, and
// such a request is not tried again.
func TestPlaintextSecrets(t *testing.T) {
	t.Parallel()
	for header, refused := range map[string]bool{"X-Api-Key": true, "Authorization": true, "X-Service-Key": true, "X-Tenant-Id": false} {
		attempts := 0
		hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
			attempts = n
			return status(http.StatusOK, ""), nil
		}).client()
		doer := transport.New(transport.Config{
			Endpoint: parsed(t, "http://h.test"), Header: http.Header{header: {"hunter2"}}, Client: hc,
			Retry: transport.Retry{MaxAttempts: 3}, Logger: slog.New(slog.DiscardHandler),
		})
		_, err := doer.Do(request(t, http.MethodGet, "http://h.test/", nil))
		if got := errors.Is(err, transport.ErrPlaintext); got != refused || refused == (attempts != 0) {
			t.Errorf("%s: %d attempts, error %v; refused should be %t", header, attempts, err, refused)
		}
		if refused && (!transport.Unsent(err) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "attempts")) {
			t.Errorf("%s: error %q", header, err)
		}
	}
}

func TestPlaintext(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"https://h.test": false, "http://h.test": true, "http://localhost:8080": false, "http://LOCALHOST": false,
		"http://a.localhost": false, "http://localhost.evil.test": true, "http://notlocalhost": true,
		"http://127.0.0.1": false, "http://127.8.9.1:1": false, "http://[::1]:1": false, "http://[::ffff:127.0.0.1]": false,
		"http://128.0.0.1": true, "http://10.0.0.1": true, "http://127.0.0.1.evil.test": true, "http://0.0.0.0": true,
	} {
		if got := transport.Plaintext(parsed(t, address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	a := parsed(t, "https://h.test/a")
	if transport.SameOrigin(a, nil) || transport.SameOrigin(nil, a) || transport.SameOrigin(nil, nil) {
		t.Error("an address is the same as none")
	}
	if !transport.SameOrigin(parsed(t, "http://h.test:80"), parsed(t, "http://h.test/b?c")) {
		t.Error("the default port of http is another than no port")
	}
}
