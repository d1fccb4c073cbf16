//go:build interop

package interop

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A proxy passes TCP connections on, until it is told to reset all that are
// WebSockets. Others stay: a client may keep one for its next request, and would
// hear of the end only as it sends it.
type proxy struct {
	listener net.Listener
	target   string
	done     sync.WaitGroup

	mu    sync.Mutex
	links map[*link]struct{}
}

// A link is a connection of a client and the one that is made for it.
type link struct {
	client, server *net.TCPConn
	socket         bool // guarded by the proxy's mu
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // no name to look up
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, links: make(map[*link]struct{})}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		p.reset(func(*link) bool { return true })
		p.done.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// control is the address at which a program asks for a reset.
func (p *proxy) control(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		p.reset(func(l *link) bool { return l.socket })
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.target) //nolint:noctx // of this machine
		if err != nil {
			_ = conn.Close()
			continue
		}
		l := &link{client: conn.(*net.TCPConn), server: server.(*net.TCPConn)}
		p.mu.Lock()
		p.links[l] = struct{}{}
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.requests(l) })
		both.Go(func() { pass(l.client, l.server) })
		p.done.Go(func() {
			both.Wait()
			p.forget(l)
		})
	}
}

// requests passes on what a client sends, and looks at the beginning.
func (p *proxy) requests(l *link) {
	first := make([]byte, 8<<10)
	n, _ := l.client.Read(first)
	p.mu.Lock()
	l.socket = bytes.Contains(bytes.ToLower(first[:n]), []byte("\r\nupgrade: websocket\r\n"))
	p.mu.Unlock()
	if _, err := l.server.Write(first[:n]); err != nil {
		return // the other direction ends, too
	}
	pass(l.server, l.client)
}

func pass(to, from *net.TCPConn) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
}

func (p *proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	_, _ = l.client.Close(), l.server.Close()
}

// reset ends connections as a lost line does: without a word of goodbye.
func (p *proxy) reset(which func(*link) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if !which(l) {
			continue
		}
		for _, conn := range []*net.TCPConn{l.client, l.server} {
			_ = conn.SetLinger(0)
			_ = conn.Close()
		}
	}
}
