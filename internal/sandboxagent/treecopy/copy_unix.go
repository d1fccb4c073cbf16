//go:build unix

package treecopy

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Copy copies what is below the open directory src, and the attributes of src
// itself, into the open directory dst, which is empty unless the options say
// otherwise. Hard links, holes, owners, modes, times and extended attributes are
// kept as far as this process may give them, sockets and devices left out. What
// src changes meanwhile is copied as it was at one moment or another, each file
// for itself. After an error part of the copy is there.
func Copy(ctx context.Context, dst, src *os.File, o Options) (Stats, error) {
	c := &copier{ctx: ctx, options: o, root: int(src.Fd()), target: int(dst.Fd()), src: -1, dst: -1, links: map[inode]*place{}}
	defer c.close()
	for _, name := range o.Skip {
		c.skipDepth = max(c.skipDepth, strings.Count(name, "/")+1)
	}
	err := c.run()
	return c.stats, err
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// copier walks a tree. It stands in one directory, in both trees.
type copier struct {
	ctx       context.Context //nolint:containedctx // of the one call
	options   Options
	stats     Stats
	skipDepth int

	root, target int // the roots; the caller's
	src, dst     int // where it stands; src is -1 in a directory that was moved away
	levels       []level
	links        map[inode]*place // first copies of files that have more names
	buffer       []byte
}

// level is a directory between the root and where the copier stands.
type level struct {
	*place
	st    unix.Stat_t
	last  unix.Stat_t // whose owner, mode and times the copy gets in the end
	names []string    // still to copy
}

// place is where something is. Paths may be longer than all the memory there
// is, and are not kept.
type place struct {
	name   string
	in     *place // nil in the root, which has none itself
	length int    // of the path
}

func (p *place) below(name string) *place {
	if p.name == "" {
		return &place{name: name, length: len(name)}
	}
	return &place{name: name, in: p, length: p.length + 1 + len(name)}
}

// path is that from the root.
func (p *place) path() string {
	buf := make([]byte, p.length)
	for end := p.length; p != nil; p = p.in {
		end -= len(p.name)
		copy(buf[end:], p.name)
		if end > 0 {
			end--
			buf[end] = '/'
		}
	}
	return string(buf)
}

type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} } //nolint:unconvert // differs by platform

func kind(st *unix.Stat_t) uint32 { return uint32(st.Mode) & unix.S_IFMT } //nolint:unconvert // differs by platform

func (c *copier) close() {
	for _, fd := range []int{c.src, c.dst} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (c *copier) run() (err error) {
	if c.src, err = unix.Openat(c.root, ".", openDir, 0); err != nil {
		return c.fail("open", "", err)
	}
	if c.dst, err = unix.Openat(c.target, ".", openDir, 0); err != nil {
		return c.fail("open", "", err)
	}
	if err := c.enter("", c.options.Under); err != nil {
		return err
	}
	for len(c.levels) > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		here := &c.levels[len(c.levels)-1]
		if len(here.names) == 0 {
			err = c.leave()
		} else {
			name := here.names[0]
			here.names = here.names[1:]
			err = c.entry(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter begins the directory that src and dst have just become. One that was
// there before keeps its attributes.
func (c *copier) enter(name string, before bool) error {
	here := level{place: new(place)}
	if len(c.levels) > 0 {
		here.place = c.levels[len(c.levels)-1].below(name)
	}
	if err := unix.Fstat(c.src, &here.st); err != nil {
		return c.fail("stat", name, err)
	}
	err := c.begun(&here, before)
	if err != nil {
		return err
	}
	if here.names, err = readNames(c.src); err != nil {
		return c.fail("read", name, err)
	}
	c.levels = append(c.levels, here)
	return nil
}

// begun gives a directory its attributes, or finds out which it has.
func (c *copier) begun(here *level, before bool) error {
	if before {
		if err := unix.Fstat(c.dst, &here.last); err != nil {
			return c.fail("stat", here.name, err)
		}
		if marked(c.src) {
			// What is below hides still more.
			return c.fail("mark", here.name, mark(c.dst))
		}
		return nil
	}
	here.last = here.st
	if err := c.stats.charge(blockSize+inodeSize, c.options.Limit); err != nil {
		return err
	}
	return c.fail("copy attributes of", here.name, c.attributes(c.dst, c.src))
}

func readNames(fd int) (names []string, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ENOENT {
			return names, nil // it was removed after it was opened
		}
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// leave ends a directory: it gets its mode and times, which its contents
// would have changed, and the copier goes to the one above.
func (c *copier) leave() error {
	done := c.levels[len(c.levels)-1]
	c.levels = c.levels[:len(c.levels)-1]
	if len(c.levels) == 0 {
		return c.finish(c.target, ".", &done.last)
	}
	up, err := unix.Openat(c.dst, "..", openDir, 0)
	if err != nil {
		return c.fail("open", "..", err)
	}
	unix.Close(c.dst)
	c.dst = up
	if err := c.finish(c.dst, done.name, &done.last); err != nil {
		return err
	}
	c.ascend()
	return nil
}

// ascend goes up in the source. A directory that was moved has another one
// above it; then the way leads from the root. What cannot be found any more
// was moved as a whole, and has no more contents here.
func (c *copier) ascend() {
	here := &c.levels[len(c.levels)-1]
	if c.src >= 0 {
		up, err := unix.Openat(c.src, "..", openDir, 0)
		unix.Close(c.src)
		c.src = -1
		if err == nil && c.is(up, here) {
			c.src = up
			return
		}
	}
	if len(here.names) == 0 {
		return // nothing more to read here
	}
	if c.src = c.find(); c.src < 0 {
		here.names = nil
	}
}

// is reports whether an open directory is that of a level, and closes it if
// not.
func (c *copier) is(fd int, l *level) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && inodeOf(&st) == inodeOf(&l.st) {
		return true
	}
	unix.Close(fd)
	return false
}

// find opens the source's directory of the innermost level by its path.
func (c *copier) find() int {
	at, err := unix.Openat(c.root, ".", openDir, 0)
	if err != nil {
		return -1
	}
	for i := range c.levels[1:] {
		l := &c.levels[i+1]
		next, err := unix.Openat(at, l.name, openDir, 0)
		unix.Close(at)
		if err != nil || c.ctx.Err() != nil {
			if err == nil {
				unix.Close(next)
			}
			return -1
		}
		if !c.is(next, l) {
			return -1
		}
		at = next
	}
	return at
}

// entry copies one name of the directory.
func (c *copier) entry(name string) error {
	if c.skipped(name) {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(c.src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return c.fail("stat", name, gone(err))
	}
	hidden, err := c.hidden(name, &st)
	if hidden || err != nil {
		return c.fail("look for", name, err)
	}
	switch kind(&st) {
	case unix.S_IFREG:
		err = c.file(name)
	case unix.S_IFDIR:
		err = c.dir(name, &st)
	case unix.S_IFLNK:
		err = c.symlink(name, &st)
	default:
		err = c.special(name, &st)
	}
	return c.fail("copy", name, gone(err))
}

// gone makes nothing of an error that says that a name is another's by now,
// or nobody's.
func gone(err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENXIO, unix.ESTALE: //nolint:errorlint // what is wrapped is about the copy
		return nil
	}
	return err
}

func (c *copier) skipped(name string) bool {
	return len(c.levels) <= c.skipDepth && slices.Contains(c.options.Skip, c.path(name))
}

// path is that of a name in the directory, from the root.
func (c *copier) path(name string) string {
	if len(c.levels) == 0 {
		return name
	}
	return c.here().below(name).path()
}

func (c *copier) here() *place { return c.levels[len(c.levels)-1].place }

// dir goes into a directory. Those of another file system are not the tree's.
func (c *copier) dir(name string, st *unix.Stat_t) error {
	if st.Dev != c.levels[0].st.Dev {
		return nil
	}
	in, err := unix.Openat(c.src, name, openDir, 0)
	if err != nil {
		return err
	}
	// Nobody else has the copy: a name that is taken is a fault of its own.
	err = unix.Mkdirat(c.dst, name, 0o700)
	before := err == unix.EEXIST && c.options.Under
	if err != nil && !before {
		unix.Close(in)
		return c.fail("make", name, err)
	}
	out, err := unix.Openat(c.dst, name, openDir, 0)
	if err != nil {
		unix.Close(in)
		return c.fail("open", name, err)
	}
	c.close()
	c.src, c.dst = in, out
	if !before {
		c.stats.Entries++
	}
	return c.enter(name, before)
}

// fail says which name an error is about, once. Errors about the copy's own
// names do not pass for those of names that went away.
func (c *copier) fail(op, name string, err error) error {
	errno, ok := err.(unix.Errno) //nolint:errorlint // as the kernel gave it
	if !ok {
		return err
	}
	return &fs.PathError{Op: op, Path: "/" + c.shown(name), Err: errno}
}

// shown is a path for people, of bounded length.
func (c *copier) shown(name string) string {
	const most = 256
	p := c.path(name)
	if len(p) > most {
		return "..." + p[len(p)-most:]
	}
	return p
}
