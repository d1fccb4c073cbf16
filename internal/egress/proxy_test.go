package egress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
)

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello from %s%s %s", r.Host, r.URL.RequestURI(), r.Header.Get("Authorization"))
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.serve(public+":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %v", r.Host, r.URL.RequestURI(), r.Header)
	}))
	got := b.get(b.client(false), "http://API.test./a%2fb?x;y=%zz")
	if got.status != 200 || !strings.HasPrefix(got.body, "api.test /a%2fb?x;y=%zz map[") {
		t.Errorf("%+v", got)
	}
	for _, own := range []string{"Forwarded", "Via", "Proxy-"} {
		if strings.Contains(got.body, own) {
			t.Errorf("the request had %s: %s", own, got.body)
		}
	}
	if lookups, dialed := b.seen(); !slices.Equal(lookups, []string{"api.test."}) || !slices.Equal(dialed, []string{public + ":80"}) {
		t.Errorf("%v %v", lookups, dialed)
	}
}

// TestRefusals: what is not allowed gets an answer that says why, and neither
// a connection nor a lookup where the name decides.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, Policy{Allow: []string{"*", "*:22"}}, gen.ProxyConfig{AccessControl: gen.AccessControl{AllowList: []string{"api.test", "*.in.test", "git.test:22", "10.0.0.0/8"}}})
	b.names["private.in.test"] = addrs("10.0.0.1")
	b.names["both.in.test"] = addrs(public, "127.0.0.1")
	b.names["mapped.in.test"] = []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}
	b.names["meta.in.test"] = addrs("169.254.169.254")
	b.names["own.in.test"] = addrs("93.184.216.99")
	for target, want := range map[string]string{
		"other.test:443":       "403 not on the allow list",
		"api.test:22":          "403 not on the allow list",
		"git.test:443":         "403 not on the allow list",
		"10.0.0.1:443":         "403 no public address",
		"private.in.test:443":  "403 no public address",
		"both.in.test:443":     "403 no public address",
		"mapped.in.test:443":   "403 no public address",
		"meta.in.test:443":     "403 metadata service",
		"own.in.test:443":      "403 this machine",
		"gone.in.test:443":     "502 could not be looked up",
		"git.test:23":          "403 operator does not allow",
		"127.1:443":            "400 no host name",
		"2130706433:443":       "400 no host name",
		"api.test":             "400 needs a port",
		"api.test:0":           "400 no port",
		"localhost:443":        "403 not on the allow list",
		"[::ffff:7f00:1]:443":  "403 not on the allow list",
		"[fd00:ec2::254]:80":   "403 not on the allow list",
		"169.254.169.254:80":   "403 not on the allow list",
		"api.test.evil.dev:80": "403 not on the allow list",
	} {
		resp, _, _ := b.connect(target)
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		status, words, _ := strings.Cut(want, " ")
		if strconv.Itoa(resp.StatusCode) != status || !strings.Contains(string(body), words) || !strings.HasPrefix(resp.Header.Get("Proxy-Status"), "sandbox; error=") {
			t.Errorf("%s: %d %s, not %s", target, resp.StatusCode, body, want)
		}
	}
	for request, status := range map[string]int{
		"CONNECT me@api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n":             400,
		"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n":                                   400, // no proxy request
		"GET https://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                   400,
		"GET http://u:p@api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                400,
		"GET http://api.test@other.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":         400,
		"GET http://other.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                  403, // the line counts
		"GET http://api.test:22/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                 403,
		"GET ftp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                     400,
		"GET http://0x7f.1/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                      400,
		"GET http://[fe80::1%25eth0]/ HTTP/1.1\r\nHost: api.test\r\n\r\n":            400,
		"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nX: " + long + "\r\n\r\n": 431,
	} {
		if resp, _, _ := b.raw(request); resp.StatusCode != status {
			t.Errorf("%.60q: %d, not %d", request, resp.StatusCode, status)
		}
	}
	lookups, dialed := b.seen()
	if len(dialed) > 0 || slices.ContainsFunc(lookups, func(s string) bool { return !strings.HasSuffix(s, ".in.test.") }) {
		t.Errorf("looked up %v, dialed %v", lookups, dialed)
	}
	if !strings.Contains(b.log.String(), "other.test:443 is not on the allow list") {
		t.Error("refusals are not in the log")
	}
}

var long = strings.Repeat("x", maxHeader+8192)

func TestDenyAndDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy Policy
		config gen.AccessControl
		want   map[string]int
	}{
		{Policy{}, gen.AccessControl{}, map[string]int{"api.test:443": 403}},
		{Policy{}, gen.AccessControl{AllowList: []string{"*"}}, map[string]int{"api.test:443": 403}},
		{everything, gen.AccessControl{}, map[string]int{"api.test:443": 200, "api.test:80": 200, "api.test:22": 403}},
		{Policy{Allow: []string{"*", "*:22"}}, gen.AccessControl{}, map[string]int{"api.test:22": 403}},
		{Policy{Allow: []string{"*", "*:22"}}, gen.AccessControl{AllowList: []string{"api.test:22"}}, map[string]int{"api.test:22": 200, "api.test:443": 403}},
		{everything, gen.AccessControl{DenyList: []string{"api.test"}}, map[string]int{"api.test:443": 403, "other.test:443": 200, "other.test:22": 403}},
		{everything, gen.AccessControl{DenyList: []string{"93.184.216.34/31"}}, map[string]int{"api.test:443": 403, "other.test:443": 403, public + ":443": 403}},
		{everything, gen.AccessControl{DenyList: []string{"93.184.216.34/31"}}, map[string]int{"[64:ff9b::5db8:d822]:443": 403, "translated.test:443": 403}},
		{everything, gen.AccessControl{DenyList: []string{"~api"}}, map[string]int{"api.test:443": 403, "other.test:443": 200}},
		{everything, gen.AccessControl{DenyList: []string{"api.test:80"}}, map[string]int{"api.test:443": 200, "api.test:80": 403}},
	} {
		b := newBench(t, c.policy, gen.ProxyConfig{AccessControl: c.config})
		b.names["translated.test"] = addrs("64:ff9b::5db8:d822")
		echo := echoServer(t)
		for _, at := range []string{public, "93.184.216.35", "64:ff9b::5db8:d822"} {
			for _, port := range []string{"22", "80", "443"} {
				b.route(net.JoinHostPort(at, port), echo)
			}
		}
		for target, want := range c.want {
			if resp, _, _ := b.connect(target); resp.StatusCode != want {
				t.Errorf("%v %v: %s got %d, not %d", c.policy, c.config, target, resp.StatusCode, want)
			}
		}
	}
}

// echoServer returns what it gets once the client has ended its side.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b, _ := io.ReadAll(conn)
				_, _ = conn.Write(append([]byte("got "), b...))
			}()
		}
	}()
	return l.Addr().String()
}

// TestHalfClose: the end of one direction passes, and the other goes on. What
// a client sends along with its CONNECT is not lost.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.route(public+":443", echoServer(t))
	resp, conn, r := b.raw("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\nearly ")
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	_, _ = io.WriteString(conn, "late")
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(r); string(got) != "got early late" {
		t.Errorf("%q %v", got, err)
	}
}

func TestTunnelsTLSUnseen(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("elsewhere.test"))
	b.serveTLS(public+":443", http.HandlerFunc(hello))
	if got := b.get(b.client(false), "https://api.test/x"); got.body != "hello from api.test/x " || got.proto != "HTTP/2.0" {
		t.Errorf("%+v", got)
	}
}

// TestStreaming: an event is with the client before the next one is sent, also
// when it is looked through for secrets.
func TestStreaming(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test"))
	next := make(chan struct{})
	b.serveTLS(public+":443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "data: %d s\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	}))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/", http.NoBody)
	resp, err := b.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d s", i) {
			t.Fatalf("%q %v", lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}

func TestWebSockets(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		kind, data, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), kind, fmt.Appendf(data, " %d", len(r.Header.Get("Authorization"))))
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	})
	for _, intercepted := range []bool{true, false} {
		host := map[bool]string{true: "api.test", false: "other.test"}[intercepted]
		b := newBench(t, everything, bearer(host))
		b.serveTLS(public+":443", echo)
		b.serve(public+":80", echo)
		for _, scheme := range []string{"wss", "ws"} {
			if intercepted && scheme == "ws" {
				continue
			}
			c, _, err := websocket.Dial(t.Context(), scheme+"://api.test/", &websocket.DialOptions{HTTPClient: b.client(intercepted)})
			if err != nil {
				t.Errorf("%s %v: %v", scheme, intercepted, err)
				continue
			}
			_ = c.Write(t.Context(), websocket.MessageText, []byte("hi"))
			want := map[bool]string{true: "hi 20", false: "hi 0"}[intercepted]
			if _, got, err := c.Read(t.Context()); string(got) != want {
				t.Errorf("%s %v: %q %v", scheme, intercepted, got, err)
			}
			c.CloseNow()
		}
	}
}

// TestApply: new rules hold for what is there.
func TestApply(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.route(public+":443", echoServer(t))
	b.route("93.184.216.35:443", echoServer(t))
	_, cut, cutReader := b.connect("api.test:443")
	_, kept, keptReader := b.connect("other.test:443")
	rules, err := b.gateway.Compile(gen.ProxyConfig{AccessControl: gen.AccessControl{DenyList: []string{public}}})
	if err != nil {
		t.Fatal(err)
	}
	b.proxy.Apply(rules)
	if got, _ := io.ReadAll(cutReader); len(got) > 0 {
		t.Errorf("%q", got)
	}
	cut.Close()
	_, _ = io.WriteString(kept, "x")
	_ = kept.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(keptReader); string(got) != "got x" {
		t.Errorf("%q %v", got, err)
	}
	if resp, _, _ := b.connect("api.test:443"); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	if b.proxy.Rules() != rules {
		t.Error("other rules")
	}
}

// TestClose: nothing outlives it, not a tunnel, not a request and not a
// handshake that never comes.
func TestClose(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("other.test"))
	b.route(public+":443", echoServer(t))
	started := make(chan struct{})
	b.serve(public+":80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	_, _, tunnelled := b.connect("api.test:443")
	_, _, waiting := b.connect("other.test:443")
	ended := make(chan result)
	c := b.client(false)
	go func() { ended <- b.get(c, "http://api.test/") }()
	<-started
	b.proxy.Close()
	b.proxy.Close()
	for _, r := range []io.Reader{tunnelled, waiting} {
		if _, err := io.Copy(io.Discard, r); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error(err)
		}
	}
	if got := <-ended; got.err == nil && got.status < 500 {
		t.Errorf("%+v", got)
	}
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.addr); err == nil {
		conn.Close()
		t.Error("the proxy still listens")
	}
	if len(b.gateway.slots) != 0 {
		t.Errorf("%d connections count as open", len(b.gateway.slots))
	}
}

// TestGatewayClose: a closed gateway leaves no proxy and serves no new one.
func TestGatewayClose(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.gateway.Close()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.gateway.Open(l, "late", b.proxy.Rules())
	for _, address := range []string{b.addr, l.Addr().String()} {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s is still open", address)
		}
	}
}
