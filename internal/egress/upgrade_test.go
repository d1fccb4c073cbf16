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
