package sandboxagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// agent is the state of a running agent.
type agent struct {
	home string
	null int // /dev/null of the sandbox
	oom  oomScore
	// fenced is true without namespaces: other processes of the machine have
	// numbers here, too.
	fenced bool

	// mu is held across a fork until the child is in the table, so that the
	// reaper finds every child it is told about.
	mu     sync.Mutex
	byPID  map[int]uint64 // running commands: process id to request
	byID   map[uint64]int // and back
	forked chan struct{}  // tells the reaper that there may be children again

	// guest is true in a container that another program made.
	guest bool
	state guestState
}

// serve sets the sandbox up and then answers requests until the server is
// gone. It keeps the main thread for itself: that thread gives up its
// privileges before the first command, and both commands and opened files
// come from it alone.
func serve(a *agent) error {
	runtime.LockOSThread()
	catchSignals()
	unix.Umask(0o022)
	a.null = -1
	a.byPID, a.byID = make(map[int]uint64), make(map[uint64]int)
	a.forked = make(chan struct{}, 1)
	buf, oob := make([]byte, MaxMessage), make([]byte, unix.CmsgSpace(4*MaxFDs))
	for {
		req, fds, err := next(buf, oob)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.handle(req, fds)
	}
}

func next(buf, oob []byte) (*Request, []int, error) {
	for {
		n, fds, err := Receive(ControlFD, buf, oob, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("receive: %w", err)
		}
		return decode(buf[:n], fds)
	}
}

func (a *agent) handle(req *Request, fds []int) {
	defer CloseAll(fds)
	switch {
	case req.Setup != nil && a.null < 0:
		a.send(a.setup(req, fds))
	case a.null < 0:
		a.send(&Reply{ID: req.ID, Error: &Error{Op: "request", Text: "not set up yet"}})
	case a.guest && a.guestRequest(req, fds):
	case req.Exec != nil:
		a.start(req, fds)
	case req.Open != nil:
		a.open(req)
	case req.Socket != nil:
		a.socket(req)
	case req.Kill != nil:
		go func() { a.send(a.kill(req)) }()
	default:
		a.send(&Reply{ID: req.ID, Error: &Error{Op: "request", Text: "unknown"}})
	}
}

func (a *agent) setup(req *Request, fds []int) *Reply {
	ready, err := a.enter(req.Setup, fds)
	if err == nil {
		a.home = req.Setup.Home
		a.null, err = openNull()
	}
	if err != nil {
		return &Reply{ID: req.ID, Error: asError("setup", err)}
	}
	go a.reap()
	return &Reply{ID: req.ID, Ready: ready}
}

// enter makes the calling thread one that commands can be started from.
func (a *agent) enter(setup *Setup, fds []int) (ready *Ready, err error) {
	if a.fenced != (setup.Fence != nil) {
		return nil, &Error{Op: "setup", Text: "for another kind of agent"}
	}
	if a.guest {
		return a.settle(setup)
	}
	if !a.fenced {
		ready, err = prepare(setup, fds)
	}
	if err == nil {
		a.oom, err = openOOMScore()
	}
	switch {
	case err != nil:
		return nil, err
	case a.fenced:
		return fenceIn(setup)
	}
	return ready, lockdown(setup.Rlimits, ready)
}

// openNull opens the sandbox's null device, also in place of the pipe that
// took the complaints of a failed start.
func openNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fail("open", "/dev/null", err)
	}
	for std := 0; std <= 2; std++ {
		if err := unix.Dup3(fd, std, 0); err != nil {
			return -1, fail("dup", "/dev/null", err)
		}
	}
	return fd, nil
}

func asError(op string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return fail(p.Op, p.Path, p.Err)
	}
	return fail(op, "", err)
}

// send sends a reply with descriptors. A server that cannot be reached any
// more is found out by the next receive.
func (a *agent) send(reply *Reply, fds ...int) {
	data, err := json.Marshal(reply)
	if err != nil || len(data) > MaxReply {
		data, _ = json.Marshal(&Reply{ID: reply.ID, Error: &Error{Op: "reply", Errno: unix.EMSGSIZE}}) //nolint:errchkjson // plain fields
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		_, err := unix.SendmsgN(ControlFD, data, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return
		}
	}
}

func (a *agent) kill(req *Request) *Reply {
	kill := req.Kill
	tree := proctree.Tree{Sessions: []int{kill.PID}, Cookie: kill.Cookie}
	a.mu.Lock()
	if pid, running := a.byID[kill.Exec]; running {
		tree.Leaders = []int{pid}
	} else if _, reused := a.byPID[kill.PID]; reused || a.fenced {
		tree.Sessions = nil
	}
	a.mu.Unlock()
	tree.Signal = func(sig syscall.Signal) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if pid, running := a.byID[kill.Exec]; running {
			_ = proctree.SignalGroup(pid, sig)
		}
	}
	if err := tree.Kill(); err != nil {
		return &Reply{ID: req.ID, Error: fail("kill", "", err)}
	}
	return &Reply{ID: req.ID}
}

// catchSignals keeps commands from ending the agent with a signal: the
// kernel protects a first process from signals it has no handler for, and Go
// has one for all of them.
func catchSignals() {
	var all []os.Signal
	for s := syscall.Signal(1); s < 32; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF:
		default:
			all = append(all, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), all...)
}
