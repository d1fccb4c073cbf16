package runtime

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// commandTerminal is a command of the native runtime in a terminal.
type commandTerminal struct {
	*command
	terminal *os.File
}

// Terminal is the other side of the terminal.
func (c commandTerminal) Terminal() *os.File { return c.terminal }

// Resize changes the size of the terminal.
func (c commandTerminal) Resize(size WindowSize) error { return Resize(c.terminal, size) }

// started returns the command, with the terminal if it was to have one. What
// the agent sent is not trusted to be one.
func (c *command) started(fd int, tty bool) (Process, error) {
	if !tty {
		return c, nil
	}
	if err := sandboxagent.CheckTerminal(fd); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		_ = c.Kill()
		return nil, errProtocol
	}
	return commandTerminal{c, os.NewFile(uintptr(fd), "terminal")}, nil
}
