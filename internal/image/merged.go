package image

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links a name may lead through, as for the
// kernel.
const maxLinks = 40

// merged looks names up in layers as overlayfs would show them.
type merged struct {
	roots []*os.Root // the topmost first
}

// openMerged opens a regular file as a sandbox with these layers would see it,
// the lowest first. Links lead nowhere else.
func openMerged(layers []string, name string) (*os.File, error) {
	var m merged
	defer m.close()
	for _, dir := range slices.Backward(layers) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		m.roots = append(m.roots, root)
		if opaque, err := opaqueDir(dir); err != nil || opaque {
			break
		}
	}
	return m.open(name)
}

func (m *merged) close() {
	for _, root := range m.roots {
		root.Close()
	}
}

func (m *merged) open(name string) (*os.File, error) {
	left := strings.Split(name, "/")
	at, above := "", m.roots
	seen := map[string][]*os.Root{"": m.roots}
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
			above = seen[at]
			continue
		}
		full := path.Join(at, part)
		found, dirs, err := m.find(above, full)
		switch {
		case err != nil:
			return nil, err
		case dirs != nil:
			at, above = full, dirs
			seen[full] = dirs
		case found.link != "":
			if links++; links > maxLinks {
				return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
			}
			if path.IsAbs(found.link) {
				at, above = "", m.roots
			}
			left = append(strings.Split(found.link, "/"), left...)
		case len(left) > 0:
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		case !found.regular:
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		default:
			return found.root.Open(full)
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// entry is what a name is, if not a directory.
type entry struct {
	root    *os.Root
	regular bool
	link    string
}

// find looks a name up in the layers that show the directory that it is in. A
// directory is in one layer or more.
func (m *merged) find(above []*os.Root, full string) (e entry, dirs []*os.Root, err error) {
	for _, root := range above {
		info, err := root.Lstat(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return e, nil, err
		}
		if !info.IsDir() {
			if dirs != nil || isWhiteout(info) {
				break
			}
			e = entry{root: root, regular: info.Mode().IsRegular()}
			if info.Mode()&fs.ModeSymlink != 0 {
				e.link, err = root.Readlink(full)
			}
			return e, nil, err
		}
		dirs = append(dirs, root)
		if opaque, err := opaqueIn(root, full); err != nil {
			return e, nil, err
		} else if opaque {
			break
		}
	}
	if dirs == nil {
		return e, nil, &fs.PathError{Op: "open", Path: full, Err: fs.ErrNotExist}
	}
	return e, dirs, nil
}

func opaqueIn(root *os.Root, name string) (bool, error) {
	dir, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return isOpaque(dir), nil
}
