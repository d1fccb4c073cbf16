package sandboxserver

import (
	"context"
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

// killed returns a copy of a data directory as a kill would leave it now.
func (b *bench) killed() (dir string) {
	b.t.Helper()
	records := b.server.engine.records
	records.mu.Lock() // nothing is half-written without a kill of its own
	defer records.mu.Unlock()
	return b.copied()
}

// copied is killed while no records are being written.
func (b *bench) copied() (dir string) {
	b.t.Helper()
	dir = filepath.Join(b.t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(b.server.engine.dir)); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

func at(dir string) func(*Config) { return func(c *Config) { c.Dir = dir } }

// full is a request for a sandbox that has everything.
func full() map[string]any {
	return map[string]any{
		"name": "full", "ttl_seconds": 3600, "idle_ttl_seconds": 120, "delete_after_stop_seconds": 7200,
		"cpu_millicores": 500, "mem_bytes": 2 << 30, "fs_capacity_bytes": 1 << 30,
		"labels": map[string]string{"a": "b"}, "tag_value_ids": []string{"1c3c1ad2-3f9c-4d70-b0c7-93a0ed9c2a35"},
		"env_vars":   map[string]string{"SECRET": "s3cret"},
		"run_config": map[string]any{"work_dir": "/srv", "env_vars": map[string]string{"X": "y"}},
		"volumes":    []any{map[string]any{"volume": "data", "mount_path": "/data", "read_only": true}},
		"proxy_config": map[string]any{"rules": []any{map[string]any{
			"name": "r", "match_hosts": []string{"h.test"}, "headers": []any{map[string]any{"name": "h", "type": "opaque", "value": "s3cret"}},
		}}},
	}
}

// TestSandboxesSurvive: a sandbox is the same after a clean end and after a
// kill, but stopped, and starts again with all that it was given.
func TestSandboxesSurvive(t *testing.T) {
	t.Parallel()
	first := newBench(t, at(t.TempDir()))
	first.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi"}`)
	s := first.box(full())
	first.want(200, "POST", "/boxes/full/service-url", `{"port":3000,"access":"workspace"}`)
	first.want(200, "POST", "/boxes/full/service-url", `{"port":4000}`)
	first.want(200, "POST", "/boxes/full/service-url", `{"port":5000,"access":"workspace"}`)
	first.want(204, "DELETE", "/boxes/full/service-urls?port=5000", nil)
	shares := first.want(200, "GET", "/boxes/full/service-urls", nil).body
	killed := first.killed()
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"closed": first.server.engine.dir, "killed": killed} {
		after := newBench(t, at(dir))
		got := decode[gen.Sandbox](t, after.want(200, "GET", "/boxes/"+s.ID, nil))
		if got.Status != gen.StatusStopped || got.StoppedAt.IsZero() {
			t.Errorf("%s: %s since %v", name, got.Status, got.StoppedAt)
		}
		got.Status, got.StoppedAt = s.Status, s.StoppedAt
		if diff := cmp.Diff(s, got); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
		if got := after.want(200, "GET", "/boxes/full/service-urls", nil).body; got != shares {
			t.Errorf("%s: shares %s\nwere %s", name, got, shares)
		}
		after.want(409, "DELETE", "/volumes/data", nil)
		b := after.server.engine.boxes.byID[s.ID]
		if b.traits.env["SECRET"] != "s3cret" || b.proxy.Rules[0].Headers[0].Value != "s3cret" || b.shares[3000].open.Err() != nil {
			t.Errorf("%s: secrets or logins are lost", name)
		}
		if u := after.usage(); u.SandboxStoppedCount != 1 || u.SandboxDirectCount != 1 {
			t.Errorf("%s: %+v", name, u)
		}
		after.want(201, "POST", "/boxes/full/snapshot", `{"name":"of-a-stopped-one"}`)
		after.want(202, "POST", "/boxes/full/start", nil)
		eventually(t, "it is ready", func() bool { return after.status("full").Status == gen.StatusReady })
		spec := after.fake.find(s.ID).spec
		if len(spec.Mounts) != 1 || spec.Mounts[0].Target != "/data" || spec.Limits.CPUMillicores != 500 {
			t.Errorf("%s: %+v", name, spec)
		}
		after.want(204, "DELETE", "/boxes/full", nil)
		if err := after.server.Close(); err != nil {
			t.Fatal(err)
		}
		newBench(t, at(dir)).want(404, "GET", "/boxes/full", nil)
	}
}

// TestInterruptedStart: a sandbox whose first start a kill cut off has failed,
// with a reason; one that had been ready before is stopped.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	b.box(map[string]any{"name": "again"})
	b.want(204, "POST", "/boxes/again/stop", nil)
	release := make(chan bool)
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	b.want(201, "POST", "/boxes", `{"name":"new","wait_for_ready":false}`)
	b.want(202, "POST", "/boxes/again/start", nil)
	dir := b.killed()
	close(release)
	after := newBench(t, at(dir))
	if got := after.status("new"); got.Status != gen.StatusFailed || got.StatusMessage == "" {
		t.Errorf("%+v", got)
	}
	if got := after.status("again"); got.Status != gen.StatusStopped {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"new", "again"} {
		after.want(202, "POST", "/boxes/"+name+"/start", nil)
		eventually(t, "it is ready", func() bool { return after.status(name).Status == gen.StatusReady })
	}
}

// TestTransientAfterRestart: the files of a sandbox that is not persistent end
// with its server, as with any stop; the sandbox does not.
func TestTransientAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	s := b.box(map[string]any{"name": "x", "persistent": false})
	kept := b.box(map[string]any{"name": "kept"})
	if e := b.server.engine; e.keeps(s.ID) || !e.keeps(kept.ID) || e.keeps("another") {
		t.Error("the wrong files are kept")
	}
	after := newBench(t, at(b.killed()))
	if got := after.status("x"); got.Status != gen.StatusStopped || after.server.engine.keeps(s.ID) {
		t.Errorf("%+v", got)
	}
	after.want(202, "POST", "/boxes/x/start", nil)
	eventually(t, "it is ready", func() bool { return after.status("x").Status == gen.StatusReady })
}

// TestTimersAfterRestart: the lifetime of a sandbox goes on while there is no
// server, and the idle time of one that ends with it.
func TestTimersAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	b.template("py", nil)
	b.box(map[string]any{"name": "expired", "ttl_seconds": 3600})
	b.box(map[string]any{"name": "stopped", "delete_after_stop_seconds": 60})
	b.want(204, "POST", "/boxes/stopped/stop", nil)
	b.box(map[string]any{"name": "idle", "template_name": "py", "idle_ttl_seconds": 60})
	b.box(map[string]any{"name": "later", "template_name": "py", "idle_ttl_seconds": 3600})
	b.box(map[string]any{"name": "stays", "idle_ttl_seconds": 60})
	e := b.server.engine
	e.mu.Lock()
	for _, box := range e.boxes.all() {
		box.created, box.active = box.created.Add(-2*time.Hour), box.active.Add(-10*time.Minute)
		if !box.stopped.IsZero() {
			box.stopped = box.stopped.Add(-10 * time.Minute)
		}
		e.boxes.mark(box)
	}
	e.mu.Unlock()
	if err := e.save(); err != nil {
		t.Fatal(err)
	}
	names := func(b *bench) (names []string) {
		for _, s := range decode[gen.SandboxList](t, b.want(200, "GET", "/boxes", nil)).Sandboxes {
			names = append(names, s.Name)
		}
		slices.Sort(names)
		return names
	}
	// Nobody knows when a server was killed: idle time begins anew.
	if got := names(newBench(t, at(b.killed()))); !slices.Equal(got, []string{"idle", "later", "stays"}) {
		t.Errorf("killed: %q", got)
	}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	after := newBench(t, at(e.dir))
	if got := names(after); !slices.Equal(got, []string{"later", "stays"}) {
		t.Errorf("closed: %q", got)
	}
	later := after.server.engine.boxes.byName["later"]
	if what, when := later.due(time.Now()); what != endDelete || time.Until(when) > 51*time.Minute {
		t.Errorf("later: %v in %v", what, time.Until(when))
	}
}

// TestOtherIsolation: files of one isolation are not taken for those of another.
func TestOtherIsolation(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	s := b.box(map[string]any{"name": "x"})
	b.server.engine.mu.Lock()
	b.server.engine.boxes.byID[s.ID].files = runtime.IsolationProcess
	b.server.engine.mu.Unlock()
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	after := newBench(t, at(b.server.engine.dir))
	if got := after.status("x"); got.Status != gen.StatusFailed || got.StatusMessage == "" {
		t.Errorf("%+v", got)
	}
	after.refused(after.call("POST", "/boxes/x/start", nil), 400, codeInvalidRequest, "isolation")
	if !after.server.engine.keeps(s.ID) {
		t.Error("its files are gone")
	}
	after.want(204, "DELETE", "/boxes/x", nil)
}

// TestLeftovers: what nothing knows is removed at a start; what cannot be
// removed keeps no server from starting.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	b.box(map[string]any{"name": "x"})
	s := b.captured("x", map[string]any{"name": "s"})
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"v","size":"1Gi"}`))
	dir := b.killed()
	left := []string{
		"snapshots/" + newID(), "snapshots/" + newID() + ".partial", "snapshots/" + s.ID + ".partial", "volumes/" + newID(),
		"output-123", signingKeyName + ".123", newStateName, newStateName + "123",
	}
	foreign := []string{"notes", "snapshots/notes", "volumes/notes", "snapshots/" + newID() + "x", "volumes/lost+found"}
	for _, name := range append(left, foreign...) {
		name = filepath.Join(dir, name)
		err := os.Mkdir(name, 0o700)
		if filepath.Dir(name) != dir {
			err = errors.Join(err, os.WriteFile(filepath.Join(name, "f"), nil, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"snapshots/" + newID(), "volumes/" + newID(), "output-9"} {
		if err := os.Symlink(filepath.Join(dir, "notes"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		left = append(left, name)
	}
	after := newBench(t, at(dir))
	for _, name := range left {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	for _, name := range append(foreign, "snapshots/"+s.ID, "volumes/"+v.ID, "volumes/notes/f") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	logged := make(logLines, 100)
	e := newEngine(Config{Logger: after.server.cfg.Logger}, nil, dir)
	logTo(logged)(&e.cfg)
	e.log = e.cfg.Logger
	e.sweepDir("volumes", func(string) error { return os.ErrPermission }, func(name string) bool { return name == v.ID })
	if len(logged) != 1 {
		t.Errorf("%d lines", len(logged))
	}
}

// TestSnapshotQuota: snapshots are limited, whichever way they are made.
func TestSnapshotQuota(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits.Snapshots = 2 })
	b.box(map[string]any{"name": "x"})
	b.captured("x", map[string]any{"name": "one"})
	b.want(201, "POST", "/snapshots", `{"name":"two","docker_image":"i","fs_capacity_bytes":1073741824}`)
	b.refused(b.call("POST", "/snapshots", `{"name":"more","docker_image":"i","fs_capacity_bytes":1073741824}`), 429, codeQuota, "snapshot limit of 2")
	b.refused(b.call("POST", "/boxes/x/snapshot", `{"name":"more"}`), 429, codeQuota, "snapshot limit of 2")
	b.want(204, "DELETE", "/snapshots/one", nil)
	b.want(201, "POST", "/boxes/x/snapshot", `{"name":"more"}`)
}

// TestCopiesOfSnapshots: sandboxes that are made of snapshots wait for those
// that copy, as captures do; those that have their files do not.
func TestCopiesOfSnapshots(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	b.captured("x", map[string]any{"name": "s"})
	b.box(map[string]any{"name": "early", "snapshot": "s"})
	b.want(204, "POST", "/boxes/early/stop", nil)
	e := b.server.engine
	for range cap(e.copies) {
		e.copies <- struct{}{}
	}
	b.box(map[string]any{"name": "other"})
	b.want(202, "POST", "/boxes/early/start", nil)
	eventually(t, "one with files starts", func() bool { return b.status("early").Status == gen.StatusReady })
	b.want(201, "POST", "/boxes", `{"name":"waits","snapshot":"s","wait_for_ready":false}`)
	starts := len(b.fake.started())
	if got := b.status("waits").Status; got != gen.StatusProvisioning || starts != 4 {
		t.Errorf("%s after %d starts", got, starts)
	}
	<-e.copies
	eventually(t, "its turn comes", func() bool { return b.status("waits").Status == gen.StatusReady })
	for range cap(e.copies) - 1 {
		<-e.copies
	}
}
