package runtime

import (
	"strconv"
	"strings"
	"testing"
)

// TestNoWayByDescriptors: a process has the agent's descriptors until it
// executes a command. Neither where the command begins nor the command itself
// is found by way of one, which could lead to the host's files.
func TestNoWayByDescriptors(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		if rt.Isolation() != IsolationNative && !ownKernel(rt) {
			t.Skip("paths are the host's")
		}
		box := create(t, rt, Spec{})
		up := strings.Repeat("/..", 16)
		for fd := range 64 {
			link := "/proc/self/fd/" + strconv.Itoa(fd)
			// Also where a sandbox has put a link to it in place of its own directory.
			run(t, box, "ln -sfn "+link+" /tmp/link")
			for _, cmd := range []Command{
				{Args: []string{"/bin/ls"}, Dir: link},
				{Args: []string{"/bin/ls"}, Dir: link + up},
				{Args: []string{"/bin/ls"}, Dir: "/tmp/link"},
				{Args: []string{"/bin/ls"}, Dir: "/tmp/link" + up},
				{Args: []string{link + up + "/bin/ls"}, Dir: "/tmp"},
				{Args: []string{"/tmp/link" + up + "/bin/ls"}, Dir: "/tmp"},
			} {
				process, err := box.Start(t.Context(), cmd)
				if err != nil {
					continue
				}
				_, _ = process.Wait(t.Context())
				t.Errorf("%q in %q was started", cmd.Args, cmd.Dir)
			}
		}
	})
}
