package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwned: files that this process may not give away are listed, as what they
// are in the end.
func TestOwned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	layer := filepath.Join(dir, "layer")
	if err := os.Mkdir(layer, 0o700); err != nil {
		t.Fatal(err)
	}
	data := tarOf(t,
		item{name: "etc/passwd", body: "x", mode: 0o644},
		item{name: "home", kind: tar.TypeDir, mode: 0o755},
		item{name: "home/app", kind: tar.TypeDir, mode: 0o700, uid: 1000},
		item{name: "home/app/file", body: "x", mode: 0o600, uid: 1000},
		item{name: "home/app/same", kind: tar.TypeLink, link: "home/app/file", uid: 1000},
		item{name: "home/app/link", kind: tar.TypeSymlink, link: "file", uid: 1000},
		item{name: "pipe", kind: tar.TypeFifo, mode: 0o600, uid: 5},
		item{name: "su", body: "x", mode: 0o4755, uid: 9},
		item{name: "far", body: "x", mode: 0o4755, uid: 70000},
		item{name: "rooted", body: "x", uid: 9}, item{name: "rooted", body: "x"},
	)
	owned, err := newOwnedList(filepath.Join(dir, ownedName))
	if err != nil {
		t.Fatal(err)
	}
	owner := Owner{UID: os.Geteuid(), GID: os.Getegid(), Size: 65536, SubUID: 100000, SubGID: 100000}
	if _, err := unpack(t.Context(), layer, bytes.NewReader(data), owner, owned, unpackLimits, newBudget(unpackLimits.Bytes)); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Owned)
	err = owned.give(t.Context(), layer, func(_ context.Context, dir string, list *os.File) error {
		if _, err := list.Seek(0, io.SeekStart); err != nil || dir != layer {
			t.Errorf("%s: %v", dir, err)
		}
		for in := json.NewDecoder(list); ; {
			var o Owned
			if err := in.Decode(&o); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			got[o.Name] = o
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Owned{
		{"home/app", 1000, 1000, 0},
		{"home/app/file", 1000, 1000, 0},
		{"home/app/same", 1000, 1000, 0},
		{"home/app/link", 1000, 1000, 0},
		{"pipe", 5, 5, 0},
		{"su", 9, 9, 0o4755},
		{"far", 65534, 65534, 0},
		{"rooted", 0, 0, 0},
	}
	for _, o := range want {
		if got[o.Name] != o {
			t.Errorf("%s: %+v", o.Name, got[o.Name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%+v", got)
	}
	if err := owned.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ownedName)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(Config{Dir: dir, Owner: owner}); err == nil || !strings.Contains(err.Error(), "subordinate") {
		t.Errorf("a store that gives no files away: %v", err)
	}
}
