//go:build unix

package sandboxserver

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestSweepTempDirs: only directories whose server is gone are removed.
func TestSweepTempDirs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := func(name string, mode os.FileMode, lock bool) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(name, "deep", "down"), 0o700); err != nil {
			t.Fatal(err)
		}
		if lock {
			if err := os.WriteFile(filepath.Join(name, tempLockName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	dead := make(tempName+"dead", 0o700, true)
	stay := []string{
		make(tempName+"without-lock", 0o700, false),
		make(tempName+"open-to-others", 0o777, true),
		make("other-name", 0o700, true),
		make(tempName+"alive", 0o700, true),
	}
	linked := make("linked", 0o700, true)
	if err := os.Symlink(linked, filepath.Join(dir, tempName+"link")); err != nil {
		t.Fatal(err)
	}
	pipe := make(tempName+"lock-is-a-directory", 0o700, false)
	if err := os.Mkdir(filepath.Join(pipe, tempLockName), 0o700); err != nil {
		t.Fatal(err)
	}
	alive, err := os.OpenFile(filepath.Join(dir, tempName+"alive", tempLockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	if err := flock(alive); err != nil {
		t.Fatal(err)
	}
	var failed []string
	sweepTempDirs(dir, func(dir string, _ error) { failed = append(failed, dir) })
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dead, err)
	}
	for _, name := range append(stay, linked, pipe) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if len(failed) != 1 || failed[0] != pipe {
		t.Errorf("failed: %q", failed)
	}
}

// TestTempDirIsLocked: a server in use is not another one's leftover.
func TestTempDirIsLocked(t *testing.T) {
	t.Parallel()
	first := newBench(t)
	newBench(t)
	if _, err := os.Stat(filepath.Join(first.server.engine.dir, tempLockName)); err != nil {
		t.Error(err)
	}
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.server.engine.dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
