package proctree

import "golang.org/x/sys/unix"

// AwaitExit waits until a child has ended, and leaves it to be reaped. It
// reports whether it did.
func AwaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// Outlives reports whether a reaped child's process group is still there and
// has to be known by its number. Here processes are known by a cookie.
func Outlives(int) bool { return false }
