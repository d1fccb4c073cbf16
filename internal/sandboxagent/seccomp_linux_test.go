//go:build amd64 || arm64

package sandboxagent

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// judge runs a filter on one system call.
func judge(t *testing.T, program []unix.SockFilter, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	data := map[uint32]uint32{dataNumber: number, dataArch: arch}
	for i := range uint32(6) {
		data[lowWord(i)], data[lowWord(i)+4] = 0, 0
	}
	for i, arg := range args {
		data[lowWord(uint32(i))], data[lowWord(uint32(i))+4] = uint32(arg), uint32(arg>>32)
	}
	var value uint32
	for at := 0; at < len(program); at++ {
		switch step := program[at]; step.Code {
		case bpfLoad:
			word, ok := data[step.K]
			if !ok {
				t.Fatalf("nothing is at %d", step.K)
			}
			value = word
		case bpfMask:
			value &= step.K
		case bpfEqual:
			at += jump(value == step.K, step)
		case bpfAny:
			at += jump(value&step.K != 0, step)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			at += jump(value >= step.K, step)
		case bpfReturn:
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
	program := filterProgram()
	for number := range uint32(600) {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if slices.Contains(deniedCalls, number) {
			want = refused
		}
		if got := judge(t, program, filterArch, number); got != want {
			t.Errorf("call %d: %#x, want %#x", number, got, want)
		}
		if got := judge(t, program, unix.AUDIT_ARCH_I386, number); got != refused {
			t.Errorf("call %d of a foreign architecture: %#x", number, got)
		}
		if got := judge(t, program, filterArch, number|foreignCalls); got != refused {
			t.Errorf("call %d of a foreign interface: %#x", number, got)
		}
	}
}

func TestFilterFamilies(t *testing.T) {
	program := filterProgram()
	for family := range uint64(64) {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if slices.Contains(deniedFamilies, uint32(family)) {
			want = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
		}
		if got := judge(t, program, filterArch, unix.SYS_SOCKET, family); got != want {
			t.Errorf("family %d: %#x, want %#x", family, got, want)
		}
		if got := judge(t, program, filterArch, unix.SYS_CLOSE, family); got != unix.SECCOMP_RET_ALLOW {
			t.Errorf("descriptor %d is a family: %#x", family, got)
		}
	}
}
