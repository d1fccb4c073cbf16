package terminal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// multiplexer is where terminals come from. It is that of the devpts in which
// the program sees its terminal, whatever /dev/ptmx is.
const multiplexer = "/dev/pts/ptmx"

// Open makes a terminal. The master is nonblocking; both are close-on-exec and
// belong to the caller.
func Open(size Size) (master, slave int, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	master, err = unix.Open(multiplexer, flags|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EACCES) {
		// The host's devpts need not let everybody use it.
		master, err = unix.Open("/dev/ptmx", flags|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return -1, -1, fmt.Errorf("open terminal: %w", err)
	}
	slave = -1
	if err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err == nil {
		// By descriptor, since a name could be somebody else's by now.
		slave, err = peer(master, flags)
	}
	if err == nil {
		err = SetSize(master, size)
	}
	if err != nil {
		unix.Close(master)
		if slave >= 0 {
			unix.Close(slave)
		}
		return -1, -1, fmt.Errorf("set up terminal: %w", err)
	}
	return master, slave, nil
}

func peer(master, flags int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, uintptr(flags))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// SetSize changes the size of a terminal, of which programs in it are told.
func SetSize(master int, size Size) error {
	return unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Col: size.Cols, Row: size.Rows})
}

// IsMaster reports whether a descriptor is the master of a terminal.
func IsMaster(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return false
	}
	if unix.Major(st.Rdev) != 5 || unix.Minor(st.Rdev) != 2 { // see devices.txt of the kernel
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_PATH == 0 && flags&unix.O_ACCMODE == unix.O_RDWR
}
