package sandboxagent

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// exitRefused is the exit code of an agent that could not start.
const exitRefused = 125

// init takes over only with the name and the marker: anybody may call a program
// by any name.
func init() {
	if len(os.Args) == 0 || os.Args[0] != Name {
		return
	}
	work := run
	switch {
	case slices.Contains(os.Environ(), Marker):
	case slices.Contains(os.Environ(), FileTaskMarker):
		work = doFileTask
	case slices.Contains(os.Environ(), KeeperMarker):
		work = keep
	case slices.Contains(os.Environ(), FenceMarker):
		work = runFenced
	case slices.Contains(os.Environ(), GuestMarker):
		work = runGuest
	case slices.Contains(os.Environ(), GuardMarker):
		work = guard
	case slices.Contains(os.Environ(), LauncherMarker):
		work = launchContainer
	case slices.Contains(os.Environ(), ContainedMarker):
		work = runContained
	default:
		return
	}
	err := passGate()
	if err == nil {
		err = work()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, Name+":", err)
		syscall.Exit(exitRefused)
	}
	syscall.Exit(0)
}

func run() error {
	if err := checkPlace(); err != nil {
		return err
	}
	if err := unix.CloseRange(ControlFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	return serve(new(agent))
}

// Inode numbers of the machine's first namespaces; fixed in the kernel.
const (
	initialUserNS = 0xEFFFFFFD
	initialPIDNS  = 0xEFFFFFFC
)

// checkPlace refuses to go on anywhere but in a pid and user namespace that a
// server outside of them made for this process. A first process that kills
// and mounts in the wrong place takes the machine with it.
func checkPlace() error {
	if len(os.Args) != 1 {
		return errors.New("not started by a sandbox server")
	}
	if os.Getpid() != 1 {
		return errors.New("not the first process of a pid namespace")
	}
	if err := checkSocket(); err != nil {
		return err
	}
	for name, initial := range map[string]uint64{"user": initialUserNS, "pid": initialPIDNS} {
		inode, err := Namespace(name)
		if err != nil {
			return err
		}
		if inode == initial {
			return fmt.Errorf("in the machine's own %s namespace", name)
		}
	}
	return nil
}

func checkSocket() error {
	if err := checkSocketKind(); err != nil {
		return err
	}
	peer, err := unix.GetsockoptUcred(ControlFD, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	// A process outside of this pid namespace has no number in it.
	if peer.Pid != 0 {
		return errors.New("control socket: the server is in the same pid namespace")
	}
	return nil
}

func checkSocketKind() error {
	kind, err := unix.GetsockoptInt(ControlFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	domain, err := unix.GetsockoptInt(ControlFD, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if kind != unix.SOCK_SEQPACKET || domain != unix.AF_UNIX {
		return errors.New("control socket: wrong type")
	}
	return nil
}

// Namespace returns the inode number of a namespace of this process, by its
// name in /proc/self/ns.
func Namespace(name string) (uint64, error) {
	var st unix.Stat_t
	path := "/proc/self/ns/" + name
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// checkOutside makes sure that none of the server's namespaces is shared.
func checkOutside(setup *Setup) error {
	names := []string{"user", "pid", "mnt", "ipc", "uts"}
	if !setup.HostNetwork {
		names = append(names, "net")
	}
	return checkNamespaces(setup.Outside, names...)
}

// checkNamespaces makes sure that namespaces are not those outside.
func checkNamespaces(outside map[string]uint64, names ...string) error {
	for _, name := range names {
		inside, err := Namespace(name)
		if err != nil {
			return err
		}
		if outside[name] == 0 || outside[name] == inside {
			return fmt.Errorf("the %s namespace is the server's", name)
		}
	}
	return nil
}
