package runtime

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to what listens in the sandbox.
func (s *sandbox) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialOwn(ctx, network, address, s.dial)
}

// dial has the agent make a socket in the sandbox's network and connects it.
func (s *sandbox) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := s.socket(ctx, family)
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, fd, addr)
}

// connect connects a socket, which it takes over.
func (s *sandbox) connect(ctx context.Context, fd int, addr netip.AddrPort) (net.Conn, error) {
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	err := unix.Connect(fd, to)
	file := os.NewFile(uintptr(fd), addr.String())
	defer file.Close()
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR) {
		within, release := during(ctx, s.done)
		err = connected(within, file)
		release()
	}
	if err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// connected waits until a socket is connected, or is not.
func connected(ctx context.Context, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var status error
	err = raw.Write(func(fd uintptr) bool {
		var ready bool
		ready, status = connectStatus(int(fd))
		return ready
	})
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return status
}

func connectStatus(fd int) (ready bool, err error) {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(poll, 0)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(poll, 0)
	}
	if err != nil || n == 0 {
		return err != nil, err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	return true, err
}
