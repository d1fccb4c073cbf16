package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// Capture copies the sandbox's layer.
func (s *sandbox) Capture(ctx context.Context, spec CaptureSpec) (Captured, error) {
	return s.rt.capture(ctx, s.id, s, spec)
}

// capture copies the layer of a sandbox that runs or was stopped.
func (n *native) capture(ctx context.Context, id string, box Sandbox, spec CaptureSpec) (Captured, error) {
	ctx, done, err := n.read(ctx, id, box)
	if err != nil {
		return Captured{}, captureError(ctx, id, err)
	}
	defer done()
	var got Captured
	err = whole(spec.Dir, func(temp string) (err error) {
		got, err = n.captureInto(ctx, temp, id, box, spec)
		return err
	})
	return got, captureError(ctx, id, err)
}

// captureInto fills the directory of a snapshot: with what is a sandbox's own,
// all of one moment, and with what that lies over, unless those layers are
// beside the snapshot.
func (n *native) captureInto(ctx context.Context, temp, id string, box Sandbox, spec CaptureSpec) (Captured, error) {
	below, err := n.layers.base(id)
	if err != nil {
		return Captured{}, err
	}
	options := treecopy.Options{Limit: spec.Limit, Whiteouts: true}
	stats, err := n.captureOwn(ctx, temp, id, box, options)
	if err != nil {
		return Captured{}, err
	}
	info := layerInfo{Owner: n.owner()}
	switch dirs := n.layers.paths(below); {
	case below == nil:
	case len(dirs) < maxDepth && sameDir(n.layers.parent(below), filepath.Dir(spec.Dir)):
		info.Below = below.Layers
		stats, err = n.measureAll(ctx, append([]string{temp}, dirs...), spec.Limit)
	default:
		var more treecopy.Stats
		options.Limit = new(treecopy.Stats).Add(stats, spec.Limit)
		more, err = copyParts(ctx, n.copyTree, n.ids.own, options, append(merge(dirs, snapshotRoot, temp), merge(dirs, snapshotUsr, temp)...))
		stats.Add(more, 0)
	}
	if err != nil {
		return Captured{}, err
	}
	return Captured(stats), writeNote(filepath.Join(temp, infoName), info)
}

// captureOwn copies the layer of a sandbox, whose commands stand still.
func (n *native) captureOwn(ctx context.Context, temp, id string, box Sandbox, o treecopy.Options) (treecopy.Stats, error) {
	if running, ok := box.(*sandbox); ok {
		thaw, err := running.freeze(ctx)
		if err != nil {
			return treecopy.Stats{}, err
		}
		defer thaw()
	}
	var identity []string
	for _, name := range sandboxagent.IdentityFiles {
		identity = append(identity, strings.TrimPrefix(name, "/"))
	}
	layer := n.layers.path(id)
	return copyParts(ctx, n.copyTree, n.ids.own, o, []part{
		{src: filepath.Join(layer, snapshotRoot), dst: filepath.Join(temp, snapshotRoot), skip: identity},
		{src: filepath.Join(layer, snapshotUsr), dst: filepath.Join(temp, snapshotUsr)},
	})
}

// merge puts one directory of layers under what another has of it already.
func merge(dirs []string, name, dir string) []part {
	parts := layerParts(dirs, name, filepath.Join(dir, name))
	for i := range parts {
		parts[i].under = true
	}
	return parts
}

// owner says whose the files of layers are.
func (n *native) owner() Owner {
	return n.ids.owner()
}

// fill makes the layer of a sandbox that begins with a snapshot, unless it has
// one from before a stop: over that of the snapshot where that can be, else
// with copies of its files.
func (n *native) fill(ctx context.Context, spec Spec) error {
	dir := n.layers.path(spec.ID)
	if _, err := os.Lstat(dir); spec.Base == "" || !errors.Is(err, fs.ErrNotExist) {
		return nil // makeLayer tells of errors
	}
	info, err := readInfo(spec.Base)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if n.template != "" && info != nil && info.Owner == n.owner() {
		return n.putOver(dir, spec.Base, info)
	}
	return whole(dir, func(temp string) error {
		names := []string{snapshotRoot}
		if _, err := os.Lstat(filepath.Join(spec.Base, snapshotUsr)); err == nil {
			names = append(names, snapshotUsr)
		}
		for _, name := range names {
			// What is noted about the layers below means nothing without them.
			err := copyBase(ctx, n.copyTree, n.ids.own, spec.Base, name, filepath.Join(temp, name), n.template != "")
			if err != nil {
				return fmt.Errorf("files of the snapshot: %w", err)
			}
		}
		return n.open(temp)
	})
}

// open lets sandboxes into a directory of theirs.
func (n *native) open(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return n.ids.own(dir)
}

// putOver makes the layer of a sandbox over that of a snapshot. Its two
// directories have the attributes of those that they hide.
func (n *native) putOver(dir, snapshot string, info *layerInfo) error {
	n.layers.mu.Lock() // until the snapshot is known to be in use
	defer n.layers.mu.Unlock()
	below, err := n.layers.over(snapshot, info)
	if err != nil {
		return err
	}
	return whole(dir, func(temp string) error {
		for _, name := range []string{snapshotRoot, snapshotUsr} {
			own := filepath.Join(temp, name)
			if err := os.Mkdir(own, 0o755); err != nil {
				return err
			}
			if err := n.ids.own(own); err != nil {
				return err
			}
			if err := copyAttributes(own, filepath.Join(snapshot, name)); err != nil {
				return err
			}
		}
		if err := writeNote(filepath.Join(temp, baseName), below); err != nil {
			return err
		}
		return n.open(temp)
	})
}

func copyAttributes(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Open(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	return treecopy.Attributes(dst, src)
}

// copyTree copies in a process of its own.
func (n *native) copyTree(ctx context.Context, dst, src *os.File, o treecopy.Options) (treecopy.Stats, error) {
	return n.ids.do(ctx, n.program, sandboxagent.FileTask{Do: sandboxagent.DoCopy, Copy: o}, src, dst)
}

// measure returns the size of one directory of layers, the topmost first, as if
// they were one.
func (n *native) measure(ctx context.Context, dirs []string, name string, limit int64) (treecopy.Stats, error) {
	var layers []*os.File
	for _, dir := range dirs {
		layer, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return treecopy.Stats{}, err
		}
		defer layer.Close()
		layers = append(layers, layer)
	}
	return n.ids.do(ctx, n.program, sandboxagent.FileTask{Do: sandboxagent.DoMeasure, Copy: treecopy.Options{Limit: limit}, Layers: len(layers)}, layers...)
}

// measureAll measures both directories of layers.
func (n *native) measureAll(ctx context.Context, dirs []string, limit int64) (total treecopy.Stats, err error) {
	for _, name := range []string{snapshotRoot, snapshotUsr} {
		stats, err := n.measure(ctx, dirs, name, limit)
		if err != nil {
			return total, err
		}
		limit = total.Add(stats, limit)
	}
	return total, nil
}
