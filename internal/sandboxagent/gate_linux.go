package sandboxagent

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// GateKey begins the environment entry that makes a process wait for its ids:
// it was started as nobody of its user namespace, and becomes root there when
// there is a byte to read from the descriptor that the entry names.
const GateKey = "SANDBOX_GATE="

// passGate waits for the ids, if this process was started without, and does
// not return then.
func passGate() error {
	env := os.Environ()
	at := slices.IndexFunc(env, func(entry string) bool { return strings.HasPrefix(entry, GateKey) })
	if at < 0 {
		return nil
	}
	fd, err := strconv.Atoi(strings.TrimPrefix(env[at], GateKey))
	if err != nil {
		return fmt.Errorf("%s: %w", env[at], err)
	}
	for {
		n, err := unix.Read(fd, make([]byte, 1))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for ids: %w", err)
		}
		if n == 0 {
			return errors.New("wait for ids: the server has ended")
		}
		break
	}
	unix.Close(fd)
	if err := becomeRoot(); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, slices.Delete(env, at, at+1))
}

// becomeRoot changes the calling thread, which becomes the process with the
// program that it executes. That gets the rights of root, and hands none down
// that commands were to lose.
func becomeRoot() error {
	runtime.LockOSThread()
	for _, call := range []struct {
		name string
		trap uintptr
	}{{"setgroups", unix.SYS_SETGROUPS}, {"setresgid", unix.SYS_SETRESGID}, {"setresuid", unix.SYS_SETRESUID}} {
		if _, _, errno := unix.RawSyscall(call.trap, 0, 0, 0); errno != 0 {
			return fmt.Errorf("%s: %w", call.name, errno)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
