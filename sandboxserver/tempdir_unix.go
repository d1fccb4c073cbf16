//go:build unix

package sandboxserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	tempName     = "langsandbox-"
	tempLockName = "in-use"
)

// tempDir is a temporary data directory. Its lock tells it from those of
// servers that were killed.
type tempDir struct {
	name string
	lock *os.File
}

// makeTempDir makes a directory that is locked from when its lock has its name.
func makeTempDir() (*tempDir, error) {
	name, err := os.MkdirTemp("", tempName)
	if err != nil {
		return nil, err
	}
	d := &tempDir{name: name}
	file := filepath.Join(name, tempLockName)
	d.lock, err = os.OpenFile(file+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in a directory of its own
	if err == nil {
		err = errors.Join(flock(d.lock), os.Rename(file+".new", file))
	}
	if err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func flock(file *os.File) error {
	return os.NewSyscallError("flock", unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// remove removes the directory with all that sandboxes made in it, and images
// that have directories which their owner cannot enter.
func (d *tempDir) remove() error {
	err := runtime.RemoveTree(d.name)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// sweepTempDirs removes the directories of servers of this user that were
// killed. What is in use, somebody else's or has no lock stays.
func sweepTempDirs(in string, failed func(dir string, err error)) {
	dirs, err := filepath.Glob(filepath.Join(in, tempName+"*"))
	if err != nil {
		failed(in, err)
	}
	for _, dir := range dirs {
		if err := sweepTempDir(dir); err != nil {
			failed(dir, err)
		}
	}
}

func sweepTempDir(dir string) error {
	if !ownDir(dir) {
		return nil
	}
	lock, err := os.OpenFile(filepath.Join(dir, tempLockName), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) //nolint:gosec // in this user's own directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is being made, or is none of ours
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock(lock); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil
		}
		return err
	}
	return runtime.RemoveTree(dir)
}

// ownDir reports whether a name is a directory of this user, where nobody else
// can put anything.
func ownDir(name string) bool {
	var st unix.Stat_t
	return unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}
