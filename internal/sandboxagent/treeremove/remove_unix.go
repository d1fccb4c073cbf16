//go:build unix

// Package treeremove removes directories that others have filled.
package treeremove

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// Remove removes a directory below another one until ctx ends, with those in it
// that their owner may not read. It is no error when there is none. One directory is open
// at a time, however deep the tree: os.RemoveAll takes a file descriptor for
// each level, more than there are for a tree that somebody made to that end.
func Remove(ctx context.Context, parent int, name string) error {
	var err error
	const tries = 3 // with names that came while it removed
	for range tries {
		r := remover{at: -1}
		err = r.remove(ctx, parent, name)
		if r.at >= 0 {
			unix.Close(r.at)
		}
		if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	return err
}

// remover stands in one directory.
type remover struct {
	at     int
	levels []removal
}

// removal is a directory between the top and where the remover stands.
type removal struct {
	name     string
	dev, ino uint64
	names    []string // still to remove
}

func (r *remover) remove(ctx context.Context, parent int, top string) error {
	if err := r.entry(parent, top); err != nil {
		return err
	}
	for len(r.levels) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		here := &r.levels[len(r.levels)-1]
		if len(here.names) == 0 {
			if err := r.leave(parent); err != nil {
				return err
			}
			continue
		}
		name := here.names[len(here.names)-1]
		here.names = here.names[:len(here.names)-1]
		if err := r.entry(r.at, name); err != nil {
			return err
		}
	}
	return nil
}

// entry removes a name, or goes into the directory that it is.
func (r *remover) entry(in int, name string) error {
	failed := unix.Unlinkat(in, name, 0)
	if failed == nil || failed == unix.ENOENT {
		return nil
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(in, name, flags, 0)
	if err == unix.EACCES && unix.Fchmodat(in, name, 0o700, 0) == nil {
		fd, err = unix.Openat(in, name, flags, 0)
	}
	if err == unix.ENOTDIR || err == unix.ELOOP {
		return failed
	}
	if err != nil {
		return err
	}
	if r.at >= 0 {
		unix.Close(r.at)
	}
	r.at = fd
	return r.enter(name)
}

// enter begins with the directory that it has just become.
func (r *remover) enter(name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(r.at, &st); err != nil {
		return err
	}
	if st.Mode&0o700 != 0o700 {
		_ = unix.Fchmod(r.at, 0o700) // for those who need it
	}
	here := removal{name: name, dev: uint64(st.Dev), ino: st.Ino} //nolint:unconvert // differs by platform
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(r.at, buf)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ENOENT {
			n, err = 0, nil // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			break
		}
		_, _, here.names = unix.ParseDirent(buf[:n], -1, here.names)
	}
	r.levels = append(r.levels, here)
	return nil
}

// leave removes the directory where it stands, which is empty, and goes to the
// one above. One that was moved has another above it, where nothing is to be
// removed.
func (r *remover) leave(parent int) error {
	done := r.levels[len(r.levels)-1]
	r.levels = r.levels[:len(r.levels)-1]
	up := parent
	if len(r.levels) > 0 {
		var err error
		if up, err = unix.Openat(r.at, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		unix.Close(r.at)
		r.at = up
		var st unix.Stat_t
		if err := unix.Fstat(up, &st); err != nil {
			return err
		}
		above := r.levels[len(r.levels)-1]
		if uint64(st.Dev) != above.dev || st.Ino != above.ino { //nolint:unconvert // differs by platform
			return unix.ESTALE
		}
	}
	err := unix.Unlinkat(up, done.name, unix.AT_REMOVEDIR)
	if err == unix.ENOENT {
		err = nil
	}
	return err
}
