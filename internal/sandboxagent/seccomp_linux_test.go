//go:build amd64 || arm64

package sandboxagent

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// judge runs the filter on one system call.
func judge(t *testing.T, arch, number, arg uint32) uint32 {
	t.Helper()
	program := filterProgram()
	var value uint32
	for at := 0; at < len(program); at++ {
		switch step := program[at]; step.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			value = map[uint32]uint32{dataNumber: number, dataArch: arch, dataFirstArg: arg}[step.K]
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			at += jump(value == step.K, step)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			at += jump(value >= step.K, step)
		case unix.BPF_RET | unix.BPF_K:
			return step.K
		default:
			t.Fatalf("instruction %+v", step)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

func jump(holds bool, step unix.SockFilter) int {
	if holds {
		return int(step.Jt)
	}
	return int(step.Jf)
}

func TestFilter(t *testing.T) {
	const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	for number := range uint32(600) {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if slices.Contains(deniedCalls, number) {
			want = refused
		}
		if got := judge(t, filterArch, number, 0); got != want {
			t.Errorf("call %d: %#x, want %#x", number, got, want)
		}
		if got := judge(t, unix.AUDIT_ARCH_I386, number, 0); got != refused {
			t.Errorf("call %d of a foreign architecture: %#x", number, got)
		}
		if got := judge(t, filterArch, number|foreignCalls, 0); got != refused {
			t.Errorf("call %d of a foreign interface: %#x", number, got)
		}
	}
}

func TestFilterFamilies(t *testing.T) {
	for family := range uint32(64) {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if slices.Contains(deniedFamilies, family) {
			want = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
		}
		if got := judge(t, filterArch, unix.SYS_SOCKET, family); got != want {
			t.Errorf("family %d: %#x, want %#x", family, got, want)
		}
		if got := judge(t, filterArch, unix.SYS_CLOSE, family); got != unix.SECCOMP_RET_ALLOW {
			t.Errorf("descriptor %d is a family: %#x", family, got)
		}
	}
}
