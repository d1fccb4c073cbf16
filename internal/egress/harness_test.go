package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// bench is a proxy between a client and servers on loopback. Names resolve to
// public addresses, and connections to these go to the servers.
type bench struct {
	t       *testing.T
	gateway *Gateway
	proxy   *Proxy
	addr    string
	log     *safeBuffer

	mu      sync.Mutex
	names   map[string][]netip.Addr
	servers map[string]string // address:port to what is on loopback
	lookups []string
	dialed  []string
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const testConns = 40

const public = "93.184.216.34"

var upstreamPool, upstreamCert = func() (*x509.CertPool, tls.Certificate) {
	a := new(authority)
	pemBytes, err := a.certificatePEM()
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pemBytes)
	e, _ := parseEndpoint("api.test")
	cert, err := a.certificate(e)
	if err != nil {
		panic(err)
	}
	return pool, *cert
}()

func newBench(t *testing.T, policy Policy, config gen.ProxyConfig) *bench {
	t.Helper()
	b := &bench{
		t: t, log: new(safeBuffer),
		names:   map[string][]netip.Addr{"api.test": addrs(public), "other.test": addrs("93.184.216.35")},
		servers: map[string]string{},
	}
	var err error
	b.gateway, err = NewGateway(Config{
		Policy: policy, RootCAs: upstreamPool,
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Lookup: b.lookup, Dial: b.dial, local: func() ([]netip.Addr, error) { return addrs("93.184.216.99"), nil },
		limit: testConns,
	})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := b.gateway.Compile(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	b.proxy = b.gateway.Open(l, "box-1", rules)
	t.Cleanup(b.proxy.Close)
	return b
}

func (b *bench) lookup(_ context.Context, _, host string) ([]netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups = append(b.lookups, host)
	if list, ok := b.names[strings.TrimSuffix(host, ".")]; ok && strings.HasSuffix(host, ".") {
		return append([]netip.Addr(nil), list...), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (b *bench) dial(ctx context.Context, network, address string) (net.Conn, error) {
	b.mu.Lock()
	b.dialed = append(b.dialed, address)
	to, ok := b.servers[address]
	b.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("a test dialed %s", address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	return &remoteConn{TCPConn: conn.(*net.TCPConn), remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}, nil
}

// remoteConn is a connection to another address than it seems.
type remoteConn struct {
	*net.TCPConn

	remote net.Addr
}

func (c *remoteConn) RemoteAddr() net.Addr { return c.remote }

func (b *bench) seen() (lookups, dialed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.lookups...), append([]string(nil), b.dialed...)
}

// serve puts a server behind a public address.
func (b *bench) serve(address string, h http.Handler) {
	b.t.Helper()
	s := httptest.NewServer(h)
	b.t.Cleanup(s.Close)
	b.route(address, s.Listener.Addr().String())
}

func (b *bench) serveTLS(address string, h http.Handler) {
	b.t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{upstreamCert}, NextProtos: alpn}
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	b.t.Cleanup(s.Close)
	b.route(address, s.Listener.Addr().String())
}

func (b *bench) route(address, to string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[address] = to
}

// client goes through the proxy. It trusts the proxy's authority if asked to,
// and the server's own otherwise.
func (b *bench) client(trust bool) *http.Client {
	b.t.Helper()
	pool := upstreamPool
	if trust {
		pool = x509.NewCertPool()
		pemBytes, err := b.gateway.CertificatePEM()
		if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
			b.t.Fatal(err)
		}
	}
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr}),
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true,
	}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

type result struct {
	status int
	body   string
	header http.Header
	proto  string
	err    error
}

func (b *bench) get(c *http.Client, address string) result {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return result{resp.StatusCode, string(body), maps.Clone(resp.Header), resp.Proto, err}
}

// raw sends bytes to the proxy and reads one answer.
func (b *bench) raw(request string) (*http.Response, net.Conn, *bufio.Reader) {
	b.t.Helper()
	conn, err := new(net.Dialer).DialContext(b.t.Context(), "tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		b.t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		b.t.Fatalf("%q: %v", request, err)
	}
	return resp, conn, r
}

func (b *bench) connect(target string) (*http.Response, net.Conn, *bufio.Reader) {
	b.t.Helper()
	return b.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
}

var everything = Policy{Allow: []string{"*"}}

const secret = "sk-0123456789"

func bearer(hosts ...string) gen.ProxyConfig {
	return gen.ProxyConfig{Rules: []gen.ProxyRule{{
		Name: "r", MatchHosts: hosts,
		Headers: []gen.ProxyHeader{{Name: "authorization", Type: gen.ProxyHeaderOpaque, Value: "Bearer " + secret}},
	}}}
}
