package egress

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// windows reads how much a side of HTTP/2 takes without being read, for one
// stream and for all.
func windows(t *testing.T, conn io.ReadWriter) (stream, all uint32) {
	t.Helper()
	framer := http2.NewFramer(conn, conn)
	for stream == 0 || all == 0 {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
				stream = size
			}
		case *http2.WindowUpdateFrame:
			all = f.Increment + 65535
		}
	}
	return stream, all
}

// TestWindows: what comes and is not taken by the other side is not kept here
// beyond a bound that holds for many.
func TestWindows(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test"))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{upstreamCert}, NextProtos: alpn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b.route(public+":443", l.Addr().String())
	c := b.client(true)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/", http.NoBody)
		if resp, err := c.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	upstream, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	_ = upstream.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(upstream, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	if stream, all := windows(t, upstream); stream > 1<<20 || all > 17<<20 {
		t.Errorf("answers: %d bytes of a stream, %d of a connection", stream, all)
	}
	_, conn, _ := b.connect("api.test:443")
	if stream, all := windows(t, b.http2(conn)); stream > 256<<10 || all > 512<<10 {
		t.Errorf("requests: %d bytes of a stream, %d of a connection", stream, all)
	}
}

// http2 begins HTTP/2 in a tunnel that is looked into.
func (b *bench) http2(conn net.Conn) *tls.Conn {
	b.t.Helper()
	pool := x509.NewCertPool()
	pemBytes, err := b.gateway.CertificatePEM()
	if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
		b.t.Fatal(err)
	}
	client := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "api.test", NextProtos: []string{"h2"}})
	if err := client.HandshakeContext(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.WriteString(client, http2.ClientPreface); err != nil {
		b.t.Fatal(err)
	}
	if err := http2.NewFramer(client, client).WriteSettings(); err != nil {
		b.t.Fatal(err)
	}
	return client
}
