package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// dialer connects to one address of a sandbox.
type dialer func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// dialOwn connects to the first of a sandbox's addresses where somebody
// listens.
func dialOwn(ctx context.Context, network, address string, dial dialer) (net.Conn, error) {
	targets, err := ownAddresses(network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	for i, target := range targets {
		conn, failure := connect(ctx, target, dial)
		if failure == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			failure = ctx.Err()
		}
		if i > 0 && noSuchAddress(failure) {
			break // that nobody listens at the other one says more
		}
		err = &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(target), Err: bareError(failure)}
		if !errors.Is(failure, syscall.ECONNREFUSED) && !noSuchAddress(failure) {
			break
		}
	}
	return nil, err
}

// noSuchAddress is what a host without IPv6, or without IPv4, says.
func noSuchAddress(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.ENETUNREACH)
}

func connect(ctx context.Context, target netip.AddrPort, dial dialer) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := dial(ctx, target)
	if err == nil && conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// Nobody listened, and the kernel chose the same port for this end.
		return nil, errors.Join(syscall.ECONNREFUSED, conn.Close())
	}
	return conn, err
}

// bareError takes the words off that the caller puts around it again.
func bareError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// ownAddresses are where a sandbox's address may be listened on, most likely
// first.
func ownAddresses(network, address string) ([]netip.AddrPort, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil, &net.AddrError{Err: "no port from 1 to 65535", Addr: address}
	}
	addrs := []netip.Addr{loopback4, loopback6}
	if host != "" && host != "localhost" {
		addr, err := netip.ParseAddr(host)
		if addr = addr.Unmap(); err != nil || !addr.IsLoopback() && !addr.IsUnspecified() || addr.Zone() != "" {
			return nil, fmt.Errorf("%s: %w", address, ErrNotAllowed)
		}
		if addr.IsLoopback() {
			addrs = []netip.Addr{addr}
		}
	}
	var all []netip.AddrPort
	for _, addr := range addrs {
		if network == "tcp" || network == "tcp4" == addr.Is4() {
			all = append(all, netip.AddrPortFrom(addr, uint16(port)))
		}
	}
	if len(all) == 0 {
		return nil, &net.AddrError{Err: "not an address of " + network, Addr: address}
	}
	return all, nil
}

// during returns a context that also ends when gone is closed, with ErrClosed
// as its cause. The caller calls release.
func during(ctx context.Context, gone <-chan struct{}) (within context.Context, release func()) {
	within, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-gone:
			cancel(ErrClosed)
		case <-within.Done():
		}
	}()
	return within, func() { cancel(nil); <-over }
}
