//go:build amd64 || arm64

package sandboxagent

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestFenceFilter judges calls by version of Landlock, since a machine has one.
func TestFenceFilter(t *testing.T) {
	const newest = LandlockScopes
	tcp := []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0}
	for _, c := range []struct {
		name    string
		abi     int
		network bool
		call    uint32
		args    []uint64
		want    uint32
	}{
		{"connect below rules", LandlockNetwork, false, unix.SYS_CONNECT, nil, bpfAllow},
		{"connect without rules", LandlockNetwork - 1, false, unix.SYS_CONNECT, nil, bpfDeny},
		{"connect with the host's network", 1, true, unix.SYS_CONNECT, nil, bpfAllow},
		{"listen without rules", 1, false, unix.SYS_LISTEN, nil, bpfAllow},
		{"tcp without rules", 1, false, unix.SYS_SOCKET, tcp, bpfAllow},
		{"tcp", newest, false, unix.SYS_SOCKET, tcp, bpfAllow},
		{"tcp by number", newest, false, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, bpfAllow},
		{"mptcp", newest, false, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, bpfDeny},
		{"udp", newest, false, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, 0}, bpfDeny},
		{"udp with the host's network", newest, true, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, 0}, bpfAllow},
		{"unix with the host's network", newest, true, unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, bpfDeny},
		{"routes", newest, false, unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, bpfAllow},
		{"audit", newest, false, unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, bpfDeny},
		{"pair of streams", newest, false, unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, bpfAllow},
		{"pair of datagrams", newest, true, unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK, 0}, bpfDeny},
		{"fast open", newest, false, unix.SYS_SENDTO, []uint64{0, 0, 0, unix.MSG_FASTOPEN}, bpfDeny},
		{"send", newest, false, unix.SYS_SENDTO, []uint64{0, 0, 0, unix.MSG_NOSIGNAL}, bpfAllow},
		{"truncate", landlockTruncate, false, unix.SYS_TRUNCATE, nil, bpfAllow},
		{"truncate without rules", landlockTruncate - 1, false, unix.SYS_TRUNCATE, nil, bpfDeny},
		{"ftruncate without rules", landlockTruncate - 1, false, unix.SYS_FTRUNCATE, nil, bpfAllow},
		{"openat2", landlockTruncate, false, unix.SYS_OPENAT2, nil, bpfAllow},
		{"openat2 without rules", landlockTruncate - 1, false, unix.SYS_OPENAT2, nil, bpfAbsent},
		{"limits of oneself", newest, false, unix.SYS_PRLIMIT64, []uint64{0, 0, 1 << 40, 0}, bpfAllow},
		{"limits of others, read", newest, false, unix.SYS_PRLIMIT64, []uint64{7, 0, 0, 1 << 40}, bpfAllow},
		{"limits of others", newest, false, unix.SYS_PRLIMIT64, []uint64{7, 0, 1 << 40, 0}, bpfDeny},
		{"user namespace", newest, false, unix.SYS_UNSHARE, []uint64{unix.CLONE_NEWUSER}, bpfDeny},
		{"files apart", newest, false, unix.SYS_UNSHARE, []uint64{unix.CLONE_FILES}, bpfAllow},
		{"fork", newest, false, unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, bpfAllow},
		{"fork by memory", newest, false, unix.SYS_CLONE3, nil, bpfAbsent},
	} {
		if got := judge(t, fenceProgram(c.abi, c.network), filterArch, c.call, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// TestFenceTruncates holds each way to open to every combination of flags.
func TestFenceTruncates(t *testing.T) {
	early, late := fenceProgram(landlockTruncate-1, false), fenceProgram(landlockTruncate, false)
	for _, open := range openCalls {
		args := make([]uint64, 6)
		for _, flags := range []uint64{
			unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_ACCMODE,
			unix.O_RDONLY | unix.O_TRUNC, unix.O_WRONLY | unix.O_TRUNC, unix.O_RDWR | unix.O_TRUNC, unix.O_ACCMODE | unix.O_TRUNC,
		} {
			writes := flags&unix.O_ACCMODE == unix.O_WRONLY || flags&unix.O_ACCMODE == unix.O_RDWR // Landlock's to judge
			want := uint32(bpfAllow)
			if flags&unix.O_TRUNC != 0 && !writes {
				want = bpfDeny
			}
			args[open.flags] = flags | unix.O_CREAT | unix.O_CLOEXEC
			if got := judge(t, early, filterArch, open.call, args...); got != want {
				t.Errorf("call %d, flags %#x: %#x, want %#x", open.call, flags, got, want)
			}
			if got := judge(t, late, filterArch, open.call, args...); got != bpfAllow {
				t.Errorf("call %d, flags %#x: %#x with rules", open.call, flags, got)
			}
		}
	}
}
