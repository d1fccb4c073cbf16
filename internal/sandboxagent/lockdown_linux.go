package sandboxagent

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// commandCaps are the capabilities commands have in their user namespace, to
// own, install and serve things as a root would.
var commandCaps = []uint{
	unix.CAP_CHOWN,
	unix.CAP_DAC_OVERRIDE,
	unix.CAP_FOWNER,
	unix.CAP_FSETID,
	unix.CAP_KILL,
	unix.CAP_SETGID,
	unix.CAP_SETUID,
	unix.CAP_SETFCAP,
	unix.CAP_NET_BIND_SERVICE,
	unix.CAP_NET_RAW,
}

// lockdown makes the calling thread one that commands can be started from:
// they inherit what the thread has left. The other threads, on which commands
// are never started, give up the same system calls and, where the runtime can
// see to it, the same capabilities. It comes last in the set-up.
func lockdown(limits Rlimits, ready *Ready) error {
	ready.NestedUsers = forbidNestedUsers() != nil
	if err := limits.set(ready); err != nil {
		return err
	}
	// Commands share the agent's user and must not get into its memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fail("prctl", "dumpable", err)
	}
	if err := dropCaps(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fail("prctl", "no_new_privs", err)
	}
	var err error
	ready.Filter, err = filterSyscalls()
	return err
}

// forbidNestedUsers writes to a file that belongs to the writer's own user
// namespace. That this is not the server's was checked before.
func forbidNestedUsers() error {
	inode, err := Namespace("user")
	if err != nil {
		return err
	}
	if inode == initialUserNS {
		return errors.New("in the machine's own user namespace")
	}
	return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
}

func dropCaps() error {
	var keep uint64
	for _, c := range commandCaps {
		keep |= 1 << c
	}
	for c := range uintptr(64) {
		if keep&(1<<c) != 0 {
			continue
		}
		// EINVAL is the end of the kernel's list.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fail("drop capability", fmt.Sprint(c), err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		data[i].Effective = uint32(keep >> (32 * i))
		data[i].Permitted = data[i].Effective
	}
	return onAllThreads("capset", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])))
}

// onAllThreads makes a system call on every thread. In programs with C code the
// runtime does not know them all; the call is made on this one alone there.
func onAllThreads(step string, number, a1, a2 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(number, a1, a2, 0)
	if errno == syscall.ENOTSUP {
		_, _, errno = syscall.RawSyscall(number, a1, a2, 0)
	}
	if errno != 0 {
		return fail(step, "", errno)
	}
	return nil
}

// CommandCaps are the names of the capabilities that commands have.
func CommandCaps() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",
	}
}
