//go:build unix

package runtime

import (
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
