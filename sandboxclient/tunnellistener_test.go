package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// pipeListener is a listener in memory.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { l.once.Do(func() { close(l.done) }); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial() net.Conn {
	a, b := net.Pipe()
	l.conns <- b
	return a
}

// tunnelTo is a tunnel whose local side is in memory.
func (p *tunnelPeer) tunnelTo(port int, opts sandboxclient.TunnelOptions) (*sandboxclient.Tunnel, *pipeListener) {
	p.t.Helper()
	l := newPipeListener()
	opts.Listener = l
	tunnel, err := p.box().Tunnel(p.t.Context(), port, &opts)
	if err != nil {
		p.t.Fatal(err)
	}
	return tunnel, l
}

func TestT244T245T246Reconnect(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		tunnel, l := p.tunnelTo(portEcho, sandboxclient.TunnelOptions{})
		first := l.dial()
		sayAndHear(t, first)
		second := l.dial()
		sayAndHear(t, second)
		if n := len(p.connections()); n != 1 {
			t.Errorf("%d connections", n)
		}
		p.sessionsClose()
		if n, err := first.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("a connection outlived the one to the sandbox")
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				conn := l.dial()
				defer conn.Close()
				sayAndHear(t, conn)
			})
		}
		all.Wait()
		if n := len(p.connections()); n != 2 {
			t.Errorf("%d connections", n)
		}
		if err := tunnel.Close(); err != nil || tunnel.Err() != nil {
			t.Error(err, tunnel.Err())
		}
	})
}

func TestT247T248ReconnectFails(t *testing.T) {
	t.Parallel()
	for limit, dials := range map[int]int{2: 2, -1: 0, 0: 3} {
		inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
			failed := make(chan error, 1)
			p.refuse = func(_ context.Context, n int) (*http.Response, error) {
				if n == 0 {
					return nil, errAccept
				}
				return nil, errors.New("no route")
			}
			tunnel, l := p.tunnelTo(portEcho, sandboxclient.TunnelOptions{MaxReconnects: limit, OnError: func(err error) { failed <- err }})
			conn := l.dial()
			sayAndHear(t, conn)
			p.sessionsClose()
			if n, err := l.dial().Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
				t.Errorf("local side: %d, %v", n, err)
			}
			err := <-failed
			if got := len(p.dials) - 1; got != dials || !errors.Is(err, sandboxclient.ErrConnection) {
				t.Errorf("limit %d: %d dials, %v", limit, got, err)
			}
			if text := "reconnect failed after " + strconv.Itoa(dials) + " attempts"; dials > 0 && !strings.Contains(err.Error(), text) {
				t.Errorf("limit %d: %v", limit, err)
			}
			tunnel.Close()
		})
	}
}

func TestT250Close(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		tunnel, l := p.tunnelTo(portEcho, sandboxclient.TunnelOptions{})
		conn := l.dial()
		sayAndHear(t, conn)
		if err := errors.Join(tunnel.Close(), tunnel.Close()); err != nil {
			t.Error(err)
		}
		<-tunnel.Done()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("a connection outlived the tunnel")
		}
		select {
		case <-(<-p.sessions).Done():
		case <-time.After(time.Second):
			t.Error("the connection to the sandbox was left open")
		}
	})
}

func TestT251Unauthorized(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		p.refuse = func(context.Context, int) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		}
		sb := p.box()
		if _, err := sb.DialContext(t.Context(), "tcp", "localhost:80"); !errors.Is(err, sandboxclient.ErrUnauthorized) {
			t.Error(err)
		}
		l := newPipeListener()
		if _, err := sb.Tunnel(t.Context(), 80, &sandboxclient.TunnelOptions{Listener: l}); !errors.Is(err, sandboxclient.ErrUnauthorized) {
			t.Error(err)
		}
		if _, err := l.Accept(); err == nil {
			t.Error("the listener was left open")
		}
		if len(p.dials) != 2 {
			t.Errorf("%d dials", len(p.dials))
		}
	})
}

// TestTunnelClosesItsListener: it is the tunnel's, also if there is none.
func TestTunnelClosesItsListener(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, sb := tapped(t, fakeKey, sandboxclient.Info{DataplaneURL: "http://localhost:1/sb"})
	if _, err := sb.Tunnel(t.Context(), 0, &sandboxclient.TunnelOptions{Listener: listener}); !errors.Is(err, sandboxclient.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}
