//go:build unix

package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// Dial connects to what listens on the host's loopback, which is that of the
// sandbox's commands.
func (b *processBox) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialOwn(ctx, network, address, b.dial)
}

func (b *processBox) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if err := b.beginStart(); err != nil {
		return nil, err
	}
	defer b.starting.Done()
	if b.launcher != nil {
		// Somebody else may be listening, since the network is the host's.
		switch own, err := b.launcher.listens(addr.Port()); {
		case err != nil:
			return nil, err
		case !own:
			return nil, syscall.ECONNREFUSED
		}
	}
	// The end of the sandbox waits for its dials, but not for long.
	within, release := during(ctx, b.leaving)
	defer release()
	conn, err := new(net.Dialer).DialContext(within, "tcp", addr.String())
	switch {
	case err != nil && context.Cause(within) != nil:
		err = context.Cause(within)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = context.DeadlineExceeded // the dialer has a timer of its own, which may be first
	}
	return conn, err
}

// Listen fails: who could connect is not up to the sandbox.
func (b *processBox) Listen(context.Context) (net.Listener, error) {
	return nil, fmt.Errorf("listen in a sandbox without a network of its own: %w", ErrUnsupported)
}
