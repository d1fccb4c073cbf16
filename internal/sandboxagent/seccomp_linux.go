//go:build amd64 || arm64

package sandboxagent

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deniedCalls are system calls that commands have no use for in a sandbox and
// that have been ways out of one: they reach the kernel's keyrings, modules,
// mounts and clocks, or large and young parts of it.
var deniedCalls = []uint32{
	unix.SYS_ACCT,
	unix.SYS_ADD_KEY,
	unix.SYS_BPF,
	unix.SYS_CLOCK_ADJTIME,
	unix.SYS_CLOCK_SETTIME,
	unix.SYS_DELETE_MODULE,
	unix.SYS_FINIT_MODULE,
	unix.SYS_FSCONFIG,
	unix.SYS_FSMOUNT,
	unix.SYS_FSOPEN,
	unix.SYS_FSPICK,
	unix.SYS_INIT_MODULE,
	unix.SYS_IO_URING_ENTER,
	unix.SYS_IO_URING_REGISTER,
	unix.SYS_IO_URING_SETUP,
	unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_KEXEC_LOAD,
	unix.SYS_KEYCTL,
	unix.SYS_MOUNT,
	unix.SYS_MOUNT_SETATTR,
	unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_OPEN_TREE,
	unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_PIVOT_ROOT,
	unix.SYS_QUOTACTL,
	unix.SYS_REBOOT,
	unix.SYS_REQUEST_KEY,
	unix.SYS_SETNS,
	unix.SYS_SETTIMEOFDAY,
	unix.SYS_SWAPOFF,
	unix.SYS_SWAPON,
	unix.SYS_SYSLOG,
	unix.SYS_UMOUNT2,
	unix.SYS_USERFAULTFD,
	unix.SYS_VHANGUP,
}

// deniedFamilies are kinds of sockets that have no use in a sandbox. Those of
// virtual machines are not kept apart by network namespaces and lead to the
// machine's hypervisor, those of packets have often been ways into the kernel.
var deniedFamilies = []uint32{unix.AF_PACKET, unix.AF_VSOCK}

// Offsets in the kernel's struct seccomp_data, on little-endian machines.
const (
	dataNumber   = 0
	dataArch     = 4
	dataFirstArg = 16
)

// filterSyscalls puts the filter on all threads and what they start, who also
// can gain no new privileges any more. It reports false where the kernel has
// none.
func filterSyscalls() (bool, error) {
	program := filterProgram()
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&fprog)))
	switch {
	case errno == unix.EINVAL, errno == unix.ENOSYS:
		return false, nil
	case errno != 0:
		return false, fail("seccomp", "", errno)
	case thread != 0:
		return false, fail("seccomp", fmt.Sprint("thread ", thread), unix.EBUSY) // it has a filter of its own
	}
	return true, nil
}

// filterProgram refuses the denied calls and families, and every call of a foreign
// architecture, whose numbers mean something else.
func filterProgram() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ret    = unix.BPF_RET | unix.BPF_K
		refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		absent = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
		allow  = unix.SECCOMP_RET_ALLOW
	)
	program := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: equal, K: filterArch, Jt: 1},
		{Code: ret, K: refuse},
		{Code: load, K: dataNumber},
		{Code: least, K: foreignCalls, Jf: 1},
		{Code: ret, K: refuse},
	}
	for _, number := range deniedCalls {
		program = append(program,
			unix.SockFilter{Code: equal, K: number, Jf: 1},
			unix.SockFilter{Code: ret, K: refuse})
	}
	program = append(program,
		unix.SockFilter{Code: equal, K: unix.SYS_SOCKET, Jt: 1},
		unix.SockFilter{Code: ret, K: allow},
		unix.SockFilter{Code: load, K: dataFirstArg})
	for _, family := range deniedFamilies {
		program = append(program,
			unix.SockFilter{Code: equal, K: family, Jf: 1},
			unix.SockFilter{Code: ret, K: absent})
	}
	return append(program, unix.SockFilter{Code: ret, K: allow})
}
