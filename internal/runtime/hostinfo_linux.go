package runtime

import (
	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// InspectHost tells what the kernel has.
func InspectHost() Host {
	host := Host{Cgroups: "none"}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		host.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	host.Landlock, _ = sandboxagent.LandlockABI()
	// Without a filter to read, the kernel says that it has the operation.
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0)
	host.Seccomp = err == unix.EFAULT
	_, _, noV2 := ownCgroup()
	_, noV1 := ownHierarchy("memory")
	switch {
	case noV2 == nil && noV1 == nil:
		host.Cgroups = "hybrid"
	case noV2 == nil:
		host.Cgroups = "v2"
	case noV1 == nil:
		host.Cgroups = "v1"
	}
	return host
}
