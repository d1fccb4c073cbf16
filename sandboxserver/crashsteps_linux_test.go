package sandboxserver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// crashStep is one thing that a client asks for.
type crashStep struct {
	name string // of what may have failed when the server is killed at it
	do   func(v *victim) (answered bool)
}

// crashSteps make one of everything, change it, and take it away again.
func crashSteps(mark string) []crashStep {
	ask := func(want int, method, path string, body map[string]any) crashStep {
		name, _ := body["name"].(string)
		if method == "DELETE" {
			name = filepath.Base(path)
		}
		return crashStep{name, func(v *victim) bool {
			status, answer := v.call(method, "/v2/sandboxes"+path, body)
			if status != want && status != 0 {
				v.t.Fatalf("%s %s: %d %s", method, path, status, answer)
			}
			return status != 0
		}}
	}
	run := func(box, command string) crashStep {
		return crashStep{"", func(v *victim) bool {
			answer, ok := v.execute(box, command)
			if !ok && answer != "" {
				v.t.Fatalf("%s: %s", command, answer)
			}
			return ok
		}}
	}
	built := func(name string) crashStep {
		return crashStep{name, func(v *victim) bool {
			for s := (gen.Snapshot{Status: gen.SnapshotBuilding}); s.Status == gen.SnapshotBuilding; {
				if v.get("/snapshots/"+name, &s) != 200 {
					return false
				}
			}
			return true
		}}
	}
	type of = map[string]any
	return []crashStep{
		ask(201, "POST", "/volumes", of{"name": "data", "size": "1Gi"}),
		ask(201, "POST", "/registries", of{"name": "r", "url": "registry.test"}),
		ask(201, "POST", "/templates", of{"name": "t", "image": "img", "resources": of{"cpu": "100m", "memory": "128Mi"}}),
		ask(201, "POST", "/pools", of{"name": "p", "template_name": "t", "replicas": 1}),
		ask(201, "POST", "/boxes", of{"name": "old", "template_name": "t"}),
		ask(201, "POST", "/boxes", of{"name": "one", "env_vars": of{"CRASH_TEST_MARK": mark}, "volumes": []of{{"volume": "data", "mount_path": "/data"}}}),
		run("one", `echo 1 > "$HOME/first"; (setsid sleep 1000 > /dev/null 2>&1 &)`),
		ask(201, "POST", "/boxes/one/snapshot", of{"name": "a"}),
		built("a"),
		ask(201, "POST", "/boxes", of{"name": "two", "snapshot": "a"}),
		run("two", `echo 2 > "$HOME/second"`),
		ask(201, "POST", "/boxes/two/snapshot", of{"name": "b"}),
		built("b"),
		ask(204, "POST", "/boxes/two/stop", of{}),
		ask(200, "PATCH", "/boxes/two", of{"name": "deux"}),
		ask(204, "DELETE", "/boxes/one", of{}),
		ask(204, "DELETE", "/boxes/deux", of{}),
		ask(204, "DELETE", "/snapshots/a", of{}),
		ask(201, "POST", "/boxes", of{"name": "three", "snapshot": "b"}),
		ask(204, "DELETE", "/boxes/three", of{}),
		ask(204, "DELETE", "/snapshots/b", of{}),
		ask(204, "DELETE", "/boxes/old", of{}),
		ask(204, "DELETE", "/pools/p", of{}),
		ask(204, "DELETE", "/templates/t", of{}),
		ask(204, "DELETE", "/registries/r", of{}),
		ask(204, "DELETE", "/volumes/data", of{}),
	}
}

// contents are the files of the steps' sandboxes and snapshots, and the step
// that has to be over for them to be there.
var contents = map[string]struct {
	step  int
	files []string
}{
	"one": {7, []string{"1"}}, "a": {8, []string{"1"}},
	"two": {11, []string{"1", "2"}}, "deux": {11, []string{"1", "2"}}, "b": {12, []string{"1", "2"}}, "three": {19, []string{"1", "2"}},
}

// inventory is what a server has, in a form that is the same after a restart.
type inventory struct {
	volumes    gen.VolumeList
	registries gen.RegistryList
	templates  gen.TemplateList
	pools      gen.PoolList
	snapshots  gen.SnapshotList
	boxes      gen.SandboxList
}

func (v *victim) inventory() (i inventory) {
	v.t.Helper()
	for path, into := range map[string]any{
		"/volumes": &i.volumes, "/registries": &i.registries, "/templates": &i.templates,
		"/pools": &i.pools, "/snapshots": &i.snapshots, "/boxes": &i.boxes,
	} {
		if status := v.get(path, into); status != 200 {
			v.t.Fatalf("%s: status %d", path, status)
		}
	}
	i.snapshots.Snapshots = slices.DeleteFunc(i.snapshots.Snapshots, func(s gen.Snapshot) bool { return s.ID == defaultID })
	return i
}

func (i inventory) String() string {
	var all []string
	note := func(kind string, about ...any) { all = append(all, kind+" "+fmt.Sprint(about...)) }
	for _, v := range i.volumes.Volumes {
		note("volume", v.Name, v.Size)
	}
	for _, r := range i.registries.Registries {
		note("registry", r.Name, r.URL)
	}
	for _, t := range i.templates.Templates {
		note("template", t.Name, t.Image)
	}
	for _, p := range i.pools.Pools {
		note("pool", p.Name, p.TemplateName, p.Replicas)
	}
	for _, s := range i.snapshots.Snapshots {
		note("snapshot", s.Name, s.Tags)
	}
	for _, s := range i.boxes.Sandboxes {
		note("sandbox", s.Name, len(s.Volumes))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// take does steps until the server is gone. Each step that is over may note
// what there is.
func (v *victim) take(steps []crashStep, note func()) (over int) {
	for over < len(steps) && steps[over].do(v) {
		over++
		if note != nil {
			note()
		}
	}
	return over
}

// TestKilledAtEachWrite kills a server before or after every write of its
// records. What the next one has is what was answered, whole, and perhaps what
// was asked for last; and when that is taken away nothing is left.
func TestKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	steps := crashSteps("")
	states := []string{""}
	v := startVictim(t, t.TempDir())
	v.take(steps, func() { states = append(states, v.inventory().String()) })
	v.close()
	if len(states) != len(steps)+1 {
		t.Fatalf("%d steps of %d", len(states)-1, len(steps))
	}
	for lane := range killLanes {
		t.Run(strconv.Itoa(lane), func(t *testing.T) {
			t.Parallel()
			mark := "mark" + randomHex(16)
			k := killer{t: t, dir: filepath.Join(t.TempDir(), "data"), steps: crashSteps(mark), states: states, mark: mark}
			k.run(lane)
		})
	}
}

const killLanes = 2

// killer kills one server after the other in a directory.
type killer struct {
	t      *testing.T
	dir    string
	steps  []crashStep
	states []string // after each step
	mark   string
}

func (k killer) run(lane int) {
	k.t.Helper()
	v := startVictim(k.t, k.dir)
	for n := lane + 1; ; n += killLanes {
		// What comes after one write is also what comes before the next.
		write := n
		if n/killLanes%2 == 0 {
			write = -n
		}
		v.dieAt(write)
		over := v.take(k.steps, nil)
		if over == len(k.steps) {
			break
		}
		k.t.Logf("killed at write %d, in step %d", write, over)
		v.kill()
		eventually(k.t, "all processes are gone", func() bool { return len(havingInEnv(k.mark)) == 0 })
		v = startVictim(k.t, k.dir)
		k.check(v, over)
	}
	v.close()
}

// check looks at what was left after so many steps, and takes it away.
func (k killer) check(v *victim, over int) {
	k.t.Helper()
	got := v.inventory()
	if allowed := k.states[over:min(over+2, len(k.states))]; !slices.Contains(allowed, got.String()) {
		k.t.Errorf("there is\n%s\nwant one of\n%s", got, strings.Join(allowed, "\nor\n"))
	}
	v.use(got, over, k.steps[over].name)
	v.takeAway(got)
	for _, name := range []string{"snapshots", "volumes", filepath.Join("runtime", "sandboxes")} {
		v.eventually("all files go", func() error {
			if left := namesIn(k.t, filepath.Join(k.dir, name)); len(left) > 0 {
				return fmt.Errorf("in %s is %q", name, left)
			}
			return nil
		})
	}
}

// use looks into everything that has files.
func (v *victim) use(all inventory, over int, unsure string) {
	v.t.Helper()
	look := func(box, of string) {
		v.t.Helper()
		c, ok := contents[of]
		if !ok || over < c.step {
			return
		}
		want := strings.Join(append(slices.Clone(c.files), ""), "\n")
		if got, ok := v.execute(box, `cd "$HOME"; for f in first second; do ! test -e $f || cat $f; done`); !ok || got != want {
			v.t.Errorf("after step %d: %s has %q, want %q", over, of, got, want)
		}
	}
	for _, s := range all.boxes.Sandboxes {
		switch {
		case s.Status == gen.StatusStopped:
			look(s.Name, s.Name)
		case s.Status != gen.StatusFailed || s.Name != unsure || s.StatusMessage == "":
			v.t.Errorf("after step %d: %s is %s: %s", over, s.Name, s.Status, s.StatusMessage)
		}
	}
	for _, s := range all.snapshots.Snapshots {
		switch {
		case s.Status != gen.SnapshotReady && (s.Status != gen.SnapshotFailed || s.Name != unsure || s.StatusMessage == ""):
			v.t.Errorf("after step %d: %s is %s: %s", over, s.Name, s.Status, s.StatusMessage)
		case s.Status == gen.SnapshotReady:
			v.must(201, "POST", "/boxes", map[string]any{"name": "of-" + s.Name, "snapshot": s.ID}, nil)
			look("of-"+s.Name, s.Name)
		}
	}
}

// takeAway deletes everything.
func (v *victim) takeAway(all inventory) {
	v.t.Helper()
	boxes := v.inventory().boxes.Sandboxes // with those that use made
	for _, s := range boxes {
		v.must(204, "DELETE", "/boxes/"+s.ID, nil, nil)
	}
	for _, s := range all.snapshots.Snapshots {
		v.must(204, "DELETE", "/snapshots/"+s.ID, nil, nil)
	}
	for _, p := range all.pools.Pools {
		v.must(204, "DELETE", "/pools/"+p.Name, nil, nil)
	}
	for _, t := range all.templates.Templates {
		v.must(204, "DELETE", "/templates/"+t.Name, nil, nil)
	}
	for _, r := range all.registries.Registries {
		v.must(204, "DELETE", "/registries/"+r.Name, nil, nil)
	}
	for _, volume := range all.volumes.Volumes {
		v.must(204, "DELETE", "/volumes/"+volume.Name, nil, nil)
	}
}
