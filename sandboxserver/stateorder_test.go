package sandboxserver

import (
	"encoding/json"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// onWrite has every write of records looked at before it happens.
func (b *bench) onWrite(look func(change)) {
	r := b.server.engine.records
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write = func(changes ...change) error {
		for _, c := range changes {
			look(c)
		}
		return r.file.write(changes...)
	}
}

// TestReadyIsSaved: who sees that something is ready finds it so after a kill.
func TestReadyIsSaved(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	e := b.server.engine
	saved := map[string]bool{} // by name
	b.onWrite(func(c change) {
		var record struct {
			savedMeta
			Files string
			Whole bool
		}
		if c.data == nil || json.Unmarshal(c.data, &record) != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		var ready bool
		switch c.kind {
		case kindSnapshot:
			ready = e.snapshots.byID[c.id].status == gen.SnapshotReady
		case kindSandbox:
			ready = e.boxes.byID[c.id].status == gen.StatusReady
		default:
			return
		}
		if ready && !saved[record.Name] {
			t.Errorf("%s is ready before that is saved", record.Name)
		}
		saved[record.Name] = saved[record.Name] || record.Files != "" || record.Whole
	})
	b.box(map[string]any{"name": "x"})
	b.captured("x", map[string]any{"name": "s"})
	b.image(map[string]any{"name": "i"})
	e.records.mu.Lock()
	defer e.records.mu.Unlock()
	for _, name := range []string{"x", "s", "i"} {
		if !saved[name] {
			t.Errorf("%s is not saved", name)
		}
	}
}

// TestWholeAfterKill: what was on the disk and not announced yet is ready after
// a kill, with the tag that it was to have.
func TestWholeAfterKill(t *testing.T) {
	t.Parallel()
	b := newBench(t, at(t.TempDir()))
	b.box(map[string]any{"name": "x"})
	old := b.captured("x", map[string]any{"name": "s"})
	r, copied := b.server.engine.records, make(chan string, 1)
	write := r.write
	r.mu.Lock()
	r.write = func(changes ...change) error {
		err := write(changes...)
		var record savedSnapshot
		for _, c := range changes {
			if c.kind == kindSnapshot && json.Unmarshal(c.data, &record) == nil && record.Whole {
				copied <- b.copied()
			}
		}
		return err
	}
	r.mu.Unlock()
	s := b.captured("x", map[string]any{"name": "s"})
	after := newBench(t, at(<-copied))
	for tag, want := range map[string]string{"s": s.ID, "s:latest": s.ID, old.ID: old.ID} {
		if got := decode[gen.Snapshot](t, after.want(200, "GET", snapshotPath(tag), nil)); got.ID != want || got.Status != gen.SnapshotReady {
			t.Errorf("%s: %+v", tag, got)
		}
	}
	after.box(map[string]any{"name": "y", "snapshot": "s"})
}
