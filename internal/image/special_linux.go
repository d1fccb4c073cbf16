package image

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// Overlayfs in a user namespace is mounted with "userxattr": it takes a device
// 0/0, which everybody may make, for a name that is hidden, and for a
// directory that hides all below it this attribute, not trusted.overlay.*.
const opaqueXattr = "user.overlay.opaque"

const (
	xattrPrefix = "SCHILY.xattr."
	maxXattrs   = 64
	maxXattr    = 64 << 10
)

func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0
}

// hide makes what a layer says of those below it.
func (u *unpacker) hide(dir, marker string) error {
	if marker == opaqueName {
		d, err := u.know(dir)
		if err == nil {
			d.opaque = true
		}
		return err
	}
	if strings.HasPrefix(marker, reservedPrefix) {
		return nil // notes of one kind of storage to itself
	}
	base := strings.TrimPrefix(marker, whiteoutPrefix)
	if base == "" || base == "." || base == ".." {
		return &problem{ErrInvalidImage, "it hides no name"}
	}
	if info, err := u.at.Lstat(base); err == nil {
		// The layer's own name stays, without what is below.
		if d := u.dirs[path.Join(dir, base)]; info.IsDir() && d != nil {
			d.opaque = true
		}
		return nil
	}
	if err := u.charge(inodeSize); err != nil {
		return err
	}
	return u.makeNode(base, unix.S_IFCHR)
}

func (u *unpacker) makeNode(base string, mode uint32) error {
	dir, err := u.at.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mknodat(int(dir.Fd()), base, mode, 0); err != nil {
		return asInvalid(&fs.PathError{Op: "mknod", Path: base, Err: err})
	}
	return nil
}

func (u *unpacker) fifo(base string, header *tar.Header) error {
	if err := u.charge(inodeSize); err != nil {
		return err
	}
	if err := u.makeNode(base, unix.S_IFIFO|0o600); err != nil {
		return err
	}
	if err := u.own(base, header); err != nil {
		return err
	}
	return u.at.Chmod(base, header.FileInfo().Mode().Perm())
}

func setOpaque(dir *os.File) error {
	if err := unix.Fsetxattr(int(dir.Fd()), opaqueXattr, []byte("y"), 0); err != nil {
		return &fs.PathError{Op: "set " + opaqueXattr, Path: dir.Name(), Err: err}
	}
	return nil
}

func isOpaque(dir *os.File) bool {
	value := make([]byte, 1)
	n, err := unix.Fgetxattr(int(dir.Fd()), opaqueXattr, value)
	return err == nil && n == 1 && value[0] == 'y'
}

// setXattrs sets what a user may set on files and means nothing to the kernel.
// File systems that do not keep attributes, or not so many, go without.
func (u *unpacker) setXattrs(file *os.File, header *tar.Header) error {
	count := 0
	for key, value := range header.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrPrefix)
		if !ok || !allowedXattr(name) || len(value) > maxXattr || count == maxXattrs {
			continue
		}
		count++
		if err := u.charge(int64(len(name) + len(value))); err != nil {
			return err
		}
		_ = unix.Fsetxattr(int(file.Fd()), name, []byte(value), 0)
	}
	return nil
}

func allowedXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.") && len(name) <= maxName
}

// isFault reports an error that no name in a layer can cause.
func isFault(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	return !slices.Contains([]syscall.Errno{
		unix.ELOOP, unix.ENOTDIR, unix.EISDIR, unix.ENOENT, unix.EEXIST, unix.EINVAL, unix.ENAMETOOLONG, unix.EMLINK,
	}, errno)
}

// syncTree writes a layer to the disk before it gets its name.
func syncTree(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Syncfs(int(file.Fd()))
}

// lockDir makes the directory this process's, until the file is closed.
func lockDir(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("in use by another image store")
		}
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: name, Err: err}, file.Close())
	}
	return file, nil
}
