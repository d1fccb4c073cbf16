package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/pathglob"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// Bounds of one walk, beyond which its result is cut short and says so.
const (
	maxEntries = 1 << 20 // members of directories
	maxFound   = 100_000 // matches
	maxAnswer  = 16 << 20
	maxScanned = 4 << 30 // bytes of files
)

// walk goes through a directory of a sandbox. Directories and files are opened
// from inside the sandbox; links are not followed on the way down, so there are
// no loops and nothing is visited twice.
type walk struct {
	sb    runtime.Sandbox
	left  int // entries
	found int // matches still wanted
	bytes int // of the answer
	cut   bool
}

func newWalk(sb runtime.Sandbox, limit, byDefault int) *walk {
	return &walk{sb: sb, left: maxEntries, found: min(cmp.Or(limit, byDefault), maxFound), bytes: maxAnswer}
}

// errCut ends a walk that has found enough.
var errCut = errors.New("cut short")

// take counts a match of some size.
func (w *walk) take(size int) error {
	if w.found == 0 || w.bytes < size {
		w.cut = true
		return errCut
	}
	w.found--
	w.bytes -= size
	return nil
}

// step is one of a walk through a directory: to look at a member, or to go
// down into it. In this order the paths are in lexical order.
type step struct {
	key   string
	entry runtime.Entry
	down  bool
}

// below calls look for each member of a directory, and for what is below those
// for which it returns true, in lexical order of their paths.
func (w *walk) below(ctx context.Context, dir string, at pathglob.Places, look func(full string, e runtime.Entry, at pathglob.Places) (next pathglob.Places, err error)) error {
	steps, err := w.list(ctx, dir)
	if err != nil {
		return err
	}
	into := map[string]pathglob.Places{}
	for _, s := range steps {
		full := path.Join(dir, s.entry.Name)
		if s.down {
			if next := into[s.entry.Name]; next != nil {
				if err := w.below(ctx, full, next, look); err != nil && !skippable(err) {
					return err
				}
			}
			continue
		}
		next, err := look(full, s.entry, at)
		if err != nil {
			return err
		}
		if next != nil && s.entry.Type.IsDir() {
			into[s.entry.Name] = next
		}
	}
	return nil
}

// skippable reports whether a walk goes on without a directory or file: it may
// have gone, be another's, or not be one that can be read.
func skippable(err error) bool {
	pathError, ok := errors.AsType[*fs.PathError](err)
	return ok && !errors.Is(err, runtime.ErrClosed) && pathError.Err != context.Canceled && pathError.Err != context.DeadlineExceeded //nolint:errorlint // as they were put there
}

// list reads a directory.
func (w *walk) list(ctx context.Context, dir string) ([]step, error) {
	file, err := w.sb.OpenDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var steps []step
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := runtime.ReadDir(file, min(1024, w.left+1))
		for _, e := range entries {
			if w.left--; w.left < 0 {
				w.cut, w.left = true, 0
				err = io.EOF
				break
			}
			if e.Type == fs.ModeIrregular {
				e = w.describe(ctx, dir, e)
			}
			steps = append(steps, step{key: e.Name, entry: e})
			if e.Type.IsDir() {
				steps = append(steps, step{key: e.Name + "/", entry: e, down: true})
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.key, b.key) })
	return steps, nil
}

// describe says what is at a path, at the end of a link for example. If that
// cannot be opened the entry stays as it is.
func (w *walk) describe(ctx context.Context, dir string, e runtime.Entry) runtime.Entry {
	full := path.Join(dir, e.Name)
	file, err := w.sb.OpenFile(ctx, full, os.O_RDONLY, 0)
	if errors.Is(err, syscall.EISDIR) {
		file, err = w.sb.OpenDir(ctx, full)
	}
	if err != nil {
		return e
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return e
	}
	return runtime.Entry{Name: e.Name, Type: info.Mode().Type(), Size: info.Size(), Modified: info.ModTime()}
}
