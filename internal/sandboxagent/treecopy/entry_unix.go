//go:build unix

package treecopy

import (
	"golang.org/x/sys/unix"
)

func (c *copier) symlink(name string, st *unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(c.src, name, buf)
	if err == unix.EINVAL {
		return nil // another kind by now
	}
	if err != nil {
		return err
	}
	if err := c.begin(0); err != nil {
		return err
	}
	if err := unix.Symlinkat(string(buf[:n]), c.dst, name); err != nil {
		return c.fail("make", name, err)
	}
	return c.finish(c.dst, name, st)
}

// begin counts a name with so many bytes.
func (c *copier) begin(size int64) error {
	c.stats.Entries++
	return c.stats.charge(inodeSize+size, c.options.Limit)
}

// file copies a regular file.
func (c *copier) file(name string) error {
	in, err := unix.Openat(c.src, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil || kind(&st) != unix.S_IFREG {
		return err
	}
	if st.Nlink > 1 && c.link(name, &st) {
		c.stats.Entries++
		return nil
	}
	if err := c.begin(0); err != nil {
		return err
	}
	out, err := unix.Openat(c.dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return c.fail("make", name, err)
	}
	err = c.data(out, in, &st)
	if err == nil {
		err = c.attributes(out, in)
	}
	if closed := unix.Close(out); err == nil {
		err = closed
	}
	if err != nil {
		return c.fail("copy", name, err)
	}
	return c.finish(c.dst, name, &st)
}

// link gives a file that was copied before another name. What cannot be
// linked is copied again.
func (c *copier) link(name string, st *unix.Stat_t) bool {
	first, known := c.links[inodeOf(st)]
	if known {
		return unix.Linkat(c.target, first.path(), c.dst, name, 0) == nil
	}
	if here := c.here().below(name); here.length < unix.PathMax {
		c.links[inodeOf(st)] = here
	}
	return false
}

// finish gives a copy its owner, mode and times.
func (c *copier) finish(dir int, name string, st *unix.Stat_t) error {
	err := unix.Fchownat(dir, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && err != unix.EPERM && err != unix.EINVAL {
		return c.fail("chown", name, err)
	}
	owned := err == nil
	if kind(st) != unix.S_IFLNK {
		mode := uint32(st.Mode) & 0o7777 //nolint:unconvert // differs by platform
		if !owned {
			mode &= 0o1777 // a set user id would be another's
		}
		if err := unix.Fchmodat(dir, name, mode, 0); err != nil {
			return c.fail("chmod", name, err)
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return c.fail("set times of", name, err)
	}
	return nil
}
