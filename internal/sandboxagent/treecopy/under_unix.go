//go:build unix

package treecopy

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// hidden reports whether the target has something of a name that hides the
// source's: anything but a directory over a directory, and that too where it
// is opaque.
func (c *copier) hidden(name string, st *unix.Stat_t) (bool, error) {
	if !c.options.Under {
		return false, nil
	}
	var over unix.Stat_t
	err := unix.Fstatat(c.dst, name, &over, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if kind(st) != unix.S_IFDIR || kind(&over) != unix.S_IFDIR {
		return true, nil
	}
	fd, err := unix.Openat(c.dst, name, openDir, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return marked(fd), nil
}

// Attributes gives one directory what Copy gives a copy: extended attributes,
// owner, mode and times of the other, and nothing of what overlayfs notes.
func Attributes(dst, src *os.File) error {
	c := &copier{src: -1, dst: -1}
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: src.Name(), Err: err}
	}
	if err := c.attributes(int(dst.Fd()), int(src.Fd())); err != nil {
		return &fs.PathError{Op: "copy attributes of", Path: src.Name(), Err: err}
	}
	return c.finish(int(dst.Fd()), ".", &st)
}
