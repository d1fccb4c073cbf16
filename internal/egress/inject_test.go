package egress

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestInjection: the secret reaches the server and nothing else.
func TestInjection(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test"))
	requests := make(chan http.Header, 10)
	b.serveTLS(public+":443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Set("Trailer", "X-End")
		_ = http.NewResponseController(w).Flush()
		hello(w, r)
		w.Header().Set("X-End", r.Header.Get("Authorization"))
	}))
	for _, version := range []string{"HTTP/2.0", "HTTP/1.1"} {
		c := b.client(true)
		if version == "HTTP/1.1" {
			c.Transport.(*http.Transport).Protocols = new(http.Protocols)
			c.Transport.(*http.Transport).Protocols.SetHTTP1(true)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/x?y", http.NoBody)
		req.Header.Set("Authorization", "Bearer mine")
		req.Header.Set("Range", "bytes=1-2")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello from api.test/x?y ********************" || resp.Proto != version {
			t.Errorf("%s %s", resp.Proto, body)
		}
		if all := fmt.Sprint(resp.Header, resp.Trailer); strings.Contains(all, secret) || resp.Trailer.Get("X-End") == "" {
			t.Error(all)
		}
		got := <-requests
		if !slices.Equal(got["Authorization"], []string{"Bearer " + secret}) || got.Get("Range") != "" || got.Get("Accept-Encoding") != "identity" {
			t.Errorf("%v", got)
		}
	}
	if strings.Contains(b.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

// TestSecretsStay: no way around TLS, the host or the certificate gets a
// secret out.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test", "forged.test"))
	b.names["forged.test"] = addrs("93.184.216.36")
	leak := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.Contains(fmt.Sprint(r.Header), secret) {
			t.Errorf("%s got the secret", r.Host)
		}
	})
	b.serve(public+":80", leak)
	b.serve(public+":443", leak)
	b.serveTLS("93.184.216.35:443", leak)
	b.serveTLS("93.184.216.36:443", leak) // its certificate is for api.test
	for address, want := range map[string]int{"http://api.test/": 403, "https://forged.test/": 502} {
		got := b.get(b.client(true), address)
		if got.status != want || strings.Contains(got.body, secret) {
			t.Errorf("%s: %+v", address, got)
		}
	}
	if got := b.get(b.client(false), "https://other.test/"); got.err == nil {
		t.Errorf("%+v", got) // tunnelled: the certificate is for another name, which the client sees
	}
	c := b.client(true)
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Host = "other.test" },
		func(r *http.Request) { r.Host = "api.test:8443" },
		func(r *http.Request) { r.Method = "TRACE" },
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/", http.NoBody)
		change(req)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", req.Method, req.Host, resp.StatusCode)
		}
	}
	// Another name in TLS than in the tunnel.
	_, conn, _ := b.connect("api.test:443")
	pool := c.Transport.(*http.Transport).TLSClientConfig.RootCAs
	if err := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "other.test"}).HandshakeContext(t.Context()); err == nil {
		t.Error("a certificate for another name than the tunnel's")
	}
	// No TLS in the tunnel: it passes, and gets nothing.
	_, conn, r := b.connect("api.test:443")
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v", resp, err)
	}
}

// TestPlaintextHeader: what is no secret goes over plain HTTP, too.
func TestPlaintextHeader(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{Rules: []gen.ProxyRule{{Name: "r", Headers: []gen.ProxyHeader{header(gen.ProxyHeaderPlaintext, "Authorization", "anyone")}}}})
	b.serve(public+":80", http.HandlerFunc(hello))
	if got := b.get(b.client(true), "http://api.test/"); got.body != "hello from api.test/ anyone" {
		t.Errorf("%+v", got)
	}
}

// TestEarlyHints: an answer before the answer repeats no secret, either.
func TestEarlyHints(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test"))
	b.serveTLS(public+":443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusEarlyHints)
	}))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hints = append(hints, h.Get("Link"))
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.test/", http.NoBody)
	resp, err := b.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !slices.Equal(hints, []string{"********************"}) {
		t.Errorf("%q", hints)
	}
}
