//go:build unix

package proctree

import (
	"fmt"
	"syscall"
)

// SignalGroup signals a process group at once, so that none of its members
// can fork out of it. The caller makes sure that the group still is the one
// meant: it has to hold back the leader's reaping, or know that a member
// lives.
func SignalGroup(group int, sig syscall.Signal) error {
	if group <= 1 {
		return nil
	}
	if err := syscall.Kill(-group, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("signal group %d: %w", group, err)
	}
	return nil
}

// ExitCode returns the code and signal of a wait status, with a signal as
// 128 plus its number in the code.
func ExitCode(status syscall.WaitStatus) (code, signal int) {
	if status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return status.ExitStatus(), 0
}
