package runtime

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// cgroupfs makes files in the place of a tree of the second version. Other
// than the kernel's, a file has what was written to it last.
func cgroupfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestCgroupHome: sandboxes are where they can be limited.
func TestCgroupHome(t *testing.T) {
	t.Parallel()
	const all = "cpuset cpu io memory pids\n"
	own := map[string]string{"own/cgroup.controllers": all, "own/cgroup.procs": "1\n2\n", "own/cgroup.subtree_control": ""}
	with := func(more map[string]string) map[string]string {
		files := map[string]string{}
		for _, m := range []map[string]string{own, more} {
			maps.Copy(files, m)
		}
		return files
	}
	beside := "own"
	if os.Geteuid() == 0 {
		beside = "langsandbox"
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"own": {with(map[string]string{"own/cgroup.subtree_control": all}), "own"},
		"nothing to limit by, as on a hybrid host": {with(map[string]string{"own/cgroup.controllers": "hugetlb"}), "own"},
		"with others": {with(map[string]string{
			"cgroup.subtree_control": all, "langsandbox/cgroup.subtree_control": all,
		}), beside},
		"not delegated": {with(map[string]string{"cgroup.subtree_control": "cpu"}), "own"},
	} {
		root := cgroupfs(t, test.files)
		if got := cgroupHome(root, filepath.Join(root, "own")); got != filepath.Join(root, test.want) {
			t.Errorf("%s: %s", name, strings.TrimPrefix(got, root))
		}
	}
	if got := cgroupHome("/none", "/none/own/langsandbox-server"); got != "/none/own" {
		t.Errorf("after it moved: %s", got)
	}
}

// TestMakeRoom has a process leave a cgroup of the machine's own tree.
func TestMakeRoom(t *testing.T) {
	_, own, err := ownCgroup()
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(own, "langsandbox-test"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := removeCgroup(dir); err != nil {
			t.Error(err)
		}
	})
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), helperKey+"=room")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(file.Fd())}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EACCES) {
		t.Skip(err)
	}
	if want := filepath.Join("/", filepath.Base(dir), serverCgroup); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), want) {
		t.Errorf("%q: %v", out, err)
	}
	// Where others are it stays.
	if err := makeRoom(filepath.Dir(own)); err == nil {
		t.Error("left others alone")
	}
}

func init() {
	helpers["room"] = func() error {
		_, own, err := ownCgroup()
		if err != nil {
			return err
		}
		if err := makeRoom(own); err != nil {
			return err
		}
		if _, own, err = ownCgroup(); err == nil {
			fmt.Println(own)
		}
		return err
	}
}

// TestSecondVersion: limits are written as the second version of cgroups has
// them, and swap only where it is counted.
func TestSecondVersion(t *testing.T) {
	t.Parallel()
	for _, swap := range []bool{false, true} {
		files := map[string]string{"box/cpu.max": "max 100000", "box/memory.max": "max", "box/pids.max": "max"}
		want := map[string]string{"cpu.max": "250000 100000", "memory.max": "134217728", "pids.max": "64"}
		if swap {
			files["box/memory.swap.max"], want["memory.swap.max"] = "max", "0"
		}
		root := cgroupfs(t, files)
		n := &native{
			limiter: &limiter{places: map[string]place{}}, cgroups: &cgroups{prefix: root + "/"},
		}
		for _, controller := range controllers {
			n.limiter.places[controller] = place{root + "/", true}
		}
		box := &sandbox{group: "box"}
		if err := n.limit(box, Limits{CPUMillicores: 2500, MemoryBytes: 128 << 20, PIDs: 64}); err != nil {
			t.Fatal(err)
		}
		if len(box.limited) > 0 {
			t.Errorf("more cgroups: %q", box.limited)
		}
		for name, text := range want {
			if got, err := os.ReadFile(filepath.Join(root, "box", name)); err != nil || string(got) != text {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if got := entries(t, filepath.Join(root, "box")); len(got) != len(want) {
			t.Errorf("files %q", got)
		}
		n.cgroups = nil // a runtime that had to do without
		if n.limiter.has("cpu", n.cgroups) {
			t.Error("holds without cgroups")
		}
	}
	box := &sandbox{group: "gone"}
	n := &native{limiter: &limiter{places: map[string]place{"pids": {t.TempDir() + "/", true}}}, cgroups: new(cgroups)}
	if err := n.limit(box, Limits{PIDs: 64}); err == nil {
		t.Error("a limit that cannot be set is no error")
	}
}
