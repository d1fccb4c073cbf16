package sandboxclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/mux"
)

// statusTimeout bounds the wait for the sandbox's answer to a port.
const statusTimeout = 10 * time.Second

// TunnelError is a port that the sandbox did not connect to. It matches
// [ErrPortNotAllowed], [ErrConnection] when nothing listens there, or
// [ErrProtocol].
type TunnelError struct {
	// Port is the port in the sandbox.
	Port int
	// Status is the sandbox's answer.
	Status TunnelStatus
}

// TunnelStatus is what a sandbox says of a port that it does not connect to.
type TunnelStatus = gen.TunnelStatus

// What it may say.
const (
	// TunnelPortNotAllowed is a port that is not allowed.
	TunnelPortNotAllowed = gen.TunnelPortNotAllowed
	// TunnelDialFailed is a port where nothing listens.
	TunnelDialFailed = gen.TunnelDialFailed
	// TunnelBadVersion is a version of the protocol that it does not speak.
	TunnelBadVersion = gen.TunnelBadVersion
)

// Error is the port and the reason.
func (e *TunnelError) Error() string {
	reason := "unknown status " + strconv.Itoa(int(e.Status))
	switch e.Status {
	case TunnelPortNotAllowed:
		reason = "port not allowed"
	case TunnelDialFailed:
		reason = "dial failed, nothing listens there"
	case TunnelBadVersion:
		reason = "unsupported protocol version"
	case gen.TunnelConnected: // is no failure
	}
	return fmt.Sprintf("tunnel to port %d: %s", e.Port, reason)
}

// Is reports whether target is one of the Err... values that apply.
func (e *TunnelError) Is(target error) bool {
	switch e.Status {
	case TunnelPortNotAllowed:
		return target == ErrPortNotAllowed
	case TunnelDialFailed:
		return target == ErrConnection
	default:
		return target == ErrProtocol
	}
}

// DialContext connects to a port that something inside the sandbox listens on
// (WebSocket /tunnel). The network is "tcp", "tcp4" or "tcp6"; the address is
// a port of the sandbox's own, as in "localhost:5432": its host is empty,
// localhost, a loopback address or the name of the sandbox. Its signature is
// that of [net.Dialer.DialContext], so it fits [net/http.Transport], drivers of
// databases and gRPC.
//
// The connection has deadlines and CloseWrite, which ends one direction only,
// as those of TCP do. All connections of a handle share one connection to the
// sandbox, which is made when it is needed and closed when it was not used for
// a while; when it is lost, they break off with an error that matches
// [ErrConnection], and the next call makes a new one. A sandbox with a
// connection is not idle. The context bounds the call only.
//
// Errors: [ErrInvalid], [TunnelError] when the sandbox does not connect,
// [ErrNoDataplane], [ErrNotReady], [ErrConnection], [ErrTimeout].
func (s *Sandbox) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	port, err := s.tunnelPort(network, address)
	if err != nil {
		return nil, err
	}
	for {
		h, err := s.acquire(ctx, trunkAttempts)
		if err != nil {
			return nil, err
		}
		conn, err := s.openTunnel(h, port)
		if err == nil {
			err = conn.confirm(ctx)
		}
		if err == nil {
			return conn, nil
		}
		if conn != nil {
			_ = conn.Close()
		}
		h.release()
		// A connection that was there may have been dead for long.
		if !h.reused || h.Err() == nil || ctx.Err() != nil {
			return nil, err
		}
	}
}

// tunnelPort is the port of an address that can be dialed.
func (s *Sandbox) tunnelPort(network, address string) (int, error) {
	ck := checks{op: opTunnel}
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, network) {
		ck.fail("network", "is %q, not tcp", network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		ck.fail("address", "is %q, not of the form host:port", address)
		return 0, ck.err
	}
	ip, err := netip.ParseAddr(host)
	own := host == "" || strings.EqualFold(host, "localhost") || host == s.Name() || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
	if !own {
		ck.fail("address", "has the host %q; a tunnel leads to the sandbox's own ports: use localhost", host)
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		ck.fail("port", "is %q, not a number", service)
	}
	ck.port(port)
	return port, ck.err
}

// tunnelConn is a connection to a port of a sandbox.
type tunnelConn struct {
	*mux.Stream

	hold *hold
	name string
	port int
}

var _ net.Conn = (*tunnelConn)(nil)

// openTunnel opens a stream and names the port. It takes the hold over, unless
// it fails.
func (s *Sandbox) openTunnel(h *hold, port int) (*tunnelConn, error) {
	st, err := h.Open()
	if err != nil {
		return nil, lostTrunk(s.Name(), err)
	}
	c := &tunnelConn{Stream: st, hold: h, name: s.Name(), port: port}
	if _, err := st.Write(binary.BigEndian.AppendUint16([]byte{1}, uint16(port))); err != nil { //nolint:gosec // checked
		return c, c.lost(err)
	}
	return c, nil
}

// confirm waits for the sandbox's answer.
func (c *tunnelConn) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var status [1]byte
	_, err := io.ReadFull(c.Stream, status[:])
	if !stop() && err == nil {
		err = os.ErrDeadlineExceeded
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := &APIError{Op: opTunnel, Name: c.name, Message: fmt.Sprintf("no answer for port %d", c.port), kinds: kinds(ErrConnection), cause: ctx.Err()}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			e.kinds = append(e.kinds, ErrTimeout)
		}
		return e
	case err != nil:
		return c.lost(err)
	case status[0] != byte(gen.TunnelConnected):
		return &TunnelError{Port: c.port, Status: TunnelStatus(status[0])}
	}
	return nil
}

// lost is a stream that ended before the answer.
func (c *tunnelConn) lost(err error) error {
	if cause := c.hold.Err(); cause != nil {
		err = cause
	}
	return lostTrunk(c.name, err)
}

// Read reads from the connection.
func (c *tunnelConn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as readers have it
		err = c.failed("read", err)
	}
	return n, err
}

// Write writes to the connection.
func (c *tunnelConn) Write(p []byte) (int, error) {
	n, err := c.Stream.Write(p)
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

func (c *tunnelConn) failed(op string, err error) error {
	if errors.Is(err, mux.ErrReset) {
		if cause := c.hold.Err(); cause != nil {
			err = cause
		}
		err = fmt.Errorf("%w: %w", ErrConnection, err)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close closes the connection.
func (c *tunnelConn) Close() error {
	defer c.hold.release()
	return c.Stream.Close()
}

// RemoteAddr is the port of the sandbox.
func (c *tunnelConn) RemoteAddr() net.Addr { return tunnelAddr{c.name, c.port} }

// LocalAddr is this side, which has no port.
func (c *tunnelConn) LocalAddr() net.Addr { return tunnelAddr{"tunnel", 0} }

// tunnelAddr is an end of a tunnel.
type tunnelAddr struct {
	host string
	port int
}

func (tunnelAddr) Network() string  { return "tcp" }
func (a tunnelAddr) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }
