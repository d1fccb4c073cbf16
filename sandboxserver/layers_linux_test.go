package sandboxserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSnapshotLayersKilled: a deleted snapshot's files stay for what lies over
// them, also when the server is killed, and go with the last of that.
func TestSnapshotLayersKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := filepath.Join(dir, "snapshots")
	v := startVictim(t, dir)
	box := func(name, snapshot string) {
		t.Helper()
		v.must(201, "POST", "/boxes", map[string]any{"name": name, "snapshot": snapshot}, nil)
	}
	v.must(201, "POST", "/boxes", map[string]any{"name": "one"}, nil)
	v.run("one", "echo 1 > first; head -c 2000000 /dev/urandom > big", "")
	a := v.snapshot("one", "a")
	v.must(204, "DELETE", "/boxes/one", nil, nil)
	box("two", "a")
	v.run("two", "echo 2 > second", "")
	b := v.snapshot("two", "b")
	if b.FSUsedBytes < a.FSUsedBytes {
		t.Errorf("%d bytes used, %d by what is below", b.FSUsedBytes, a.FSUsedBytes)
	}
	v.must(409, "DELETE", "/snapshots/"+a.ID, nil, nil)
	v.must(204, "DELETE", "/boxes/two", nil, nil)
	v.must(204, "DELETE", "/snapshots/"+a.ID, nil, nil)
	box("three", "b")
	v.run("three", "cat first second; echo 3 > third", "1\n2\n")
	v.kill()
	// What a kill leaves that comes between two steps of a removal.
	for _, name := range []string{newID(), newID() + ".partial", newID() + ".gone"} {
		err := os.MkdirAll(filepath.Join(files, name, "root"), 0o700)
		for _, note := range []string{"layer.json", "gone"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(files, name, note), []byte("{}"), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v = startVictim(t, dir)
	if left, err := os.ReadDir(files); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() != a.ID && e.Name() != b.ID }) {
		t.Errorf("%v, %v", left, err)
	}
	v.must(202, "POST", "/boxes/three/start", map[string]any{}, nil)
	v.run("three", "cat first second third", "1\n2\n3\n")
	box("four", "b")
	v.run("four", "cat first second", "1\n2\n")
	v.must(204, "DELETE", "/boxes/three", nil, nil)
	v.must(204, "DELETE", "/boxes/four", nil, nil)
	v.must(204, "DELETE", "/snapshots/b", nil, nil)
	v.eventually("all files go", func() error {
		left, err := os.ReadDir(files)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%v", left)
		}
		return err
	})
	v.close()
}
