package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// dial connects to a host that check has let through. It resolves the name
// once, checks every address, and connects to these and no others.
func (g *Gateway) dial(ctx context.Context, e endpoint, rules *Rules) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	list, err := g.resolve(ctx, e)
	if err != nil {
		return nil, err
	}
	for i, addr := range list {
		list[i] = addr.Unmap()
		if why := g.addresses.check(addr); why != "" {
			return nil, refusedAddr(e, why)
		}
		if err := rules.access.checkAddr(e, list[i]); err != nil {
			return nil, err
		}
	}
	return g.connect(ctx, e, list)
}

func (g *Gateway) resolve(ctx context.Context, e endpoint) ([]netip.Addr, error) {
	if e.addr.IsValid() {
		return []netip.Addr{e.addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	// With the dot no search domain is added, which would make another name.
	list, err := g.cfg.Lookup(ctx, "ip", e.name+".")
	switch {
	case ctx.Err() != nil:
		return nil, failed(http.StatusGatewayTimeout, "dns_timeout", e.name+" could not be looked up in time")
	case err != nil || len(list) == 0:
		return nil, failed(http.StatusBadGateway, "dns_error", e.name+" could not be looked up")
	}
	return list, nil
}

// connect tries the addresses in their order, each with its share of the time.
func (g *Gateway) connect(ctx context.Context, e endpoint, list []netip.Addr) (net.Conn, error) {
	var err error
	for i, addr := range list {
		var conn net.Conn
		deadline, _ := ctx.Deadline()
		one, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(list)-i))
		conn, err = g.cfg.Dial(one, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(int(e.port))))
		cancel()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, failed(http.StatusBadGateway, "connection_refused", e.String()+" refuses connections")
	case isTimeout && timeout.Timeout():
		return nil, failed(http.StatusGatewayTimeout, "connection_timeout", e.String()+" does not answer")
	}
	return nil, failed(http.StatusBadGateway, "destination_ip_unroutable", e.String()+" cannot be reached")
}

// conns are open connections, which Close closes.
type conns struct {
	mu     sync.Mutex
	open   map[*trackedConn]struct{}
	closed bool
}

// trackedConn leaves its set when it is closed.
type trackedConn struct {
	net.Conn

	set *conns
}

// add takes a connection over, also to close it when it comes too late.
func (c *conns) add(conn net.Conn) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: conn, set: c}
	if c.open == nil {
		c.open = make(map[*trackedConn]struct{})
	}
	c.open[t] = struct{}{}
	return t, nil
}

// close closes all, and what is added from now on.
func (c *conns) close() {
	c.mu.Lock()
	c.closed = true
	open := c.open
	c.open = nil
	c.mu.Unlock()
	for conn := range open {
		conn.Conn.Close()
	}
}

func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

func (c *trackedConn) CloseWrite() error { return closeWrite(c.Conn) }

// remoteAddr is the address that a connection goes to, if it says so.
func remoteAddr(conn net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// closeWrite tells the other side that no more comes.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
