package sandboxagent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

const (
	// KeeperMarker takes the place of Marker for the parent of an agent without
	// namespaces, which gets the control socket for it.
	KeeperMarker = "SANDBOX_AGENT=keeper"
	// FenceMarker is that of an agent without namespaces.
	FenceMarker = "SANDBOX_AGENT=fenced"
	// LifelineFD is the descriptor of a pipe to the keeper: a byte has it start
	// the agent, and its end has it kill everything and exit.
	LifelineFD = 4
)

// keep stands for the first process of a pid namespace where there is none:
// what loses its parent becomes the keeper's child, so that nothing gets away
// from it, and it ends everything when the agent or the server has ended. No
// command can signal it where the kernel fences signals in, nor trace it.
func keep() error {
	if len(os.Args) != 1 {
		return errors.New("not started by a sandbox server")
	}
	if err := checkSocketKind(); err != nil {
		return err
	}
	if err := unix.CloseRange(ControlFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail("prctl", "child_subreaper", err)
	}
	if err := withholdPrivileges(); err != nil {
		return err
	}
	catchSignals()
	lifeline := os.NewFile(LifelineFD, "lifeline")
	if n, _ := lifeline.Read(make([]byte, 1)); n == 0 {
		return nil
	}
	pid, err := startFenced()
	if err != nil {
		return err
	}
	unix.Close(ControlFD)
	over := make(chan struct{}, 2)
	go func() {
		_, _ = lifeline.Read(make([]byte, 1))
		over <- struct{}{}
	}()
	none := make(chan struct{})
	go reapAll(pid, over, none)
	<-over
	if err := (proctree.Tree{Under: os.Getpid()}).Kill(); err != nil {
		return err
	}
	<-none
	return nil
}

// withholdPrivileges makes sure that what this thread starts has no privileges
// and gets none, whoever it is.
func withholdPrivileges() error {
	for what, value := range map[int]uintptr{unix.PR_SET_DUMPABLE: 0, unix.PR_SET_NO_NEW_PRIVS: 1} {
		if err := unix.Prctl(what, value, 0, 0, 0); err != nil {
			return fail("prctl", strconv.Itoa(what), err)
		}
	}
	for c := range uintptr(64) {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // the rest suffices
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &new([2]unix.CapUserData)[0]); err != nil {
		return fail("capset", "", err)
	}
	return nil
}

func startFenced() (int, error) {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{Name}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{FenceMarker, "GOMAXPROCS=" + os.Getenv("GOMAXPROCS")},
		Files: []uintptr{0, 1, 2, ControlFD},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fail("start", "agent", err)
	}
	return pid, nil
}

// reapAll reaps children until there are none, and tells of the agent's end.
func reapAll(agent int, over chan<- struct{}, none chan<- struct{}) {
	defer close(none)
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WALL, nil)
		switch {
		case err == nil && pid == agent:
			over <- struct{}{}
		case err != nil && !errors.Is(err, syscall.EINTR):
			return
		}
	}
}
