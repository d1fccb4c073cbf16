package egress

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestNameInTLS: a tunnel to a server that many share is no way to a host that
// is not allowed.
func TestNameInTLS(t *testing.T) {
	t.Parallel()
	allow := gen.AccessControl{AllowList: []string{"api.test", "*.fine.test", public}}
	deny := gen.AccessControl{DenyList: []string{"bad.test"}}
	for _, c := range []struct {
		access       gen.AccessControl
		target, name string
		want         bool
	}{
		{allow, "api.test:443", "api.test", true},
		{allow, "api.test:443", "API.test.", true},
		{allow, "api.test:443", "", true},
		{allow, "api.test:443", "a.fine.test", true},
		{allow, "api.test:443", "bad.test", false},
		{allow, public + ":443", "inside.test", true},
		{deny, "api.test:443", "other.test", true},
		{deny, "api.test:443", "bad.test", false},
		{deny, public + ":443", "bad.test", false},
		{deny, "api.test:80", "bad.test", false},
	} {
		b := newBench(t, everything, gen.ProxyConfig{AccessControl: c.access})
		names := make(chan string, 1)
		serve := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			names <- hello.ServerName
			return &upstreamCert, nil
		}, Certificates: []tls.Certificate{upstreamCert}}
		l, err := tls.Listen("tcp", "127.0.0.1:0", serve)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
		_, port, _ := net.SplitHostPort(c.target)
		b.route(public+":"+port, l.Addr().String())
		_, conn, _ := b.connect(c.target)
		client := tls.Client(conn, &tls.Config{ServerName: c.name, InsecureSkipVerify: true})
		err = client.HandshakeContext(t.Context())
		if err == nil {
			_, err = client.Write([]byte("x"))
		}
		if err == nil {
			_, err = io.ReadFull(client, make([]byte, 1))
		}
		if (err == nil) != c.want {
			t.Errorf("%v: %s with the name %q: %v", c.access, c.target, c.name, err)
		}
		if !c.want && len(names) > 0 {
			t.Errorf("%v: %s with the name %q reached the server", c.access, c.target, c.name)
		}
		if said := strings.Contains(b.log.String(), "bad.test"); said == c.want {
			t.Errorf("%v: %s with the name %q: log %q", c.access, c.target, c.name, b.log)
		}
	}
}

// TestOtherProtocols: what is no TLS passes as it is, whatever it begins with,
// and what looks like it and cannot be read does not pass.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"\x16":                      "got \x16",
		"\x16\x02 and more":         "got \x16\x02 and more",
		"SSH-2.0-x\r\n":             "got SSH-2.0-x\r\n",
		"":                          "got ",
		"\x16\x03\x01\x00\x05hello": "",
		"\x16\x03":                  "",
	} {
		b := newBench(t, everything, gen.ProxyConfig{})
		b.route(public+":443", echoServer(t))
		_, conn, r := b.connect("api.test:443")
		_, _ = io.WriteString(conn, sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		if got, _ := io.ReadAll(r); string(got) != want {
			t.Errorf("%q: %q", sent, got)
		}
	}
}

// FuzzServerName: whatever comes, it is passed on as it was or not at all.
func FuzzServerName(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x05hello"), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		from := io.Reader(bytes.NewReader(data))
		if cut > 0 && cut < len(data) {
			from = io.MultiReader(bytes.NewReader(data[:cut]), bytes.NewReader(data[cut:]))
		}
		r := &helloReader{from: from, check: func(string) error { return nil }}
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, data) || !bytes.HasPrefix(data, got) {
			t.Errorf("%q became %q, %v", data, got, err)
		}
	})
}
