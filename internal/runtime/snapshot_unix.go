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

// RemoveSnapshot removes what Capture made. It is no error when there is
// nothing.
func RemoveSnapshot(dir string) error {
	return errors.Join(RemoveTree(dir), RemoveTree(dir+partial))
}

// copyTree copies the contents of a directory into an empty one.
type copyTree func(ctx context.Context, dst, src *os.File, o treecopy.Options) (treecopy.Stats, error)

// part is one directory of a snapshot.
type part struct {
	src, dst string
	skip     []string
}

// copyParts copies directories one after the other, within one limit. The
// targets are made, and owned by whoever own says.
func copyParts(ctx context.Context, copying copyTree, own func(string) error, o treecopy.Options, parts []part) (total treecopy.Stats, err error) {
	for _, p := range parts {
		o.Skip = p.skip
		stats, err := copyPart(ctx, copying, own, o, p)
		if err != nil {
			return total, err
		}
		total.Bytes += stats.Bytes
		total.Entries += stats.Entries
		if o.Limit > 0 {
			if o.Limit -= stats.Bytes; o.Limit <= 0 {
				o.Limit = 1 // nothing more fits
			}
		}
	}
	return total, nil
}

func copyPart(ctx context.Context, copying copyTree, own func(string) error, o treecopy.Options, p part) (stats treecopy.Stats, err error) {
	src, err := os.Open(p.src)
	if err != nil {
		return stats, err
	}
	defer src.Close()
	if err := os.Mkdir(p.dst, 0o700); err != nil {
		return stats, err
	}
	if err := own(p.dst); err != nil {
		return stats, err
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
	parts := []part{{src: filepath.Join(base, snapshotRoot), dst: dir + partial}}
	err := RemoveTree(parts[0].dst)
	if err == nil {
		_, err = copyParts(ctx, treecopy.Copy, nobody, treecopy.Options{}, parts)
	}
	if err == nil {
		err = os.Rename(parts[0].dst, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("files of the snapshot: %w", err), RemoveTree(parts[0].dst))
	}
	return nil
}
