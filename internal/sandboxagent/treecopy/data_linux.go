package treecopy

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// chunk is how much is copied between two looks at the context.
const chunk = 8 << 20

// data copies the bytes of a file: as a clone where the file system shares
// blocks, otherwise without its holes.
func (c *copier) data(out, in int, st *unix.Stat_t) error {
	taken := blocks(min(st.Blocks*512, st.Size))
	if taken > 0 {
		if err := c.stats.charge(taken, c.options.Limit); err != nil {
			return err
		}
		if unix.IoctlFileClone(out, in) == nil {
			return nil
		}
		c.stats.Bytes -= taken
	}
	size := st.Size
	for at := int64(0); at < size; {
		start, end := extent(in, at, size)
		if start == end {
			break
		}
		n, err := c.stretch(out, in, start, end)
		if err != nil {
			return err
		}
		if at = end; start+n < end {
			size = start + n // it was cut short meanwhile
		}
	}
	return unix.Ftruncate(out, size)
}

// extent is the next stretch of a file that is no hole.
func extent(fd int, at, size int64) (start, end int64) {
	start, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if err == unix.ENXIO || err == nil && start >= size {
		return size, size
	}
	if err != nil {
		return at, size
	}
	end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
	if err != nil || end > size {
		end = size
	}
	return start, end
}

// stretch copies from start to end, or to where the file ends by now.
func (c *copier) stretch(out, in int, start, end int64) (n int64, err error) {
	for at := start; at < end; {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		want := min(chunk, end-at)
		if err := c.stats.charge(blocks(want), c.options.Limit); err != nil {
			return 0, err
		}
		n, err := c.pass(out, in, at, want)
		if err != nil {
			return 0, err
		}
		if at += n; n < want {
			return at - start, nil
		}
	}
	return end - start, nil
}

// pass copies so many bytes, in the kernel where it can.
func (c *copier) pass(out, in int, at, want int64) (int64, error) {
	from, to := at, at
	for to-at < want {
		n, err := unix.CopyFileRange(in, &from, out, &to, int(want-(to-at)), 0)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
			return 0, err
		default:
			return c.passOn(out, in, at, want)
		}
		if n == 0 {
			// Some file systems have data here that they do not tell of.
			return c.passOn(out, in, at, want)
		}
	}
	return want, nil
}

// passOn copies through this process.
func (c *copier) passOn(out, in int, at, want int64) (int64, error) {
	if c.buffer == nil {
		c.buffer = make([]byte, 256<<10)
	}
	done := int64(0)
	for done < want {
		n, err := unix.Pread(in, c.buffer[:min(int64(len(c.buffer)), want-done)], at+done)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return done, err
		}
		for written := 0; written < n; {
			w, err := unix.Pwrite(out, c.buffer[written:n], at+done+int64(written))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return done, err
			}
			if w == 0 {
				return done, io.ErrShortWrite
			}
			written += w
		}
		done += int64(n)
	}
	return done, nil
}

const (
	overlayPrefix = "user.overlay."
	opaque        = overlayPrefix + "opaque"
	opaqueValue   = "y"
)

// attributes copies extended attributes, as far as they mean something in a
// copy and this process may set them.
func (c *copier) attributes(out, in int) error {
	list, err := readAttribute(func(buf []byte) (int, error) { return unix.Flistxattr(in, buf) })
	if err != nil || len(list) == 0 {
		return nil // a file system without any
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		must := name == opaque && c.options.Whiteouts
		switch {
		case must:
		case strings.HasPrefix(name, overlayPrefix):
			continue // of the place that it was in
		case !strings.HasPrefix(name, "user.") && name != "security.capability":
			continue
		}
		value, err := readAttribute(func(buf []byte) (int, error) { return unix.Fgetxattr(in, name, buf) })
		if err == nil {
			err = unix.Fsetxattr(out, name, value, 0)
		}
		if err != nil && must {
			return err
		}
	}
	return nil
}

// marked reports whether a directory hides those below it.
func marked(dir int) bool {
	buf := make([]byte, len(opaqueValue)+1)
	n, err := unix.Fgetxattr(dir, opaque, buf)
	return err == nil && string(buf[:n]) == opaqueValue
}

// mark makes it do so.
func mark(dir int) error {
	return unix.Fsetxattr(dir, opaque, []byte(opaqueValue), 0)
}

// readAttribute reads something whose size may change meanwhile.
func readAttribute(read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = read(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return buf[:max(n, 0)], err
	}
}

// special copies pipes, and what overlayfs puts in place of a file that was
// removed.
func (c *copier) special(name string, st *unix.Stat_t) error {
	pipe := kind(st) == unix.S_IFIFO
	whiteout := kind(st) == unix.S_IFCHR && st.Rdev == 0
	if !pipe && (!whiteout || !c.options.Whiteouts) {
		return nil
	}
	if err := c.begin(0); err != nil {
		return err
	}
	if err := unix.Mknodat(c.dst, name, kind(st)|0o600, 0); err != nil {
		return c.fail("make", name, err)
	}
	if whiteout {
		return nil
	}
	return c.finish(c.dst, name, st)
}
