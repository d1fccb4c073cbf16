package sandboxagent

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitable waits until a child has ended and returns its process id, without
// reaping it.
func waitable() (int, error) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL, nil)
	if err != nil {
		return 0, err
	}
	// Three ints, padded to the alignment of a pointer, come before si_pid.
	const offset = 8 + unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset))), nil
}
