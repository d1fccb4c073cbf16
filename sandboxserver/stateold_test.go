package sandboxserver

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// oldState makes the data directory of a server of the first version of the
// format, which has everything that a store can have.
func oldState(t *testing.T) (dir string) {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", "state-1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	dir = t.TempDir()
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, stateName), data, 0o600))
	for _, name := range []string{"4de89a47-ee1f-4225-8ada-f7d86dfe0a7b", "ebfd5474-c474-45f7-932e-3a63f9053e19", "b603c9ae-8ce0-48ff-ad2b-551cddf7e3cd"} {
		for _, kind := range []string{"volumes", "snapshots"} { // where it is a leftover it goes
			file := filepath.Join(dir, kind, name, "kept")
			err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOldState: what a server of before wrote down is there, and as it was.
func TestOldState(t *testing.T) {
	t.Parallel()
	dir := oldState(t)
	b := newBench(t, at(dir))
	volume := decode[gen.Volume](t, b.want(200, "GET", "/volumes/data", nil))
	if volume.Size != "1.5Gi" || len(volume.Attachments) != 1 {
		t.Errorf("%+v", volume)
	}
	if got := decode[gen.Registry](t, b.want(200, "GET", "/registries/r", nil)); got.URL != "ghcr.io" {
		t.Errorf("%+v", got)
	}
	e := b.server.engine
	if got := e.templates.byName["py"]; got.proxy.Rules[0].Headers[0].Value != "s3cret" || e.registries.byName["r"].password != "s3cret" {
		t.Errorf("%+v", got)
	}
	eventually(t, "the pool fills", func() bool { return b.fake.running() == 2 })
	for _, name := range []string{"full", "old"} {
		got := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/"+name, nil))
		if got.Status != gen.StatusStopped || len(got.Volumes) != 1 && name == "full" {
			t.Errorf("%+v", got)
		}
		b.want(202, "POST", "/boxes/"+name+"/start", nil)
	}
	if got := decode[gen.ServiceGrantList](t, b.want(200, "GET", "/boxes/full/service-urls", nil)); len(got.Items) != 1 {
		t.Errorf("%+v", got)
	}
	all := decode[gen.SnapshotList](t, b.want(200, "GET", "/snapshots?created_by=me", nil)).Snapshots
	tags := 0
	for _, s := range all {
		tags += len(s.Tags)
		if s.Status != gen.SnapshotReady {
			t.Errorf("%s is %s: %s", s.Name, s.Status, s.StatusMessage)
		}
	}
	if len(all) != 3 || tags != 2 {
		t.Errorf("%d snapshots with %d tags", len(all), tags)
	}
	b.box(map[string]any{"name": "of-s", "snapshot": "s"})
	if got := b.fake.find(e.boxes.byName["of-s"].id).spec; got.Base == "" {
		t.Errorf("%+v", got)
	}
	for kind, want := range map[string]int{"volumes": 1, "snapshots": 2} {
		if left, err := os.ReadDir(filepath.Join(dir, kind)); err != nil || len(left) != want {
			t.Errorf("%s: %v, %v", kind, left, err)
		}
	}
}
