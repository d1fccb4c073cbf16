package runtime

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// rlimits are the limits that hold without cgroups. There are none for memory:
// RLIMIT_AS counts what programs reserve, which is many times what they use
// with some, and holds for each process alone. Nor for CPU: RLIMIT_CPU ends a
// command that has run long enough, and lets two be twice as fast.
func (n *native) rlimits(limits Limits) sandboxagent.Rlimits {
	l := sandboxagent.Rlimits{FileBytes: limits.FileBytes}
	if limits.PIDs > 0 && !n.limiter.has("pids", n.cgroups) && countsInside() {
		l.Processes = max(limits.PIDs, minPIDs)
	}
	return l
}

// countsInside reports whether RLIMIT_NPROC counts the processes of a user in
// each user namespace for itself. Before, those of all sandboxes would be one.
func countsInside() bool { return sandboxagent.KernelAtLeast(5, 14) }

var errNoCgroups = errors.New("cgroups are not used")

// describeLimits enters what holds of the limits, and why the rest does not.
// pidMax says that the kernel bounds the processes of a sandbox's users
// together; else who can become another one has as many again.
func (n *native) describeLimits(f *Features, pidMax bool) {
	f.LimitCPU, f.LimitMemory = n.limiter.has("cpu", n.cgroups), n.limiter.has("memory", n.cgroups)
	f.LimitPIDs = n.limiter.has("pids", n.cgroups) || pidMax || countsInside() && !n.ids.ranged()
	f.LimitFileBytes = true
	f.missing(n.limiter, n.noCgroups)
}

// missing enters why limits do not hold that need cgroups.
func (f *Features) missing(l *limiter, noCgroups error) {
	for _, limit := range []struct {
		controller string
		holds      bool
	}{{"cpu", f.LimitCPU}, {"memory", f.LimitMemory}, {"pids", f.LimitPIDs}} {
		if !limit.holds {
			f.Unlimited = append(f.Unlimited, fmt.Sprintf("%s: %v", limit.controller, cmp.Or(l.reasons[limit.controller], noCgroups, errNoCgroups)))
		}
	}
}
