//go:build unix

package runtime

import (
	"os"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
)

// files are what the caller gives the command; nothing with a terminal.
func (c Command) files() []*os.File {
	if c.TTY != nil {
		return make([]*os.File, 3)
	}
	return []*os.File{c.Stdin, c.Stdout, c.Stderr}
}

// terminal is what to ask for, or nil.
func (c Command) terminal() *terminal.Size {
	if c.TTY == nil {
		return nil
	}
	return &terminal.Size{Cols: c.TTY.Cols, Rows: c.TTY.Rows}
}

// Resize changes the size of a terminal, of which programs in it are told.
func Resize(term *os.File, size WindowSize) error {
	raw, err := term.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = terminal.SetSize(int(fd), terminal.Size{Cols: size.Cols, Rows: size.Rows})
	})
	if err != nil {
		return err
	}
	return failed
}

// processTerminal is a command of the process runtime in a terminal.
type processTerminal struct{ *processCommand }

// Terminal is the other side of the terminal.
func (c processTerminal) Terminal() *os.File { return c.terminal }

// Resize changes the size of the terminal.
func (c processTerminal) Resize(size WindowSize) error { return Resize(c.terminal, size) }

// openTerminal makes the command's terminal and returns the command's side.
func (c *processCommand) openTerminal(size *terminal.Size) (*os.File, error) {
	master, slave, err := terminal.Open(*size)
	if err != nil {
		return nil, err
	}
	c.terminal = os.NewFile(uintptr(master), "terminal")
	return os.NewFile(uintptr(slave), "tty"), nil
}
