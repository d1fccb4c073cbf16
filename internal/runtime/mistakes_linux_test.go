package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mistakes are easily made by what isolates processes, and have been made. Each
// has tests, by the directory below internal.
var mistakes = map[string]map[string][]string{
	"pipes that do not block, passed on to commands":             {"runtime": {"TestPipes", "TestConcurrentCommands"}},
	"privileges that other threads of the agent keep":            {"runtime": {"TestAgentThreads", "TestAttacks"}},
	"descriptors of the server that commands inherit":            {"runtime": {"TestInheritedFiles", "TestAttacks"}},
	"system calls of a foreign architecture past the filter":     {"runtime": {"TestAttacks"}, "sandboxagent": {"TestFilter"}},
	"user namespaces inside of sandboxes":                        {"runtime": {"TestAttacks", "TestIsolation"}},
	"a sandbox's root that is the host's":                        {"runtime": {"TestNotHostRoot"}},
	"deleted directories that come back with overlays":           {"runtime": {"TestImage", "TestSnapshotLayers"}, "image": {"TestUnpack"}},
	"ranges of ids over two extents":                             {"runtime": {"TestPickRange"}},
	"device nodes in images":                                     {"image": {"TestUnpack"}},
	"plain directories that are taken for cgroups":               {"runtime": {"TestNoPlainCgroup"}},
	"sandboxes that outlive their server, or its threads":        {"runtime": {"TestServerKilled", "TestAgentEnds"}},
	"the host's loopback behind a gateway":                       {"runtime": {"TestAttacks", "TestDialIsOwnNetwork"}, "egress": {"TestAddresses"}},
	"an agent that kills outside of a pid namespace of its own":  {"runtime": {"TestAgentRefuses"}, "sandboxagent": {"TestCheckSocket"}},
	"descriptors of the agent that commands begin in":            {"runtime": {"TestNoWayByDescriptors", "TestContainerLeak"}},
	"links in a sandbox's files that the server follows outside": {"runtime": {"TestRestartFollowsNoLinks", "TestSnapshotHostile"}, "image": {"TestHostile"}},
}

// TestMistakes: none of these tests has got lost.
func TestMistakes(t *testing.T) {
	t.Parallel()
	sources := map[string]string{}
	for mistake, tests := range mistakes {
		for dir, names := range tests {
			if sources[dir] == "" {
				sources[dir] = testSources(t, filepath.Join("..", dir))
			}
			for _, name := range names {
				if !strings.Contains(sources[dir], "func "+name+"(") {
					t.Errorf("%s: there is no %s in %s", mistake, name, dir)
				}
			}
		}
	}
}

func testSources(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestNoPlainCgroup: a cgroup is in a file system of cgroups, whatever the list
// of mounts says.
func TestNoPlainCgroup(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{}).(*sandbox)
	run(t, box, "true")
	for _, dir := range cgroupsIn(n.layers.dir) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if st.Type != unix.CGROUP2_SUPER_MAGIC && st.Type != unix.CGROUP_SUPER_MAGIC {
			t.Errorf("%s is in a file system of kind %#x", dir, st.Type)
		}
	}
}
