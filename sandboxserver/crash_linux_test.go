package sandboxserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// known is what a client knows of a thing. What it asked for without an answer
// may have happened.
type known struct {
	id      string
	gone    bool   // a delete was answered
	leaving bool   // a delete was asked for
	content string // that was written, and answered
	volumes int    // that a sandbox has
	ready   bool   // a snapshot, seen as ready
}

// ledger is what a client knows.
type ledger struct {
	mu        sync.Mutex
	boxes     map[string]*known
	snapshots map[string]*known
	volumes   map[string]*known
	problems  []string
}

func newLedger() *ledger {
	return &ledger{boxes: map[string]*known{}, snapshots: map[string]*known{}, volumes: map[string]*known{}}
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// expect notes an answer that should not be, if there was one.
func (l *ledger) expect(what string, want, got int, answer []byte) bool {
	if got != want && got != 0 {
		l.note(func() { l.problems = append(l.problems, fmt.Sprintf("%s: status %d: %s", what, got, answer)) })
	}
	return got == want
}

// client does everything that changes something, until the server is gone.
func (l *ledger) client(v *victim, tag, mark string) {
	const api = "/v2/sandboxes"
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", tag, i)
		status, answer := v.call("POST", api+"/volumes", map[string]any{"name": name, "size": "1Gi"})
		if !l.expect("volume", 201, status, answer) {
			return
		}
		l.note(func() { l.volumes[name] = &known{} })
		status, answer = v.call("POST", api+"/boxes", map[string]any{
			"name": name, "labels": map[string]string{"tag": tag}, "env_vars": map[string]string{"CRASH_TEST_MARK": mark},
			"volumes": []any{map[string]any{"volume": name, "mount_path": "/data"}},
		})
		if !l.expect("box", 201, status, answer) {
			return
		}
		var box gen.Sandbox
		_ = json.Unmarshal(answer, &box)
		k := &known{id: box.ID, volumes: 1}
		l.note(func() { l.boxes[name] = k })
		// One command stays, in a session of its own.
		if _, ok := v.execute(name, `echo `+name+` > "$HOME/note"; (setsid sleep 1000 > /dev/null 2>&1 &)`); !ok {
			return
		}
		l.note(func() { k.content = name })
		status, answer = v.call("POST", api+"/boxes/"+name+"/snapshot", map[string]any{"name": name})
		if !l.expect("snapshot", 201, status, answer) {
			return
		}
		s := &known{content: name}
		l.note(func() { l.snapshots[name] = s })
		if i%2 == 0 {
			var got gen.Snapshot
			for got.Status != gen.SnapshotReady {
				if v.get("/snapshots/"+name, &got) != 200 {
					return
				}
			}
			l.note(func() { s.ready = true })
			if i%4 == 2 && !l.passing(v, name, s) {
				return
			}
		}
		if i%3 != 2 {
			continue
		}
		l.note(func() { k.leaving = true })
		if status, answer = v.call("DELETE", api+"/boxes/"+name, nil); !l.expect("delete", 204, status, answer) {
			return
		}
		l.note(func() { k.gone = true })
	}
}

// passing makes a sandbox of a snapshot, and deletes both.
func (l *ledger) passing(v *victim, snapshot string, s *known) bool {
	const api = "/v2/sandboxes"
	name := "over-" + snapshot
	k := &known{leaving: true}
	status, answer := v.call("POST", api+"/boxes", map[string]any{"name": name, "snapshot": snapshot})
	if !l.expect("box of a snapshot", 201, status, answer) {
		return false
	}
	var box gen.Sandbox
	_ = json.Unmarshal(answer, &box)
	k.id = box.ID
	l.note(func() { l.boxes[name] = k })
	if status, answer = v.call("DELETE", api+"/boxes/"+name, nil); !l.expect("delete", 204, status, answer) {
		return false
	}
	l.note(func() { k.gone, s.leaving = true, true })
	if status, answer = v.call("DELETE", api+"/snapshots/"+snapshot, nil); !l.expect("delete of a snapshot", 204, status, answer) {
		return false
	}
	l.note(func() { s.gone = true })
	return true
}

// TestServerKilled kills a server again and again amid what it does, and looks
// at what the next one has: all that was answered, nothing half done, and no
// process or mount of before.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	mark := "mark" + randomHex(16)
	l := newLedger()
	for round := range 6 {
		v := startVictim(t, dir)
		l.check(t, v, dir)
		var clients sync.WaitGroup
		for i := range 3 {
			clients.Go(func() { l.client(v, fmt.Sprintf("r%d-%d", round, i), mark) })
		}
		pause := time.Duration(rand.IntN(800)+50) * time.Millisecond
		time.Sleep(pause) // any moment is as good as another
		below := descendants(v.cmd.Process.Pid)
		v.kill()
		killed := time.Now()
		clients.Wait()
		eventually(t, "all processes are gone", func() bool {
			return len(havingInEnv(mark)) == 0 && !slices.ContainsFunc(below, process.lives)
		})
		t.Logf("killed after %v; %d processes gone within %v", pause, len(below), time.Since(killed))
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
			t.Errorf("mounts are left: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	last := startVictim(t, dir)
	l.check(t, last, dir)
	if len(l.boxes) == 0 {
		t.Error("nothing was tried")
	}
	last.close()
	if left := crashCgroups(filepath.Join(dir, "runtime")); len(left) > 0 {
		t.Errorf("cgroups are left: %q", left)
	}
	http.DefaultClient.CloseIdleConnections()
}

// check compares what a server has with what a client knows.
func (l *ledger) check(t *testing.T, v *victim, dir string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, problem := range l.problems {
		t.Error(problem)
	}
	l.problems = nil
	for name := range l.volumes {
		if status := v.get("/volumes/"+name, new(gen.Volume)); status != 200 {
			t.Errorf("volume %s: status %d", name, status)
		}
	}
	l.checkBoxes(t, v)
	ready := l.checkSnapshots(t, v)
	var all gen.SandboxList
	v.get("/boxes?limit=1000", &all)
	var ids []string
	for _, s := range all.Sandboxes {
		if s.Status == gen.StatusProvisioning || s.Status == gen.StatusDeleting || s.Status == gen.StatusFailed && s.StatusMessage == "" {
			t.Errorf("sandbox %s is %s: %s", s.Name, s.Status, s.StatusMessage)
		}
		ids = append(ids, s.ID)
	}
	for _, name := range namesIn(t, filepath.Join(dir, "runtime", "sandboxes")) {
		if !slices.Contains(ids, name) {
			t.Errorf("files of no sandbox: %s", name)
		}
	}
	for _, name := range namesIn(t, filepath.Join(dir, "snapshots")) {
		if !slices.Contains(ready, name) {
			t.Errorf("files of no snapshot: %s", name)
		}
	}
	var volumes gen.VolumeList
	v.get("/volumes?limit=1000", &volumes)
	if n := len(namesIn(t, filepath.Join(dir, "volumes"))); n != len(volumes.Volumes) {
		t.Errorf("%d directories of %d volumes", n, len(volumes.Volumes))
	}
}

func (l *ledger) checkBoxes(t *testing.T, v *victim) {
	t.Helper()
	started := 0
	for name, k := range l.boxes {
		var s gen.Sandbox
		status := v.get("/boxes/"+name, &s)
		switch {
		case k.gone && status != 404, status != 200 && !k.leaving:
			t.Errorf("sandbox %s: status %d; deleted: %t", name, status, k.gone)
		case status != 200:
			k.gone = true
		case s.Status != gen.StatusStopped && s.Status != gen.StatusReady || s.ID != k.id || len(s.Volumes) != k.volumes || k.volumes > 0 && s.Labels["tag"] == "":
			t.Errorf("sandbox %s (%s): %s, %s; %d volumes", s.Name, s.ID, s.Status, s.StatusMessage, len(s.Volumes))
		case k.content != "" && started < 3:
			started++
			if got, ok := v.execute(name, `cat "$HOME/note"; touch ../../data/seen`); !ok || got != k.content+"\n" {
				t.Errorf("sandbox %s: note %q", name, got)
			}
		}
	}
}

// checkSnapshots returns the ids of those that have files.
func (l *ledger) checkSnapshots(t *testing.T, v *victim) (ready []string) {
	t.Helper()
	made := 0
	var all gen.SnapshotList
	v.get("/snapshots?limit=500", &all)
	if len(all.Snapshots) == 500 {
		t.Fatal("more snapshots than a page has")
	}
	there := map[string]gen.Snapshot{}
	for _, s := range all.Snapshots {
		there[s.Name] = s
		if s.Status == gen.SnapshotReady {
			ready = append(ready, s.ID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.snapshots)) {
		k, s := l.snapshots[name], there[name]
		if s.Status == "" && k.leaving || k.gone {
			if k.gone = true; s.Status != "" {
				t.Errorf("snapshot %s is deleted, and %s", name, s.Status)
			}
			continue
		}
		if s.Status != gen.SnapshotReady && s.Status != gen.SnapshotFailed || k.ready && s.Status != gen.SnapshotReady {
			t.Errorf("snapshot %s: %q, %s; was ready: %t", name, s.Status, s.StatusMessage, k.ready)
			continue
		}
		if s.Status != gen.SnapshotReady || made == 2 {
			continue
		}
		made++
		copied := "of-" + name + "-" + randomHex(3)
		if status, answer := v.call("POST", "/v2/sandboxes/boxes", map[string]any{"name": copied, "snapshot": name}); status != 201 {
			t.Errorf("%s: %s", copied, answer)
		}
		if got, ok := v.execute(copied, `cat "$HOME/note"`); !ok || got != k.content+"\n" {
			t.Errorf("sandbox %s: note %q", copied, got)
		}
	}
	return ready
}
