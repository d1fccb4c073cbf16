//go:build unix

package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// OpenFile opens a file below the sandbox's directory or one of its mounts.
// Symbolic links may not lead out of either.
func (b *processBox) OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*os.File, error) {
	const known = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_SYNC | os.O_TRUNC
	if flag&^known != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	return b.open(ctx, name, func() (*os.File, error) { return b.openIn(name, flag, perm) })
}

// OpenDir opens a directory, within the same bounds.
func (b *processBox) OpenDir(ctx context.Context, name string) (*os.File, error) {
	return b.open(ctx, name, func() (*os.File, error) {
		root, rel, _, err := b.locate(name)
		if err != nil {
			return nil, err
		}
		if root != b.root {
			defer root.Close()
		}
		return root.OpenFile(rel, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	})
}

func (b *processBox) open(ctx context.Context, name string, open func() (*os.File, error)) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if err := b.beginStart(); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer b.starting.Done()
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	file, err := open()
	if err != nil {
		return nil, openError(name, err)
	}
	return file, nil
}

func (b *processBox) openIn(name string, flag int, perm fs.FileMode) (*os.File, error) {
	root, rel, readOnly, err := b.locate(name)
	if err != nil {
		return nil, err
	}
	if root != b.root {
		defer root.Close()
	}
	if readOnly && flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 {
		return nil, syscall.EROFS
	}
	// Nonblocking, since a pipe would wait for its other end.
	flag |= syscall.O_NONBLOCK | syscall.O_NOCTTY
	file, err := root.OpenFile(rel, flag, perm.Perm())
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
		if err := root.MkdirAll(path.Dir(rel), 0o755); err != nil {
			return nil, err
		}
		file, err = root.OpenFile(rel, flag, perm.Perm())
	}
	if err != nil {
		return nil, err
	}
	if err := regular(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// locate finds the tree that a path is in, and its name there.
func (b *processBox) locate(name string) (root *os.Root, rel string, readOnly bool, err error) {
	if !path.IsAbs(name) {
		name = path.Join(processHome, name)
	}
	name = path.Clean(name)
	if name == b.dir || within(name, b.dir) {
		name = path.Clean("/" + strings.TrimPrefix(name, b.dir))
	}
	// The innermost mount is the last one, since they are sorted.
	for _, m := range slices.Backward(b.mounts) {
		if name == m.Target || within(name, m.Target) {
			root, err := os.OpenRoot(m.Source)
			return root, relative(strings.TrimPrefix(name, m.Target)), m.ReadOnly, err
		}
	}
	return b.root, relative(name), false, nil
}

func relative(name string) string {
	if name = strings.TrimPrefix(name, "/"); name != "" {
		return name
	}
	return "."
}

// regular refuses what is not a regular file, and makes one blocking again.
func regular(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return syscall.EINVAL
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = conn.Control(func(fd uintptr) { set = syscall.SetNonblock(int(fd), false) })
	return errors.Join(err, set)
}

func openError(name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
		if errno == syscall.ENXIO {
			err = syscall.EINVAL
		}
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}
