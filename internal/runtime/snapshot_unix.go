//go:build unix

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// copyTree copies the contents of a directory into an empty one.
type copyTree func(ctx context.Context, dst, src *os.File, o treecopy.Options) (treecopy.Stats, error)

// part is one directory of a snapshot.
type part struct {
	src, dst string
	skip     []string
	under    bool // what is in dst already
}

// copyParts copies directories one after the other, within one limit. The
// targets are made, and owned by whoever own says.
func copyParts(ctx context.Context, copying copyTree, own func(string) error, o treecopy.Options, parts []part) (total treecopy.Stats, err error) {
	for _, p := range parts {
		o.Skip, o.Under = p.skip, p.under
		stats, err := copyPart(ctx, copying, own, o, p)
		if err != nil {
			return total, err
		}
		o.Limit = total.Add(stats, o.Limit)
	}
	return total, nil
}

func copyPart(ctx context.Context, copying copyTree, own func(string) error, o treecopy.Options, p part) (stats treecopy.Stats, err error) {
	src, err := os.Open(p.src)
	if err != nil {
		return stats, err
	}
	defer src.Close()
	if !p.under {
		if err := os.Mkdir(p.dst, 0o700); err != nil {
			return stats, err
		}
		if err := own(p.dst); err != nil {
			return stats, err
		}
	}
	dst, err := os.Open(p.dst)
	if err != nil {
		return stats, err
	}
	defer dst.Close()
	return copying(ctx, dst, src, o)
}

// whole makes a directory that appears when it is complete, or not at all.
func whole(dir string, fill func(partial string) error) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, errors.Join(err, fs.ErrExist))
	}
	temp := dir + partial
	if err := RemoveTree(temp); err != nil {
		return err
	}
	err := os.Mkdir(temp, 0o700)
	if err == nil {
		err = fill(temp)
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		return errors.Join(err, RemoveTree(temp))
	}
	return nil
}

// Capture copies the sandbox's files.
func (b *processBox) Capture(ctx context.Context, spec CaptureSpec) (Captured, error) {
	return b.rt.capture(ctx, b.id, b, b.mounts, spec)
}

// capture copies the files of a sandbox that runs or was stopped.
func (r *processRuntime) capture(ctx context.Context, id string, box Sandbox, mounts []Mount, spec CaptureSpec) (Captured, error) {
	ctx, done, err := r.read(ctx, id, box)
	if err != nil {
		return Captured{}, captureError(ctx, id, err)
	}
	defer done()
	var skip []string
	for _, m := range mounts {
		skip = append(skip, strings.TrimPrefix(m.Target, "/"))
	}
	var stats treecopy.Stats
	err = whole(spec.Dir, func(temp string) (err error) {
		parts := []part{{src: r.layers.path(id), dst: filepath.Join(temp, snapshotRoot), skip: skip}}
		stats, err = copyParts(ctx, treecopy.Copy, nobody, treecopy.Options{Limit: spec.Limit}, parts)
		return err
	})
	return Captured(stats), captureError(ctx, id, err)
}

// nobody leaves a file to who made it.
func nobody(string) error { return nil }

// fill makes the directory of a sandbox that begins with a snapshot.
func (r *processRuntime) fill(ctx context.Context, dir, base string) error {
	temp := dir + partial
	err := RemoveTree(temp)
	if err == nil {
		err = copyBase(ctx, treecopy.Copy, nobody, base, snapshotRoot, temp, false)
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("files of the snapshot: %w", err), RemoveTree(temp))
	}
	return nil
}

// copyBase copies one directory of a snapshot, with what it lies over. Notes
// about removed files are kept if they mean something where the copy goes.
func copyBase(ctx context.Context, copying copyTree, own func(string) error, base, name, dst string, whiteouts bool) error {
	dirs, err := layersOfSnapshot(base)
	if err != nil {
		return err
	}
	if whiteouts || len(dirs) == 1 {
		_, err := copyParts(ctx, copying, own, treecopy.Options{Whiteouts: whiteouts}, layerParts(dirs, name, dst))
		return err
	}
	// They are needed until the layers are one.
	merged := dst + ".merged"
	err = RemoveTree(merged)
	if err == nil {
		_, err = copyParts(ctx, copying, own, treecopy.Options{Whiteouts: true}, layerParts(dirs, name, merged))
	}
	if err == nil {
		_, err = copyParts(ctx, copying, own, treecopy.Options{}, []part{{src: merged, dst: dst}})
	}
	return errors.Join(err, RemoveTree(merged))
}

// layersOfSnapshot are the directories of a snapshot, its own first.
func layersOfSnapshot(dir string) ([]string, error) {
	info, err := readInfo(dir)
	if err != nil {
		return nil, err
	}
	dirs := []string{dir}
	if info != nil {
		for _, name := range info.Below {
			dirs = append(dirs, filepath.Join(filepath.Dir(dir), name))
		}
	}
	return dirs, nil
}

// layerParts copies one directory of layers, the topmost first, into one.
func layerParts(dirs []string, name, dst string) []part {
	var parts []part
	for i, dir := range dirs {
		parts = append(parts, part{src: filepath.Join(dir, name), dst: dst, under: i > 0})
	}
	return parts
}
