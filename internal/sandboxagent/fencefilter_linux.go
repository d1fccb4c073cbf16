//go:build amd64 || arm64

package sandboxagent

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// filterFenced puts a second filter on the calling thread and what it starts,
// for what namespaces keep apart otherwise and Landlock does not.
func filterFenced(abi int, network bool) error {
	program := fenceProgram(abi, network)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
	if err != nil {
		return fail("seccomp", "fence", err)
	}
	return nil
}

// Parts of filters.
const (
	bpfLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfMask   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	bpfEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfAny    = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	bpfReturn = unix.BPF_RET | unix.BPF_K

	bpfAllow  = unix.SECCOMP_RET_ALLOW
	bpfDeny   = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
	bpfAbsent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

const (
	newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	socketKind = 0xf // the rest of the argument are flags
)

// lowWord is where the lower half of an argument is, on little-endian machines.
func lowWord(arg uint32) uint32 { return dataFirstArg + 8*arg }

// filter is a program in the making, one block for each call.
type filter []unix.SockFilter

// on runs a block, which has to return, for a call.
func (f *filter) on(call uint32, block ...unix.SockFilter) {
	*f = append(*f, unix.SockFilter{Code: bpfEqual, K: call, Jf: uint8(len(block))})
	*f = append(*f, block...)
}

// flags denies a call by bits of an argument.
func (f *filter) flags(call, arg, bits uint32) {
	f.on(call,
		unix.SockFilter{Code: bpfLoad, K: lowWord(arg)},
		unix.SockFilter{Code: bpfAny, K: bits, Jf: 1},
		unix.SockFilter{Code: bpfReturn, K: bpfDeny},
		unix.SockFilter{Code: bpfReturn, K: bpfAllow})
}

func (f *filter) deny(with uint32, calls ...uint32) {
	for _, call := range calls {
		f.on(call, unix.SockFilter{Code: bpfReturn, K: with})
	}
}

// fenceProgram comes after filterProgram, which refuses foreign architectures.
func fenceProgram(abi int, network bool) []unix.SockFilter {
	f := filter{{Code: bpfLoad, K: dataNumber}}
	// Names in the System V and message queue interfaces are the machine's.
	f.deny(bpfDeny, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SEMGET, unix.SYS_SEMCTL, unix.SYS_SEMOP,
		unix.SYS_SEMTIMEDOP, unix.SYS_MSGGET, unix.SYS_MSGCTL, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK)
	// The flags of clone3 are in memory; libraries go on with clone.
	f.deny(bpfAbsent, unix.SYS_CLONE3)
	f.flags(unix.SYS_CLONE, 0, newNamespaces)
	f.flags(unix.SYS_UNSHARE, 0, newNamespaces|unix.CLONE_NEWTIME)
	f.limits()
	if abi < landlockTruncate {
		f.truncates()
	}
	f.sockets(network)
	if !network {
		f.connections(abi >= LandlockNetwork)
	}
	return append(f, unix.SockFilter{Code: bpfReturn, K: bpfAllow})
}

// limits denies setting limits of other processes, which needs no more than to
// be the same user.
func (f *filter) limits() {
	allow := unix.SockFilter{Code: bpfReturn, K: bpfAllow}
	f.on(unix.SYS_PRLIMIT64,
		unix.SockFilter{Code: bpfLoad, K: lowWord(0)},
		unix.SockFilter{Code: bpfEqual, K: 0, Jf: 1},
		allow,
		unix.SockFilter{Code: bpfLoad, K: lowWord(2)},
		unix.SockFilter{Code: bpfEqual, K: 0, Jf: 3},
		unix.SockFilter{Code: bpfLoad, K: lowWord(2) + 4},
		unix.SockFilter{Code: bpfEqual, K: 0, Jf: 1},
		allow,
		unix.SockFilter{Code: bpfReturn, K: bpfDeny})
}

// truncates denies what cuts a file off without opening it for writing, which
// is all that early Landlock knows of writing.
func (f *filter) truncates() {
	deny := unix.SockFilter{Code: bpfReturn, K: bpfDeny}
	f.deny(bpfDeny, unix.SYS_TRUNCATE)
	f.deny(bpfAbsent, unix.SYS_OPENAT2) // has its flags in memory
	for _, open := range openCalls {
		f.on(open.call,
			unix.SockFilter{Code: bpfLoad, K: lowWord(open.flags)},
			unix.SockFilter{Code: bpfMask, K: unix.O_TRUNC | unix.O_ACCMODE},
			unix.SockFilter{Code: bpfEqual, K: unix.O_TRUNC | unix.O_RDONLY, Jt: 2},
			unix.SockFilter{Code: bpfEqual, K: unix.O_TRUNC | unix.O_ACCMODE, Jt: 1}, // neither reads nor writes
			unix.SockFilter{Code: bpfReturn, K: bpfAllow},
			deny)
	}
}

// openCall opens files by flags in an argument.
type openCall struct{ call, flags uint32 }

// connections denies connecting where Landlock has no rules for it, and to
// begin a connection with data, past the rules.
func (f *filter) connections(rules bool) {
	if !rules {
		f.deny(bpfDeny, unix.SYS_CONNECT)
	}
	f.flags(unix.SYS_SENDTO, 3, unix.MSG_FASTOPEN)
	f.flags(unix.SYS_SENDMSG, 2, unix.MSG_FASTOPEN)
	f.flags(unix.SYS_SENDMMSG, 3, unix.MSG_FASTOPEN)
}

// sockets denies sockets that Landlock does not fence in. Those with names in
// the file system lead to whoever listens there, such as a container engine.
func (f *filter) sockets(network bool) {
	deny, allow := unix.SockFilter{Code: bpfReturn, K: bpfDeny}, unix.SockFilter{Code: bpfReturn, K: bpfAllow}
	f.on(unix.SYS_SOCKETPAIR,
		unix.SockFilter{Code: bpfLoad, K: lowWord(1)},
		unix.SockFilter{Code: bpfMask, K: socketKind},
		unix.SockFilter{Code: bpfEqual, K: unix.SOCK_DGRAM, Jf: 1}, // could be connected again
		deny, allow)
	internet := []unix.SockFilter{allow}
	if !network {
		internet = []unix.SockFilter{
			{Code: bpfLoad, K: lowWord(1)},
			{Code: bpfMask, K: socketKind},
			{Code: bpfEqual, K: unix.SOCK_STREAM, Jt: 1},
			deny,
			{Code: bpfLoad, K: lowWord(2)},
			{Code: bpfEqual, K: 0, Jt: 2},
			{Code: bpfEqual, K: unix.IPPROTO_TCP, Jt: 1}, // others are not TCP to Landlock
			deny,
			allow,
		}
	}
	block := []unix.SockFilter{
		{Code: bpfLoad, K: lowWord(0)},
		{Code: bpfEqual, K: unix.AF_NETLINK, Jf: 4},
		{Code: bpfLoad, K: lowWord(2)},
		{Code: bpfEqual, K: unix.NETLINK_ROUTE, Jf: 1},
		allow,
		deny,
		{Code: bpfEqual, K: unix.AF_INET, Jt: 2},
		{Code: bpfEqual, K: unix.AF_INET6, Jt: 1},
		deny,
	}
	f.on(unix.SYS_SOCKET, append(block, internet...)...)
}
