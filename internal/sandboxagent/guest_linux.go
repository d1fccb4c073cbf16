package sandboxagent

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// GuestMarker is the environment entry, in place of Marker, of an agent that is
// the first process of a container: somebody else has made its root and taken
// its privileges. A guest's descriptors stay with it, since not every runtime
// lets them out: what it is to work on is passed to it.
const GuestMarker = "SANDBOX_GUEST=1"

// runGuest is run for a guest.
func runGuest() error {
	switch {
	case len(os.Args) != 1:
		return errors.New("not started by a sandbox server")
	case os.Getpid() != 1:
		return errors.New("not the first process of a container")
	}
	if inode, err := Namespace("pid"); err == nil && inode == initialPIDNS {
		return errors.New("in the machine's own pid namespace")
	}
	kind, err := unix.GetsockoptInt(ControlFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("control socket: %w", errors.Join(err, unix.EPROTOTYPE))
	}
	unix.CloseOnExec(ControlFD)
	return serve(&agent{guest: true})
}

// settle is the set-up of a guest: limits, and what its commands are not to
// see of it.
func (a *agent) settle(setup *Setup) (*Ready, error) {
	ready := new(Ready)
	if oom, err := openOOMScore(); err == nil { // not every kernel has it
		a.oom = oom
	}
	if err := setup.Rlimits.set(ready); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fail("prctl", "dumpable", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fail("prctl", "no_new_privs", err)
	}
	return ready, nil
}

// guestRequest answers what only guests are asked, and reports whether it was
// that.
func (a *agent) guestRequest(req *Request, fds []int) bool {
	switch {
	case req.Connect != nil:
		a.connect(req, fds)
	case req.Listen != nil:
		a.listen(req)
	case req.Accept != nil:
		a.accept(req, fds)
	case req.Resize != nil:
		a.resize(req)
	case req.Exec != nil && req.Exec.TTY != nil:
		a.startTerminal(req, fds)
	default:
		return false
	}
	return true
}
