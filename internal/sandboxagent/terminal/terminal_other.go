//go:build unix && !linux

package terminal

import "errors"

var errUnsupported = errors.New("terminals are not supported on this system")

// Open would make a terminal.
func Open(Size) (master, slave int, err error) { return -1, -1, errUnsupported }

// SetSize would change the size of a terminal.
func SetSize(int, Size) error { return errUnsupported }
