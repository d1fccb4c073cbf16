//go:build unix

package runtime

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// trash removes directories in the background, one after the other: who gives
// one up waits for a rename only.
type trash struct {
	dir string
	log *slog.Logger

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
	return &trash{dir: dir, log: log}, nil
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
		if len(t.left) == 0 {
			t.working = false
			t.mu.Unlock()
			return
		}
		name := t.left[0]
		t.left = t.left[1:]
		t.mu.Unlock()
		if err := RemoveTree(name); err != nil {
			t.log.Warn("files of a sandbox are left", "dir", name, "error", err)
		}
	}
}

// wait returns when all that was taken is removed.
func (t *trash) wait() { t.worker.Wait() }
