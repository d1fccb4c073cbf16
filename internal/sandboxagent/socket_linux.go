package sandboxagent

import "golang.org/x/sys/unix"

func (a *agent) socket(req *Request) {
	family := unix.AF_INET
	if req.Socket.IPv6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		a.send(&Reply{ID: req.ID, Error: fail("socket", "", err)})
		return
	}
	a.send(&Reply{ID: req.ID}, fd)
	unix.Close(fd)
}

// CheckSocket reports whether a descriptor is a new TCP socket of a family.
// The server repeats the check on what an agent gives it.
func CheckSocket(fd, family int) error {
	for option, want := range map[int]int{
		unix.SO_DOMAIN:     family,
		unix.SO_TYPE:       unix.SOCK_STREAM,
		unix.SO_PROTOCOL:   unix.IPPROTO_TCP,
		unix.SO_ACCEPTCONN: 0,
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		if got != want {
			return unix.EINVAL
		}
	}
	return nil
}
