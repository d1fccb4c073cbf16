package sandboxagent

import (
	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
)

// start starts a command, perhaps in a terminal of its own, whose master goes
// along with the reply.
func (a *agent) start(req *Request, fds []int) {
	if req.Exec.TTY == nil {
		a.send(a.exec(req, fds))
		return
	}
	master, slave, err := a.openTerminal(*req.Exec.TTY)
	if err != nil {
		a.send(&Reply{ID: req.ID, Error: fail("terminal", "", err)})
		return
	}
	defer CloseAll([]int{master, slave})
	if u := req.Exec.User; u != nil {
		_ = unix.Fchown(slave, int(u.UID), -1) // else it cannot be opened again
	}
	// The server sends no other descriptors for a command in a terminal.
	req.Exec.FDs = req.Exec.FDs&HasCgroup | HasStdin | HasStdout | HasStderr
	reply := a.exec(req, append([]int{slave, slave, slave}, fds...))
	if reply.Error != nil {
		a.send(reply)
		return
	}
	a.send(reply, master)
}

// openTerminal makes a terminal. One of the machine's is outside the fence
// around this thread, and not around others.
func (a *agent) openTerminal(size terminal.Size) (master, slave int, err error) {
	if !a.fenced {
		return terminal.Open(size)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		master, slave, err = terminal.Open(size)
	}()
	<-done
	return master, slave, err
}

// CheckTerminal reports whether a descriptor is the master of a terminal, and
// makes reads of it such that they can be broken off.
func CheckTerminal(fd int) error {
	if fd < 0 || !terminal.IsMaster(fd) {
		return unix.ENOTTY
	}
	return unix.SetNonblock(fd, true)
}
