//go:build unix

package runtime

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// maxTrash is how many directories wait to be removed. Who gives up more
	// removes them: a disk is not to fill up with what is deleted.
	maxTrash = 64
	// trashTime is how long the end of a runtime waits for them.
	trashTime = 5 * time.Second
)

// trash removes directories in the background, one after the other: who gives
// one up waits for a rename only.
type trash struct {
	dir    string
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // ends the removals
	cancel context.CancelFunc

	mu      sync.Mutex
	taken   int
	left    []string
	working bool
	worker  sync.WaitGroup
}

func openTrash(dir string, log *slog.Logger) (*trash, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // old ones may be left
		return nil, err
	}
	t := &trash{dir: dir, log: log}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// take removes a directory, if there is one: it is out of its place at once.
func (t *trash) take(dir string) error {
	t.mu.Lock()
	t.taken++
	name := filepath.Join(t.dir, strconv.Itoa(t.taken))
	t.mu.Unlock()
	if err := os.Rename(dir, name); err != nil {
		if _, gone := os.Lstat(dir); errors.Is(gone, fs.ErrNotExist) {
			return nil
		}
		return RemoveTree(dir)
	}
	t.mu.Lock()
	if len(t.left) >= maxTrash {
		t.mu.Unlock()
		return RemoveTree(name)
	}
	defer t.mu.Unlock()
	t.left = append(t.left, name)
	if !t.working {
		t.working = true
		t.worker.Go(t.work)
	}
	return nil
}

func (t *trash) work() {
	for {
		t.mu.Lock()
		if len(t.left) == 0 || t.ctx.Err() != nil {
			t.working = false
			t.mu.Unlock()
			return
		}
		name := t.left[0]
		t.left = t.left[1:]
		t.mu.Unlock()
		if err := removeTree(t.ctx, name); err != nil && t.ctx.Err() == nil {
			t.log.Warn("files of a sandbox are left", "dir", name, "error", err)
		}
	}
}

// wait returns when all that was taken is removed.
func (t *trash) wait() { t.worker.Wait() }

// end waits so long, and then breaks the removal off. It reports whether
// everything is removed.
func (t *trash) end(patience time.Duration) bool {
	late := time.AfterFunc(patience, t.cancel)
	t.wait()
	late.Stop()
	defer t.cancel()
	return t.ctx.Err() == nil
}
