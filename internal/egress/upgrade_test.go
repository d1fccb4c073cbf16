package egress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// switching agrees to another protocol, says hello and ends its side when the
// client may still send.
func switching(half bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\nhello\n")
		if half {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
	})
}

// upgrade asks for another protocol, and reads its first line.
func (b *bench) upgrade(host string) (net.Conn, *bufio.Reader) {
	b.t.Helper()
	resp, conn, r := b.raw("GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\n")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b.t.Fatal(resp.Status)
	}
	if line, err := r.ReadString('\n'); line != "hello\n" {
		b.t.Fatalf("%q %v", line, err)
	}
	return conn, r
}

// TestCloseHalfOpenUpgrade: a connection that changed its protocol and has one
// side left does not outlive the proxy, nor keep it from closing.
func TestCloseHalfOpenUpgrade(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.serve(public+":80", switching(true))
	conn, r := b.upgrade("api.test")
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Fatalf("%q %v", rest, err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b.proxy.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the proxy waits for its client")
		conn.Close()
		<-closed
	}
}

// TestApplyEndsRequests: new rules end what they do not allow, by name or by
// address, and nothing else.
func TestApplyEndsRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.names["third.test"] = addrs("93.184.216.36")
	for _, address := range []string{public, "93.184.216.35", "93.184.216.36"} {
		b.serve(address+":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				switching(false).ServeHTTP(w, r)
				return
			}
			fmt.Fprintln(w, "hello")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
	}
	_, denied := b.upgrade("api.test")
	_, byAddress := b.upgrade("third.test")
	kept, _ := b.upgrade("other.test")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test/", http.NoBody)
	answer, err := b.client(false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	rules, err := b.gateway.Compile(gen.ProxyConfig{AccessControl: gen.AccessControl{DenyList: []string{"api.test", "93.184.216.36/32"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.proxy.Apply(rules)
	for _, r := range []io.Reader{denied, byAddress, answer.Body} {
		_, err := io.ReadAll(r)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // of the connection itself
			t.Error("it goes on")
		}
	}
	_ = kept.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := kept.Read(make([]byte, 1)); err == nil || err == io.EOF { //nolint:errorlint // as above
		t.Errorf("what is allowed was ended: %v", err)
	}
}
