package sandboxagent

import "golang.org/x/sys/unix"

const (
	filterArch   = unix.AUDIT_ARCH_AARCH64
	foreignCalls = 1 << 31
)

var openCalls = []openCall{{unix.SYS_OPENAT, 2}}
