//go:build unix

package runtime

import (
	"cmp"
	"context"
	"net"
	"net/netip"
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
	// The end of the sandbox waits for its dials, but not for long.
	within, release := during(ctx, b.leaving)
	defer release()
	conn, err := new(net.Dialer).DialContext(within, "tcp", addr.String())
	if err != nil {
		err = cmp.Or(context.Cause(within), err)
	}
	return conn, err
}
