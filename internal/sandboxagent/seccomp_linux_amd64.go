package sandboxagent

import "golang.org/x/sys/unix"

const (
	filterArch = unix.AUDIT_ARCH_X86_64
	// foreignCalls is where the numbers of the x32 interface begin.
	foreignCalls = 0x40000000
)

var openCalls = []openCall{{unix.SYS_OPENAT, 2}, {unix.SYS_OPEN, 1}}
