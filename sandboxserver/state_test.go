package sandboxserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestStateSurvives(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	in := func(c *Config) { c.Dir = dir }
	first := newBench(t, in)
	first.want(201, "POST", "/volumes", `{"name":"data","size":"1.5Gi"}`)
	tpl := first.template("py", map[string]any{
		"resources":     map[string]any{"cpu": "250m", "memory": "1Gi"},
		"volume_mounts": []any{map[string]any{"volume_name": "data", "mount_path": "/data"}},
		"proxy_config":  map[string]any{"rules": []any{map[string]any{"name": "r", "match_hosts": []string{"h.test"}, "headers": []any{map[string]any{"name": "h", "type": "opaque", "value": "s3cret"}}}}},
	})
	first.template("pooled", nil)
	first.template("gone", nil)
	first.want(204, "DELETE", "/templates/gone", nil)
	first.want(201, "POST", "/pools", `{"name":"warm","template_name":"pooled","replicas":2}`)
	x := first.box(map[string]any{"name": "x", "template_name": "py"})
	want := first.want(200, "GET", "/templates/py", nil).body
	volume := decode[gen.Volume](t, first.want(200, "GET", "/volumes/data", nil))
	file := filepath.Join(first.server.engine.volumeDir(volume.ID), "f")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}

	second := newBench(t, in)
	if got := second.want(200, "GET", "/templates/py", nil).body; got != want || strings.Contains(got, "s3cret") {
		t.Errorf("%s\nwas %s", got, want)
	}
	if second.server.engine.templates.byID[tpl.ID].proxy.Rules[0].Headers[0].Value != "s3cret" {
		t.Error("the secret is lost")
	}
	if got := decode[gen.Sandbox](t, second.want(200, "GET", "/boxes/x", nil)); got.Status != gen.StatusStopped || got.ID != x.ID || got.TemplateName != "py" {
		t.Errorf("%+v", got)
	}
	second.want(404, "GET", "/templates/gone", nil)
	second.want(409, "DELETE", "/volumes/data", nil)
	if got, err := os.ReadFile(file); string(got) != "kept" {
		t.Errorf("%q %v", got, err)
	}
	eventually(t, "the pool fills again", func() bool { return second.fake.running() == 2 })
	s := second.box(map[string]any{"template_name": "py"})
	if mounts := second.fake.find(s.ID).spec.Mounts; len(mounts) != 1 || mounts[0].Source != second.server.engine.volumeDir(volume.ID) {
		t.Errorf("%+v", mounts)
	}
	if u := second.usage(); u.StorageUsedBytes != 3<<29 || u.CPUUsedMillicores != 250+2*500 {
		t.Errorf("%+v", u)
	}
	if info, err := os.Stat(filepath.Join(dir, stateName)); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", info, err)
	}
}

// TestStateThatCannotBeRead: a server refuses what it does not understand, and
// leaves it as it is.
func TestStateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change change
		words  string
	}{
		"newer version":      {change{aboutBucket, versionKey, []byte("9")}, "version 9"},
		"no version":         {change{aboutBucket, versionKey, []byte("x")}, "damaged"},
		"size of a volume":   {change{kindVolume, "1", seal([]byte(`{"name":"v","size":"x"}`))}, `"v"`},
		"cpu of a template":  {change{kindTemplate, "1", seal([]byte(`{"name":"t","resources":{"cpu":"x","memory":"1"}}`))}, `"t"`},
		"mount":              {change{kindTemplate, "1", seal([]byte(`{"name":"t","resources":{"cpu":"1","memory":"1"},"mounts":[{"volume_id":"no"}]}`))}, "gone"},
		"template of a pool": {change{kindPool, "1", seal([]byte(`{"name":"p","template_id":"no"}`))}, "gone"},
		"volume of a box":    {change{kindSandbox, "1", seal([]byte(`{"name":"b","volumes":[{"volume_id":"no"}]}`))}, "gone"},
		"no json":            {change{kindSandbox, "1", seal([]byte(`{`))}, kindSandbox},
		"no checksum":        {change{kindSandbox, "1", []byte(`{}`)}, "damaged"},
		"fewer records":      {change{aboutBucket, kindSandbox, []byte("1")}, "damaged"},
		"wrong checksum":     {change{kindSandbox, "1", []byte(`0000{}`)}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f, err := openState(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.put(test.change); err != nil {
				t.Fatal(err)
			}
			if err := f.close(); err != nil {
				t.Fatal(err)
			}
			server, err := New(Config{Dir: dir, runtime: newFakeRuntime()})
			if err == nil {
				_ = server.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), stateName) {
				t.Errorf("%v", err)
			}
			if got, err := f.raw(test.change); err != nil || got != string(test.change.data) {
				t.Errorf("the record was changed: %q, %v", got, err)
			}
		})
	}
}

// TestStateOfFilesWithoutStore: files without a store are somebody's, and no
// leftovers.
func TestStateOfFilesWithoutStore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"volumes/v", "snapshots/s", "runtime/sandboxes/b"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Dir: dir, runtime: newFakeRuntime()}); err == nil || !strings.Contains(err.Error(), stateName) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestOneServerForADirectory: the second one is told.
func TestOneServerForADirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Dir = t.TempDir() })
	_, err := New(Config{Dir: b.server.cfg.Dir, runtime: newFakeRuntime()})
	if err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Error(err)
	}
	b.template("still-there", nil)
}

// failingWrites has writes fail until it is called again.
func (b *bench) failingWrites() (heal func()) {
	r := b.server.engine.records
	set := func(write func(...change) error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.write = write
	}
	set(func(...change) error { return errors.New("no space") })
	return func() { set(r.file.write) }
}

// TestStateThatCannotBeSaved: a change that was not saved is told of, and saved
// with the next one.
func TestStateThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(c *Config) { c.Dir = dir })
	heal := b.failingWrites()
	b.refused(b.call("POST", "/templates", `{"name":"t","image":"i"}`), 500, codeInternal, "saved")
	b.refused(b.call("POST", "/boxes", `{"name":"x"}`), 500, codeInternal, "saved")
	if got := asAPIError(unsaved(&fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC})).message; got != "the change is made, but could not be saved: no space left on device" {
		t.Error(got)
	}
	heal()
	b.template("other", nil)
	if err := b.server.engine.records.file.each(kindTemplate, func([]byte) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	after := newBench(t, func(c *Config) { c.Dir = dir })
	after.want(200, "GET", "/templates/t", nil)
	after.want(200, "GET", "/boxes/x", nil)
}

// TestDamagedState damages a store in every place: a server says so, or finds
// everything as it was. It never crashes, and never goes on with less.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(c *Config) { c.Dir = dir })
	for _, name := range []string{"a", "b", "c"} {
		b.template(name, nil)
		b.want(201, "POST", "/volumes", `{"name":"`+name+`","size":"1Gi"}`)
	}
	b.want(204, "DELETE", "/templates/b", nil)
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	want := recordsIn(t, dir)
	refused := 0
	try := func(what string, at int, content []byte) {
		dir := t.TempDir()
		name := filepath.Join(dir, stateName)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := openState(dir)
		if err == nil {
			var got string
			if got, err = allRecords(f); err == nil && got != want {
				t.Errorf("%s at %d: other records:\n%s", what, at, got)
			}
			err = errors.Join(err, f.close())
		}
		if err == nil {
			return
		}
		refused++
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	for at := 0; at < len(good); at += 211 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x40
		try("a flipped bit", at, bad)
	}
	for at := 0; at < len(good); at += 2000 {
		try("an end", at, good[:at:at])
		try("zeros", at, append(good[:at:at], make([]byte, len(good)-at)...))
	}
	if refused == 0 {
		t.Error("no damage was seen")
	}
}

func recordsIn(t *testing.T, dir string) string {
	t.Helper()
	f, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	all, err := allRecords(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// allRecords is what a store holds.
func allRecords(f *stateFile) (string, error) {
	var all strings.Builder
	for _, kind := range recordKinds {
		if err := f.each(kind, func(data []byte) error {
			all.WriteString(kind + " " + string(data) + "\n")
			return nil
		}); err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// put writes a record as it is, and counts it as one that is new.
func (f *stateFile) put(c change) error {
	if c.kind != aboutBucket {
		if err := f.write(change{c.kind, c.id, []byte("{}")}); err != nil {
			return err
		}
	}
	return f.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(c.kind)).Put([]byte(c.id), c.data) })
}

// raw reads it in a store that is closed.
func (f *stateFile) raw(c change) (got string, err error) {
	db, err := bbolt.Open(f.name, 0o600, &bbolt.Options{Timeout: stateWait})
	if err != nil {
		return "", err
	}
	defer db.Close()
	return got, db.View(func(tx *bbolt.Tx) error { got = string(tx.Bucket([]byte(c.kind)).Get([]byte(c.id))); return nil })
}

// TestVolumeWithoutFiles: it can be used, and that its files are gone is told.
func TestVolumeWithoutFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"v","size":"1Gi"}`))
	dir := b.killed()
	if err := os.Remove(filepath.Join(dir, "volumes", v.ID)); err != nil {
		t.Fatal(err)
	}
	logged := make(logLines, 100)
	after := newBench(t, at(dir), logTo(logged))
	after.want(200, "GET", "/volumes/v", nil)
	if info, err := os.Stat(filepath.Join(dir, "volumes", v.ID)); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("%v, %v", info, err)
	}
	for len(logged) > 0 {
		if strings.Contains(<-logged, "files of a volume are missing") {
			return
		}
	}
	t.Error("nothing was logged")
}
