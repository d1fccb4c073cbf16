package sandboxagent

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockAttr says what is forbidden unless a rule allows it. It is the
// kernel's struct landlock_ruleset_attr.
type landlockAttr struct {
	fs, net, scoped uint64
}

// landlock is a set of rules that a thread can be put under.
type landlock struct{ fd int }

func newLandlock(attr landlockAttr) (*landlock, error) {
	// What an older kernel does not know is zero, and so taken.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, fail("landlock", "create ruleset", errno)
	}
	return &landlock{fd: int(fd)}, nil
}

// allow gives rights to what is open, and below it.
func (l *landlock) allow(fd int, rights uint64, name string) error {
	// The kernel's struct landlock_path_beneath_attr is packed.
	rule := binary.NativeEndian.AppendUint64(nil, rights)
	rule = binary.NativeEndian.AppendUint32(rule, uint32(fd))
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(l.fd), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule[0])), 0, 0, 0)
	if errno != 0 {
		return fail("landlock rule", name, errno)
	}
	return nil
}

// restrict puts the calling thread, and what it starts from now on, under the
// rules.
func (l *landlock) restrict() error {
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(l.fd), 0, 0); errno != 0 {
		return fail("landlock", "restrict", errno)
	}
	return nil
}

func (l *landlock) close() { unix.Close(l.fd) }
