//go:build unix && !linux

package proctree

import (
	"errors"
	"syscall"
)

// Tree names commands and everything that came from it. On this system it
// is the command's process group.
type Tree struct {
	// Leaders are processes it begins with, while their numbers are theirs.
	Leaders []int
	// Sessions are its sessions and process groups, as above.
	Sessions []int
	// Cookie is text of the environment that no other tree has.
	Cookie string
	// Signal, if set, signals the whole group at once, as long as it is
	// certain to be the command's.
	Signal func(syscall.Signal)
}

// Kill kills the processes of the tree.
func (t Tree) Kill() error {
	if t.Signal != nil {
		t.Signal(syscall.SIGKILL)
	}
	var errs []error
	for _, session := range t.Sessions {
		errs = append(errs, SignalGroup(session, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}
