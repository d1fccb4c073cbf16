//go:build unix && !linux

package treecopy

import (
	"golang.org/x/sys/unix"
)

// data copies the bytes of a file. Blocks of zeros become holes.
func (c *copier) data(out, in int, st *unix.Stat_t) error {
	buf := make([]byte, 256<<10)
	at := int64(0)
	for at < st.Size {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Pread(in, buf[:min(int64(len(buf)), st.Size-at)], at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			break // it was cut short meanwhile
		}
		if !zero(buf[:n]) {
			if err := c.stats.charge(blocks(int64(n)), c.options.Limit); err != nil {
				return err
			}
			if err := writeAt(out, buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return unix.Ftruncate(out, at)
}

func zero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}

func writeAt(fd int, data []byte, at int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data, at = data[n:], at+int64(n)
	}
	return nil
}

// attributes copies nothing: there is no overlayfs here, and what else is
// noted belongs to the machine.
func (c *copier) attributes(int, int) error { return nil }

// marked reports false: there is nothing to hide.
func marked(int) bool { return false }

func mark(int) error { return nil }

// special leaves out pipes, sockets and devices.
func (c *copier) special(string, *unix.Stat_t) error { return nil }
