package sandboxserver

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestSnapshotsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(c *Config) { c.Dir = dir }
	b := newBench(t, keep)
	b.box(map[string]any{"name": "x", "env_vars": map[string]any{"T": "hunter2"}})
	image := b.image(map[string]any{"name": "image", "labels": map[string]any{"a": "b"}, "run_config": map[string]any{"work_dir": "/w"}})
	files := b.captured("x", map[string]any{"name": "files", "include": []string{"all"}, "confirm_allow_snapshot_secret_values": true})
	begun := make(chan bool)
	b.fake.capture = func(ctx context.Context, _ runtime.CaptureSpec) (runtime.Captured, error) {
		close(begun)
		<-ctx.Done()
		return runtime.Captured{}, ctx.Err()
	}
	late := decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/x/snapshot", `{"name":"late"}`))
	<-begun
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{late.ID + ".partial", "00000000-0000-4000-8000-00000000dead"} {
		if err := os.MkdirAll(filepath.Join(dir, "snapshots", name, "root"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	again := newBench(t, keep)
	for _, want := range []gen.Snapshot{image, files} {
		got := decode[gen.Snapshot](t, again.want(200, "GET", "/snapshots/"+want.Name, nil))
		if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
			t.Error(diff)
		}
	}
	if got := decode[gen.Snapshot](t, again.want(200, "GET", "/snapshots/late", nil)); got.Status != gen.SnapshotFailed || got.StatusMessage == "" {
		t.Errorf("%+v", got)
	}
	left, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil || len(left) != 1 || left[0].Name() != files.ID {
		t.Errorf("%v, %v", left, err)
	}
	gone := again.captured(again.box(map[string]any{}).Name, map[string]any{"name": "gone"})
	next := again.box(map[string]any{"name": "next", "snapshot": "files"})
	specs := again.fake.started()
	if got := specs[len(specs)-1].Base; got != filepath.Join(dir, "snapshots", files.ID) {
		t.Errorf("base %q", got)
	}
	if env := again.server.engine.boxes.byID[next.ID].traits.env; env["T"] != "hunter2" {
		t.Errorf("env %v", env)
	}
	if err := errors.Join(again.server.Close(), os.RemoveAll(filepath.Join(dir, "snapshots", gone.ID))); err != nil {
		t.Fatal(err)
	}
	third := newBench(t, keep)
	if got := decode[gen.Snapshot](t, third.want(200, "GET", "/snapshots/gone", nil)); got.Status != gen.SnapshotFailed {
		t.Errorf("%+v", got)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestSnapshotFilesGoLast: a snapshot has its files as long as it has a record.
func TestSnapshotFilesGoLast(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	b.box(map[string]any{"name": "x"})
	s := b.captured("x", map[string]any{"name": "s"})
	dir, r := b.server.engine.snapshotDir(s.ID), b.server.engine.records
	written := make(chan error, 1)
	r.mu.Lock()
	r.write = func(changes ...change) error {
		if slices.ContainsFunc(changes, func(c change) bool { return c.id == s.ID && c.data == nil }) {
			var err error
			for began := time.Now(); err == nil && time.Since(began) < 50*time.Millisecond; { // a disk may take that long
				_, err = os.Stat(dir)
			}
			written <- err
		}
		return r.file.write(changes...)
	}
	r.mu.Unlock()
	b.want(204, "DELETE", "/snapshots/"+s.ID, nil)
	if err := <-written; err != nil {
		t.Error(err)
	}
	eventually(t, "its files are gone", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
}
