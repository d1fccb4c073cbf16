package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attacks are tried in this order. Those on processes aim at one that the test
// started, or, inside a pid namespace, at the first.
var attacks = []attack{
	{"read a file of the host", func(h hostTargets) error { return opens(h.Secret, unix.O_RDONLY) }, false},
	{"read it through the root of process 1", func(h hostTargets) error { return opens("/proc/1/root"+h.Secret, unix.O_RDONLY) }, false},
	{"read it through the host's process", func(h hostTargets) error { return opens(inProc(h.PID, "root")+h.Secret, unix.O_RDONLY) }, false},
	{"change the mode of a file of the host", func(h hostTargets) error { return unix.Chmod(h.Secret, 0o644) }, false}, // it has it
	{"read files of the host by handle", openByHandle, false},
	{"leave the root by chroot", func(hostTargets) error { return unix.Chroot("/") }, false},
	{"leave it through an inherited descriptor", inherited, false},
	{"connect to a socket in the host's files", func(h hostTargets) error { return dials("unix", h.Socket) }, false},
	{"connect to an abstract socket of the host", func(h hostTargets) error { return dials("unix", h.Abstract) }, false},
	{"connect to the host's loopback", func(h hostTargets) error { return dials("tcp", h.Loopback) }, false},
	{"connect to another address of the host", func(h hostTargets) error {
		if h.Address == "" {
			return errors.New("it has none")
		}
		return dials("tcp", h.Address)
	}, false},
	{"connect to the metadata service of a cloud", func(hostTargets) error { return dials("tcp", "169.254.169.254:80") }, false},
	{"talk to the hypervisor", func(hostTargets) error { return called(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM) }, false},
	{"send raw packets by AF_PACKET", func(hostTargets) error { return called(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW) }, false},
	{"see a process of the host", func(h hostTargets) error { return sees(h.PID) }, false},
	{"signal a process of the host", func(h hostTargets) error {
		if err := sees(h.PID); err != nil {
			return err // the number may be that of one inside
		}
		return unix.Kill(h.PID, 0)
	}, false},
	{"trace a process of the host", func(h hostTargets) error {
		if err := sees(h.PID); err != nil {
			return err
		}
		return traces(h.PID)
	}, false},
	{"trace process 1", func(hostTargets) error { return traces(1) }, true},
	{"write to the memory of process 1", func(hostTargets) error { return opens("/proc/1/mem", unix.O_RDWR) }, false},
	{"take the descriptors of process 1", func(hostTargets) error { return pidfdGetFD(1) }, true},
	{"read the environment of process 1", func(hostTargets) error { return opens("/proc/1/environ", unix.O_RDONLY) }, false},
	{"change the limits of process 1", func(hostTargets) error {
		limit := unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}
		return unix.Prlimit(1, unix.RLIMIT_NPROC, &limit, nil)
	}, true},
	{"write a sysctl of the kernel", func(hostTargets) error { return opens("/proc/sys/kernel/core_pattern", unix.O_WRONLY) }, false},
	{"use the magic keys", func(hostTargets) error { return opens("/proc/sysrq-trigger", unix.O_WRONLY) }, false},
	{"read the kernel's memory", func(hostTargets) error {
		return first(readsByte("/proc/kcore"), readsByte("/dev/mem"), readsByte("/dev/kmem"))
	}, false},
	{"read the kernel's log", func(hostTargets) error {
		return first(opens("/dev/kmsg", unix.O_RDONLY), opens("/proc/kmsg", unix.O_RDONLY), sizeOfLog())
	}, false},
	{"read what /proc tells of the machine", func(hostTargets) error {
		return first(reads("/proc/cmdline"), reads("/proc/keys"), reads("/proc/timer_list"), reads("/proc/sched_debug"))
	}, false},
	{"use the kernel's keyrings", func(hostTargets) error {
		kind, name := []byte("user\x00"), []byte("x\x00")
		const processKeyring = ^uintptr(1)
		_, _, errno := unix.Syscall6(unix.SYS_ADD_KEY, pointer(&kind[0]), pointer(&name[0]), pointer(&name[0]), 1, processKeyring, 0)
		return failure(errno)
	}, false},
	{"open a disk", func(hostTargets) error { return opensDevice(unix.S_IFBLK, 254, 0) }, false},
	{"make a node of a disk", makesNode, false},
	{"mount", func(h hostTargets) error {
		target := "/tmp"
		if !h.Apart {
			target = "/nowhere"
		}
		return first(unix.Mount("none", target, "tmpfs", 0, ""), called(unix.SYS_FSOPEN, cstring("tmpfs"), 0), called(unix.SYS_OPEN_TREE, ^uintptr(99), cstring("/"), unix.OPEN_TREE_CLONE))
	}, false},
	{"make /proc/sys writable again", func(hostTargets) error {
		return unix.Mount("none", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND, "")
	}, true},
	{"unmount what hides something", func(hostTargets) error { return unix.Unmount("/proc", unix.MNT_DETACH) }, true},
	{"make a user namespace", func(hostTargets) error { return clones(unix.CLONE_NEWUSER) }, false},
	{"make a mount namespace", func(hostTargets) error { return clones(unix.CLONE_NEWNS) }, false},
	{"make a network namespace", func(hostTargets) error { return clones(unix.CLONE_NEWNET) }, false},
	{"enter the namespaces of process 1", func(hostTargets) error { return enters("/proc/1/ns/mnt") }, true},
	{"find the host's cgroups", func(hostTargets) error {
		return opens("/sys/fs/cgroup", unix.O_RDONLY|unix.O_DIRECTORY)
	}, false},
	{"use io_uring", func(hostTargets) error {
		var params [120]byte
		return called(unix.SYS_IO_URING_SETUP, 1, pointer(&params[0]))
	}, false},
	{"use userfaultfd", func(hostTargets) error { return called(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|1) }, false},
	{"load a program into the kernel (bpf)", func(hostTargets) error {
		attr := [16]uint32{2, 4, 4, 1}
		return called(unix.SYS_BPF, 0, pointer(&attr[0]), unsafe.Sizeof(attr))
	}, false},
	{"count events of the machine (perf)", func(hostTargets) error {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		return called(unix.SYS_PERF_EVENT_OPEN, pointer(&attr), 0, ^uintptr(0), ^uintptr(0), 0)
	}, false},
	{"call the kernel as a 32-bit program", foreignCall, false},
	{"load a module", func(hostTargets) error { return called(unix.SYS_INIT_MODULE, 0, 0, cstring("")) }, false},
	{"set the clock", func(hostTargets) error {
		// A time that cannot be is refused for another reason.
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: -1}); errors.Is(err, unix.EPERM) {
			return err
		}
		return nil
	}, false},
	{"gain privileges by executing", func(hostTargets) error {
		if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set == 1 {
			return errors.New("they are given up for good")
		}
		return nil
	}, false},
	{"dump core to the host", func(hostTargets) error {
		limit := unix.Rlimit{Cur: 1, Max: 1}
		return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}, false},
	{"read the names of mounted host directories", func(h hostTargets) error {
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("/"+filepath.Base(h.Program)+" /attacks ")) {
			return nil
		}
		return errors.New("they are not shown")
	}, false},
}

func failure(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// first is nil if one of the ways succeeded, else why the first did not.
func first(ways ...error) error {
	for _, err := range ways {
		if err == nil {
			return nil
		}
	}
	return ways[0]
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// cstrings are kept, as the kernel only gets their addresses.
var cstrings [][]byte

func cstring(s string) uintptr {
	cstrings = append(cstrings, append([]byte(s), 0))
	return pointer(&cstrings[len(cstrings)-1][0])
}

func dials(network, address string) error {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// sees reports whether the number is that of the test's victim, which sleeps.
func sees(pid int) error {
	command, err := os.ReadFile(inProc(pid, "cmdline"))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(command, []byte("sleep\x001000")) {
		return errors.New("it is another")
	}
	return nil
}

// traces attaches to a process, which ends with this one.
func traces(pid int) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	return unix.PtraceSeize(pid)
}

func pidfdGetFD(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	taken, err := unix.PidfdGetfd(fd, 0, 0)
	if err != nil {
		return err
	}
	return unix.Close(taken)
}

// reads reports whether there is something in a file.
func reads(name string) error {
	data, err := os.ReadFile(name)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return err
}

// readsByte is for what has no end.
func readsByte(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Read(make([]byte, 1)) // nothing behind what is hidden
	return err
}

func sizeOfLog() error {
	_, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_UNREAD, nil)
	return err
}

func openByHandle(hostTargets) error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/", 0)
	if err != nil {
		handle = unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // the root of most file systems
	}
	fd, err := unix.OpenByHandleAt(unix.AT_FDCWD, handle, unix.O_RDONLY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// inherited looks for descriptors that this program did not open. The runtime's
// own are anonymous.
func inherited(hostTargets) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && len(e.Name()) > 0 && e.Name() > "2" && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/proc/") {
			return nil
		}
	}
	return errors.New("there is none")
}

func makesNode(hostTargets) error { return opensNode(unix.S_IFBLK, 254, 0, false) }

func opensDevice(kind, major, minor uint32) error { return opensNode(kind, major, minor, true) }

func opensNode(kind, major, minor uint32, use bool) error {
	node := fmt.Sprintf("/tmp/node-%d", os.Getpid())
	if err := unix.Mknod(node, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		if use {
			return first(err, opens("/dev/vda", unix.O_RDONLY), opens("/dev/sda", unix.O_RDONLY), opens("/dev/nvme0n1", unix.O_RDONLY))
		}
		return err
	}
	defer os.Remove(node)
	if !use {
		return nil
	}
	return opens(node, unix.O_RDONLY)
}

// clones starts a process in a new namespace.
func clones(flag uintptr) error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flag}
	return cmd.Run()
}

func enters(namespace string) error {
	fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, 0)
}
