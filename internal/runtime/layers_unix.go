//go:build unix

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// layers is a runtime's directory. One runtime at a time has it, and what is
// below its sandboxes belongs to that one.
type layers struct {
	dir  string
	made bool // the directory itself is ours
	lock *os.File
	keep func(id string) bool
	log  *slog.Logger
	old  *trash

	mu sync.Mutex // held while layers of snapshots are put under a sandbox, or looked through
}

const (
	layersName   = "sandboxes"
	trashName    = "trash"
	lockName     = "lock"
	templateName = "template"
)

// openLayers takes the directory, and removes what a runtime that was killed
// has left in it and nobody keeps.
func openLayers(cfg Config) (*layers, error) {
	dir := cfg.Dir
	l := &layers{dir: dir, keep: cfg.Keep, log: cfg.Logger}
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
	if cfg.evict != nil {
		if err := cfg.evict(); err != nil {
			l.log.Warn("containers of a killed server may be left", "dir", dir, "error", err)
		}
	}
	// What cannot be removed harms nobody: ids are not used again.
	if err := errors.Join(RemoveTree(filepath.Join(dir, trashName)), l.clear()); err != nil {
		l.log.Warn("files of old sandboxes are left", "dir", dir, "error", err)
	}
	if err := os.MkdirAll(l.path(""), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("runtime directory: %w", err), lock.Close())
	}
	if l.old, err = openTrash(filepath.Join(dir, trashName), l.log); err != nil {
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

// clear removes all files but those that are to be kept, and the trash.
func (l *layers) clear() error {
	errs := []error{RemoveTree(l.template())}
	entries, err := os.ReadDir(l.path(""))
	if !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case !entry.IsDir(): // also one that leads elsewhere
			errs = append(errs, os.Remove(l.path(name)))
		case !l.keeps(name):
			errs = append(errs, l.removeBy(RemoveTree, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(l.path("")); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

func (l *layers) keeps(id string) bool {
	return l.keep != nil && idPattern.MatchString(id) && l.keep(id)
}

// close removes what is left and gives the directory up. Where files are kept
// for another runtime, that one removes what takes too long.
func (l *layers) close() error {
	if l.keep == nil {
		l.old.wait()
	}
	err := l.clear()
	if l.old.end(trashTime) {
		err = errors.Join(err, RemoveTree(l.old.dir))
	}
	err = errors.Join(err, os.Remove(l.lock.Name()), l.lock.Close())
	if l.made {
		os.Remove(l.dir) // stays when someone else put something there
	}
	return err
}
