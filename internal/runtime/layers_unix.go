//go:build unix

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// layers is a runtime's directory. One runtime at a time has it, and what is
// below its sandboxes belongs to that one.
type layers struct {
	dir  string
	made bool // the directory itself is ours
	lock *os.File
}

const (
	layersName   = "sandboxes"
	lockName     = "lock"
	templateName = "template"
)

// openLayers takes the directory, and removes what a runtime that was killed
// has left in it.
func openLayers(dir string) (*layers, error) {
	l := &layers{dir: dir}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		l.made = true
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	l.lock = lock
	if err := l.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove old sandboxes: %w", err), lock.Close())
	}
	if err := os.Mkdir(l.path(""), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("runtime directory: %w", err), lock.Close())
	}
	return l, nil
}

// takeLock locks a file that is removed by its holder: the lock counts only
// while the file still has its name.
func takeLock(name string) (*os.File, error) {
	for {
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			if err == unix.EWOULDBLOCK {
				return nil, fmt.Errorf("%s is in use by another runtime", filepath.Dir(name))
			}
			return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
		}
		held, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if named, err := os.Stat(name); err == nil && os.SameFile(held, named) {
			return file, nil
		}
		file.Close()
	}
}

// path is the directory of a sandbox.
func (l *layers) path(id string) string {
	return filepath.Join(l.dir, layersName, id)
}

// template is the directory of what is common to sandboxes.
func (l *layers) template() string {
	return filepath.Join(l.dir, templateName)
}

func (l *layers) clear() error {
	return errors.Join(RemoveTree(l.path("")), RemoveTree(l.template()))
}

func (l *layers) remove(id string) error {
	return RemoveTree(l.path(id))
}

// close removes what is left and gives the directory up.
func (l *layers) close() error {
	err := l.clear()
	err = errors.Join(err, os.Remove(l.lock.Name()), l.lock.Close())
	if l.made {
		os.Remove(l.dir) // stays when someone else put something there
	}
	return err
}
