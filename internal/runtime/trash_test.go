//go:build unix

package runtime

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestTrash(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	old, err := openTrash(filepath.Join(top, trashName), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "dir")
	if err := old.take(dir); err != nil {
		t.Errorf("what there is not: %v", err)
	}
	// What another runtime could not remove is in the way of the second one.
	if err := os.MkdirAll(filepath.Join(top, trashName, "3", "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		for i := range 50 {
			if err := os.MkdirAll(filepath.Join(dir, strconv.Itoa(round), strconv.Itoa(i)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.take(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Fatalf("still in its place: %v", err)
		}
	}
	old.wait()
	if got := entries(t, filepath.Join(top, trashName)); len(got) != 1 || got[0] != "3" {
		t.Errorf("%q are left", got)
	}
}

// TestTrashFull: what does not find a place is removed at once.
func TestTrashFull(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	full, err := openTrash(filepath.Join(top, trashName), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	full.working = true // with something that takes long
	full.left = make([]string, maxTrash)
	dir := filepath.Join(top, "dir")
	if err := os.MkdirAll(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := full.take(dir); err != nil {
		t.Error(err)
	}
	if got := entries(t, filepath.Join(top, trashName)); len(got) != 0 || len(full.left) != maxTrash {
		t.Errorf("%q are left, %d wait", got, len(full.left))
	}
}

// TestTrashEnds: a runtime that another one follows does not wait for ever, and
// the other one removes what is left.
func TestTrashEnds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "runtime")
	cfg := Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), Keep: func(string) bool { return true }}
	first, err := openLayers(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(first.path("box"), "x", "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	first.old.cancel() // its time is over
	if err := errors.Join(first.remove("box"), first.close()); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, filepath.Join(dir, trashName)); len(got) != 1 {
		t.Errorf("%q are left", got)
	}
	layersIn(t, dir, "box")
	if got := entries(t, filepath.Join(dir, trashName)); len(got) != 0 {
		t.Errorf("%q are left", got)
	}
}
