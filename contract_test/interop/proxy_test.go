//go:build interop

package interop

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A proxy passes TCP connections on, until it is told to reset them all.
type proxy struct {
	listener net.Listener
	target   string
	done     sync.WaitGroup

	mu    sync.Mutex
	conns map[*net.TCPConn]chan struct{} // closed when nothing uses the connection any more
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // no name to look up
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, conns: make(map[*net.TCPConn]chan struct{})}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		p.reset()
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
		p.reset()
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
		from, to := conn.(*net.TCPConn), server.(*net.TCPConn)
		p.mu.Lock()
		ended := make(chan struct{})
		p.conns[from], p.conns[to] = ended, ended
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { pass(from, to) })
		both.Go(func() { pass(to, from) })
		p.done.Go(func() {
			both.Wait()
			p.forget(from, to)
			close(ended)
		})
	}
}

func pass(to, from *net.TCPConn) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
}

func (p *proxy) forget(conns ...*net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
		_ = conn.Close()
	}
}

// reset ends all connections as a lost line does: without a word of goodbye. A
// connection is closed only when nobody reads from it any more, so it waits: who
// asked for the reset may rely on it.
func (p *proxy) reset() {
	for _, ended := range p.closeAll() {
		<-ended
	}
}

func (p *proxy) closeAll() map[*net.TCPConn]chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
	return maps.Clone(p.conns)
}
