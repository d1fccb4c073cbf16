//go:build unix && !linux

package proctree

import "syscall"

// AwaitExit would wait until a child has ended, and leave it to be reaped. It
// reports whether it did; here that is left to the reaping itself.
func AwaitExit(int) bool { return false }

// Outlives reports whether a reaped child's process group is still there and
// has to be known by its number.
func Outlives(pid int) bool {
	err := syscall.Kill(-pid, 0)
	return pid > 1 && (err == nil || err == syscall.EPERM)
}
