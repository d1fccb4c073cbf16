//go:build unix

package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A snapshot of a sandbox with layers is a layer, and may lie over others that
// are beside it. Sandboxes that are made of it have all of them under their own
// files. So a snapshot that is removed stays as long as another one or a
// sandbox lies over it: what is removed is marked, and goes when nothing that
// is found on the disk needs it.
const (
	infoName = "layer.json" // in a snapshot that is a layer: layerInfo
	baseName = "base.json"  // in a sandbox over layers: base
	goneName = "gone"       // in a layer whose snapshot was removed
	swept    = ".gone"      // ends the name of a layer that goes
)

// maxDepth bounds the layers under a sandbox that come from snapshots. A
// snapshot that would have more is merged with those under it.
const maxDepth = 16

// layerInfo is what a snapshot says of itself.
type layerInfo struct {
	Owner Owner `json:"owner"`
	// Below are the names of the layers under it, the topmost first. They are
	// in the same directory.
	Below []string `json:"below,omitempty"`
}

// base is what the files of a sandbox lie over.
type base struct {
	// Dir is where the layers are, relative to the runtime's directory: the
	// two can be moved together.
	Dir string `json:"dir"`
	// Layers are their names, the topmost first.
	Layers []string `json:"layers"`
}

// readInfo reads what a snapshot says of itself; nil for one that is no layer.
func readInfo(dir string) (*layerInfo, error) {
	info := new(layerInfo)
	if err := readNote(filepath.Join(dir, infoName), info); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // it is no layer
		}
		return nil, err
	}
	if err := checkNames(info.Below); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, infoName), err)
	}
	return info, nil
}

// base reads what the files of a sandbox lie over; nil for nothing.
func (l *layers) base(id string) (*base, error) {
	name := filepath.Join(l.path(id), baseName)
	b := new(base)
	if err := readNote(name, b); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there are none
		}
		return nil, err
	}
	if err := checkNames(b.Layers); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// checkNames makes sure that names lead nowhere else.
func checkNames(names []string) error {
	for _, name := range names {
		if name == "" || name != filepath.Base(name) || name == "." || name == ".." {
			return fmt.Errorf("%q is not the name of a layer", name)
		}
	}
	return nil
}

func readNote(name string, into any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func writeNote(name string, note any) error {
	data, err := json.Marshal(note)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}

// parent is the directory of the layers.
func (l *layers) parent(b *base) string { return filepath.Join(l.dir, b.Dir) }

// paths are the directories of layers, the topmost first.
func (l *layers) paths(b *base) []string {
	if b == nil {
		return nil
	}
	var dirs []string
	for _, name := range b.Layers {
		dirs = append(dirs, filepath.Join(l.parent(b), name))
	}
	return dirs
}

// over finds what a sandbox made of a snapshot lies over.
func (l *layers) over(dir string, info *layerInfo) (*base, error) {
	parent, name := filepath.Split(filepath.Clean(dir))
	if _, err := os.Lstat(filepath.Join(dir, goneName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "use snapshot", Path: dir, Err: errors.Join(fs.ErrNotExist, err)}
	}
	parent, err := filepath.Rel(l.dir, filepath.Clean(parent))
	if err != nil {
		return nil, err
	}
	return &base{Dir: parent, Layers: append([]string{name}, info.Below...)}, nil
}

// removeSnapshot removes what Capture made, or marks it when something lies
// over it.
func (l *layers) removeSnapshot(dir string) error {
	err := RemoveTree(dir + partial)
	if !isLayer(dir) {
		return errors.Join(err, RemoveTree(dir))
	}
	if file, marked := os.OpenFile(filepath.Join(dir, goneName), os.O_CREATE|os.O_WRONLY, 0o600); marked != nil {
		return errors.Join(err, marked)
	} else {
		err = errors.Join(err, file.Close())
	}
	return errors.Join(err, l.sweep(filepath.Dir(dir)))
}

// isLayer reports whether something may lie over what a name stands for. That
// is a directory which was whole, and nothing that leads elsewhere.
func isLayer(dir string) bool {
	at, err := os.Lstat(dir)
	if err != nil || !at.IsDir() || passing(dir) {
		return false
	}
	_, err = os.Lstat(filepath.Join(dir, infoName))
	return err == nil
}

// passing reports whether a name is that of a directory which is not whole yet,
// or not any more.
func passing(name string) bool {
	return strings.HasSuffix(name, partial) || strings.HasSuffix(name, swept)
}

// remove takes a sandbox's files away, removes them in the background, and
// those layers under them that nothing else needs.
func (l *layers) remove(id string) error { return l.removeBy(l.old.take, id) }

func (l *layers) removeBy(remove func(dir string) error, id string) error {
	below, err := l.base(id)
	if err != nil {
		l.log.Warn("layers of a sandbox are not known", "sandbox", id, "error", err)
	}
	if err := remove(l.path(id)); err != nil {
		return err
	}
	return l.letGo(below)
}

// letGo removes what lay under a sandbox that is gone, and is of no use.
func (l *layers) letGo(b *base) error {
	isGone := func(dir string) bool {
		_, err := os.Lstat(filepath.Join(dir, goneName))
		return err == nil
	}
	if b == nil || !slices.ContainsFunc(l.paths(b), isGone) {
		return nil
	}
	return l.sweep(l.parent(b))
}

// sweep removes the layers in a directory that are marked, and that nothing
// lies over.
func (l *layers) sweep(parent string) error {
	dirs, err := l.unused(parent)
	for _, dir := range dirs {
		err = errors.Join(err, RemoveTree(dir))
	}
	return err
}

// unused finds the marked layers that nothing lies over, and takes their names
// from them: nothing finds them any more.
func (l *layers) unused(parent string) (dirs []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A snapshot of a sandbox comes before the end of that sandbox, so that one
	// of the two is found.
	used, err := l.usedBySandboxes(parent)
	if err != nil {
		return nil, err
	}
	marked, err := markedLayers(parent, used)
	if err != nil {
		return nil, err
	}
	for _, name := range marked {
		dir := filepath.Join(parent, name)
		if !used[name] {
			if err := os.Rename(dir, dir+swept); err != nil {
				return dirs, err
			}
			dirs = append(dirs, dir+swept)
		}
	}
	return dirs, nil
}

// markedLayers lists the layers in a directory that are to go, and adds to
// those in use what the others lie over.
func markedLayers(parent string, used map[string]bool) (marked []string, err error) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() || passing(entry.Name()) {
			continue // what is being made is still a sandbox's
		}
		dir := filepath.Join(parent, entry.Name())
		if _, err := os.Lstat(filepath.Join(dir, goneName)); err == nil {
			marked = append(marked, entry.Name())
			continue
		}
		info, err := readInfo(dir)
		if err != nil {
			return nil, err // it may lie over any
		}
		if info != nil {
			for _, name := range info.Below {
				used[name] = true
			}
		}
	}
	return marked, nil
}

// sameDir reports whether two names are those of one directory.
func sameDir(a, b string) bool {
	if a == b {
		return true
	}
	one, err1 := os.Stat(a)
	other, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// usedBySandboxes are the layers in a directory that sandboxes lie over.
func (l *layers) usedBySandboxes(parent string) (map[string]bool, error) {
	used := make(map[string]bool)
	entries, err := os.ReadDir(l.path(""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		b, err := l.base(entry.Name())
		if err != nil {
			return nil, err
		}
		if b == nil || !sameDir(l.parent(b), parent) {
			continue
		}
		for _, name := range b.Layers {
			used[name] = true
		}
	}
	return used, nil
}
