//go:build unix

package treecopy

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// Measure returns what a copy of layers would take, each put under those before
// it with what these hide. Nobody may change them meanwhile. A limit of 0 is
// none. One directory of each layer is open at a time.
func Measure(ctx context.Context, layers []*os.File, limit int64) (Stats, error) {
	m := &measurer{ctx: ctx, limit: limit, links: make(map[layerInode]bool)}
	defer m.close()
	err := m.run(layers)
	return m.stats, err
}

// measurer stands in a directory of each layer: where it is itself, or where
// the layer has nothing to say of what is further down.
type measurer struct {
	ctx    context.Context //nolint:containedctx // of the one call
	limit  int64
	stats  Stats
	at     []int
	levels []measured
	links  map[layerInode]bool // files with more names that were counted
}

// measured is a directory between the root and where the measurer stands.
type measured struct {
	layers []int // those that have it, the topmost first
	names  []layeredName
}

// layeredName is a name in a directory, and which layers have it.
type layeredName struct {
	name   string
	layers []int
}

type layerInode struct {
	layer int
	inode
}

func (m *measurer) close() {
	for _, fd := range m.at {
		unix.Close(fd)
	}
}

func (m *measurer) run(layers []*os.File) error {
	var all []int
	for i, layer := range layers {
		fd, err := unix.Openat(int(layer.Fd()), ".", openDir, 0)
		if err != nil {
			return m.fail("open", layer.Name(), err)
		}
		m.at, all = append(m.at, fd), append(all, i)
	}
	if err := m.enter(all); err != nil {
		return err
	}
	for len(m.levels) > 0 {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		here := &m.levels[len(m.levels)-1]
		var err error
		if len(here.names) == 0 {
			err = m.leave()
		} else {
			next := here.names[0]
			here.names = here.names[1:]
			err = m.entry(next)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter begins the directory that these layers stand in.
func (m *measurer) enter(layers []int) error {
	if err := m.stats.charge(blockSize+inodeSize, m.limit); err != nil {
		return err
	}
	here := measured{layers: layers}
	known := make(map[string]int)
	for _, layer := range layers {
		names, err := readNames(m.at[layer])
		if err != nil {
			return m.fail("read", "directory", err)
		}
		for _, name := range names {
			at, ok := known[name]
			if !ok {
				at = len(here.names)
				known[name] = at
				here.names = append(here.names, layeredName{name: name})
			}
			here.names[at].layers = append(here.names[at].layers, layer)
		}
	}
	m.levels = append(m.levels, here)
	return nil
}

func (m *measurer) leave() error {
	done := m.levels[len(m.levels)-1]
	m.levels = m.levels[:len(m.levels)-1]
	if len(m.levels) == 0 {
		return nil
	}
	for _, layer := range done.layers {
		if err := m.move(layer, ".."); err != nil {
			return err
		}
	}
	return nil
}

// move goes to another directory of a layer.
func (m *measurer) move(layer int, name string) error {
	fd, err := unix.Openat(m.at[layer], name, openDir, 0)
	if err != nil {
		return m.fail("open", name, err)
	}
	unix.Close(m.at[layer])
	m.at[layer] = fd
	return nil
}

// entry counts a name: what the topmost layer has there.
func (m *measurer) entry(e layeredName) error {
	top := e.layers[0]
	var st unix.Stat_t
	if err := unix.Fstatat(m.at[top], e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return m.fail("stat", e.name, err)
	}
	m.stats.Entries++
	size := int64(inodeSize)
	switch kind(&st) {
	case unix.S_IFDIR:
		return m.dir(e)
	case unix.S_IFREG:
		if st.Nlink > 1 {
			link := layerInode{top, inodeOf(&st)}
			if m.links[link] {
				return nil
			}
			m.links[link] = true
		}
		size += blocks(min(st.Blocks*512, st.Size))
	}
	return m.stats.charge(size, m.limit)
}

// dir goes into a directory, in all layers that show in it.
func (m *measurer) dir(e layeredName) error {
	var in []int
	for _, layer := range e.layers {
		var st unix.Stat_t
		if err := unix.Fstatat(m.at[layer], e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return m.fail("stat", e.name, err)
		}
		if kind(&st) != unix.S_IFDIR {
			break
		}
		if err := m.move(layer, e.name); err != nil {
			return err
		}
		in = append(in, layer)
		if marked(m.at[layer]) {
			break
		}
	}
	return m.enter(in)
}

func (m *measurer) fail(op, name string, err error) error {
	return &os.PathError{Op: op, Path: name, Err: err}
}
