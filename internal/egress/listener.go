package egress

import (
	"net"
	"sync"
)

// slotListener accepts as many connections as there are slots for a sandbox;
// more wait in the kernel. When all sandboxes together have too many, a
// connection is closed instead: none may keep the others waiting.
type slotListener struct {
	net.Listener

	own, shared chan struct{}
	open        *conns
	done        <-chan struct{}
}

func (l *slotListener) Accept() (net.Conn, error) {
	select {
	case l.own <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.own
			return nil, err
		}
		select {
		case l.shared <- struct{}{}:
			return l.open.add(&slotConn{Conn: conn, free: func() { <-l.own; <-l.shared }})
		default:
			conn.Close()
		}
	}
}

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn

	once sync.Once
	free func()
}

func (c *slotConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}

func (c *slotConn) CloseWrite() error { return closeWrite(c.Conn) }

// handoff is a listener for connections that come from elsewhere.
type handoff struct {
	conns chan net.Conn
	done  <-chan struct{}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// give hands a connection over or closes it.
func (h *handoff) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		conn.Close()
	}
}

func (h *handoff) Close() error { return nil }

func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
