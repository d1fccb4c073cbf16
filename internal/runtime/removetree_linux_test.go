package runtime

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRemoveTree removes what is hard to remove, and nothing else.
func TestRemoveTree(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, other := filepath.Join(top, "dir"), filepath.Join(top, "other")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "locked", "in"), 0o755),
		os.WriteFile(filepath.Join(dir, "locked", "in", "f"), nil, 0o400),
		os.Chmod(filepath.Join(dir, "locked", "in"), 0),
		os.Chmod(filepath.Join(dir, "locked"), 0o500),
		os.Mkdir(other, 0o755),
		os.WriteFile(filepath.Join(other, "f"), nil, 0o600),
		os.Symlink(other, filepath.Join(dir, "link")),
		unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		RemoveTree(dir),
		RemoveTree(dir),
		RemoveTree(filepath.Join(dir, "none")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(other, "f")); err != nil {
		t.Error(err)
	}
}

const deepTree = "SANDBOX_TEST_DEEP_TREE"

// TestRemoveDeepTree removes a tree with more levels than a process may have
// open files, which takes a process with few of them.
func TestRemoveDeepTree(t *testing.T) {
	if dir := os.Getenv(deepTree); dir != "" {
		few := unix.Rlimit{Cur: 64, Max: 64}
		if err := errors.Join(unix.Setrlimit(unix.RLIMIT_NOFILE, &few), RemoveTree(dir)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	script := "set -e; mkdir " + dir + "; cd " + dir + "; i=0; while [ $i -lt 300 ]; do mkdir d; cd -P d; : > f; i=$((i+1)); done"
	if out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.parallel="+strconv.Itoa(1))
	again.Env = append(os.Environ(), deepTree+"="+dir)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, strings.TrimSpace(string(out)))
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
