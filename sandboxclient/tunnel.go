package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/mux"
)

// TunnelOptions says where a [Tunnel] listens. A nil pointer is the zero
// value.
type TunnelOptions struct {
	// LocalAddr is where to listen, host:port; empty is a free port on
	// 127.0.0.1. Any other machine that reaches the address can use the
	// tunnel.
	LocalAddr string
	// Listener is listened on instead of LocalAddr. The tunnel closes it, also
	// if it cannot be made.
	Listener net.Listener
	// MaxReconnects is how often a lost connection to the sandbox is tried to
	// be made anew for one local connection; 0 is 3 times, negative is never.
	MaxReconnects int
	// OnError is told why a local connection was closed without having been
	// connected, such as a [TunnelError]; nil ignores it. It may be called by
	// several goroutines at once, and must not wait for [Tunnel.Close], which
	// waits for it.
	OnError func(error)
}

// Tunnel is a local address that leads to a port of a sandbox. It is safe for
// concurrent use.
type Tunnel struct {
	sandbox    *Sandbox
	port       int
	listener   net.Listener
	reconnects int
	onError    func(error)
	ctx        context.Context //nolint:containedctx // the tunnel's: ends with it
	cancel     context.CancelFunc
	done       chan struct{}

	mu     sync.Mutex
	closed bool
	err    error
	conns  map[net.Conn]struct{}
	tasks  sync.WaitGroup
}

// Tunnel listens on this machine and connects whatever connects there to a
// port of the sandbox (WebSocket /tunnel), until [Tunnel.Close]. Connections
// share one connection to the sandbox, as those of [Sandbox.DialContext] do:
// when it is lost they break off, and the next one makes it anew. The tunnel
// does not keep the sandbox from being idle while nothing is connected. The
// context bounds the call only; its headers go with later connections.
//
// Errors: [ErrInvalid], [ErrNoDataplane], [ErrNotReady], [ErrConnection], those
// of [net.Listen].
func (s *Sandbox) Tunnel(ctx context.Context, port int, opts *TunnelOptions) (*Tunnel, error) {
	o := pointed(opts)
	ck := checks{op: opTunnel}
	ck.port(port)
	listener, err := o.listen(ctx, &ck)
	if err != nil {
		return nil, err
	}
	h, err := s.acquire(ctx, trunkAttempts)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	h.release()
	t := &Tunnel{
		sandbox: s, port: port, listener: listener, onError: o.OnError,
		reconnects: o.MaxReconnects, done: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	if t.reconnects == 0 {
		t.reconnects = trunkAttempts - 1
	}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go t.accept()
	return t, nil
}

func (o TunnelOptions) listen(ctx context.Context, ck *checks) (net.Listener, error) {
	if o.Listener != nil {
		if ck.err != nil {
			return nil, errors.Join(ck.err, o.Listener.Close())
		}
		return o.Listener, nil
	}
	address := o.LocalAddr
	if address == "" {
		address = "127.0.0.1:0"
	}
	_, service, err := net.SplitHostPort(address)
	if err != nil {
		ck.fail("local address", "is %q, not of the form host:port", address)
	} else if local, err := strconv.Atoi(service); err != nil || local < 0 || local > 65535 {
		ck.fail("local address", "has the port %q", service)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// Addr is the local address.
func (t *Tunnel) Addr() net.Addr { return t.listener.Addr() }

// Done is closed when the tunnel no longer listens: after Close, or when the
// local listener failed.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Err is why the tunnel ended, nil as long as it has not and after Close.
func (t *Tunnel) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Close stops listening, breaks off all connections and returns when nothing
// is left of them. It may be called more than once.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	t.closed = true
	for conn := range t.conns {
		_ = conn.Close()
	}
	t.mu.Unlock()
	t.cancel()
	err := t.listener.Close()
	<-t.done
	t.tasks.Wait()
	t.sandbox.trunk.closeUnused()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// acceptFailures is how often in a row it may fail to accept, as when there are
// too many open files.
const acceptFailures = 10

func (t *Tunnel) accept() {
	defer close(t.done)
	for failures := 0; ; {
		conn, err := t.listener.Accept()
		if err == nil {
			failures = 0
			t.begin(conn)
			continue
		}
		if failures++; errors.Is(err, net.ErrClosed) || failures == acceptFailures || !t.pause(failures) {
			t.ended(err)
			return
		}
	}
}

// pause waits after a failure, and reports false at the end of the tunnel.
func (t *Tunnel) pause(failures int) bool {
	timer := time.NewTimer(5 * time.Millisecond << failures)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

func (t *Tunnel) ended(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.err = fmt.Errorf("tunnel to port %d: %w", t.port, err)
	}
}

func (t *Tunnel) begin(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = conn.Close()
		return
	}
	t.conns[conn] = struct{}{}
	t.tasks.Go(func() {
		err := t.serve(conn)
		_ = conn.Close()
		t.mu.Lock()
		delete(t.conns, conn)
		closed := t.closed
		t.mu.Unlock()
		if err != nil && t.onError != nil && !closed {
			t.onError(err)
		}
	})
}

// serve connects one local connection.
func (t *Tunnel) serve(local net.Conn) error {
	h, err := t.sandbox.acquire(t.ctx, t.reconnects)
	if err != nil {
		return err
	}
	defer h.release()
	remote, err := t.sandbox.openTunnel(h, t.port)
	if err != nil {
		return err
	}
	// What the local side says goes with the question, and what it waits for
	// comes a round trip earlier.
	return mux.Bridge(remote.Stream, local, func() error { return remote.confirm(t.ctx) })
}
