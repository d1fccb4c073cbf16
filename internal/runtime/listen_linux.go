package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// Listen listens on a free port of the sandbox's own loopback.
func (s *sandbox) Listen(ctx context.Context) (net.Listener, error) {
	if s.hostNetwork {
		return nil, fmt.Errorf("listen in a sandbox with the host's network: %w", ErrUnsupported)
	}
	fd, err := s.socket(ctx, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("listen in a sandbox: %w", err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback4.As4()}); err != nil {
		return nil, fmt.Errorf("bind in a sandbox: %w", err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, fmt.Errorf("listen in a sandbox: %w", err)
	}
	return net.FileListener(file)
}

// socket has the agent make a socket in the sandbox's network.
func (s *sandbox) socket(ctx context.Context, family int) (int, error) {
	req := &sandboxagent.Request{Socket: &sandboxagent.Socket{IPv6: family == unix.AF_INET6}}
	got, err := s.control.do(ctx, &call{file: true, undo: closeAnswer}, nil, req, nil)
	if err != nil {
		closeAnswer(got)
		return -1, err
	}
	if got.fd < 0 {
		return -1, errProtocol
	}
	if err := errors.Join(sandboxagent.CheckSocket(got.fd, family), unix.SetNonblock(got.fd, true)); err != nil {
		closeAnswer(got)
		return -1, errors.Join(errProtocol, err)
	}
	return got.fd, nil
}
