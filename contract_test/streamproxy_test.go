package contract_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// tunnelProxy is a proxy that connects to whatever it is asked for, and counts.
func tunnelProxy(t *testing.T) (*url.URL, *atomic.Int64) {
	t.Helper()
	var connects atomic.Int64
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("X-Api-Key") != "" {
			t.Errorf("the proxy was asked to %s with %v", r.Method, r.Header)
			return
		}
		connects.Add(1)
		there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		tunnels.Go(func() { _, _ = io.Copy(there, buffered); _ = there.Close() })
		tunnels.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
	}))
	t.Cleanup(func() { proxy.Close(); tunnels.Wait() })
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address, &connects
}

// TestStreamThroughProxy: the handshake goes through the caller's proxy, trusts
// the caller's authorities, and is HTTP/1 where all else is HTTP/2.
func TestStreamThroughProxy(t *testing.T) {
	t.Parallel()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	var protocols sync.Map
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Header.Get("Upgrade")+" "+r.Proto, true)
		server.ServeHTTP(w, r)
	}))
	web.EnableHTTP2 = true
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // it is not trusted below
	web.StartTLS()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	proxy, connects := tunnelProxy(t)
	transport := web.Client().Transport.(*http.Transport).Clone() //nolint:forcetypeassert // httptest's
	transport.Proxy = http.ProxyURL(proxy)
	t.Cleanup(transport.CloseIdleConnections)
	c, err := sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }), sandboxclient.WithEndpoint(web.URL+"/v2/sandboxes"),
		sandboxclient.WithAPIKey(server.APIKey()), sandboxclient.WithHTTPClient(&http.Client{Transport: transport}),
	)
	if err != nil {
		t.Fatal(err)
	}
	sb := ok[*sandboxclient.Sandbox](t)(c.Create(t.Context(), nil))
	if got := output(t, sb, "echo through"); got != "through\n" {
		t.Errorf("%q", got)
	}
	for _, want := range []string{" HTTP/2.0", "websocket HTTP/1.1"} {
		if _, seen := protocols.Load(want); !seen {
			t.Errorf("no request was %q", want)
		}
	}
	if n := connects.Load(); n != 2 {
		t.Errorf("%d connections through the proxy, want one of each protocol", n)
	}

	stranger := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // net/http's
	stranger.Proxy = nil
	t.Cleanup(stranger.CloseIdleConnections)
	c, err = sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }), sandboxclient.WithEndpoint(web.URL+"/v2/sandboxes"),
		sandboxclient.WithAPIKey(server.APIKey()), sandboxclient.WithHTTPClient(&http.Client{Transport: stranger}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if result, err := c.FromInfo(sb.Info()).Run(t.Context(), "true", nil); err == nil {
		t.Errorf("a server of an unknown authority ran it: %+v", result)
	}
}
