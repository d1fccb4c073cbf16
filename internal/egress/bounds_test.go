package egress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestSlots: more connections than a sandbox may have wait until one ends.
func TestSlots(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, gen.ProxyConfig{})
	b.route(public+":443", echoServer(t))
	var open []net.Conn
	for range testConns {
		_, conn, _ := b.connect("api.test:443")
		open = append(open, conn)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes beyond the limit", n)
	}
	open[3].Close()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v", resp, err)
	}
}

// TestStreamsAreBounded: requests that share a connection are no way around
// the bound of connections, since each may need one to its host.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, everything, bearer("api.test"))
	var running atomic.Int32
	all := make(chan struct{})
	b.serveTLS(public+":443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if running.Add(1) == testConns {
			close(all)
		}
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	c := b.client(true)
	ask := func(ctx context.Context) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.test/", http.NoBody)
		if resp, err := c.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	var group sync.WaitGroup
	for range testConns {
		group.Go(func() { ask(ctx) })
	}
	<-all
	more, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	for range 10 {
		group.Go(func() { ask(more) })
	}
	<-more.Done()
	if n := running.Load(); n > testConns {
		t.Errorf("%d requests at a time", n)
	}
	cancel()
	group.Wait()
}
