package sandboxserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func snapshotPath(ref string) string {
	return "/snapshots/" + strings.NewReplacer("/", "%2F", ":", "%3A").Replace(ref)
}

// image makes a snapshot of an image and waits until it is ready.
func (b *bench) image(body map[string]any) gen.Snapshot {
	b.t.Helper()
	full := map[string]any{"docker_image": "img:1", "fs_capacity_bytes": 1 << 30}
	maps.Copy(full, body)
	return b.built(decode[gen.Snapshot](b.t, b.want(201, "POST", "/snapshots", full)))
}

// built waits until a snapshot is no longer being made.
func (b *bench) built(s gen.Snapshot) gen.Snapshot {
	b.t.Helper()
	if s.Status != gen.SnapshotBuilding {
		b.t.Errorf("at first it is %s", s.Status)
	}
	var got gen.Snapshot
	eventually(b.t, "it is built", func() bool {
		got = decode[gen.Snapshot](b.t, b.want(200, "GET", "/snapshots/"+s.ID, nil))
		return got.Status != gen.SnapshotBuilding
	})
	return got
}

func (b *bench) captured(box string, body map[string]any) gen.Snapshot {
	b.t.Helper()
	return b.built(decode[gen.Snapshot](b.t, b.want(201, "POST", "/boxes/"+box+"/snapshot", body)))
}

func TestSnapshotOfAnImage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := decode[gen.Registry](t, b.want(201, "POST", "/registries", `{"name":"r","url":"ghcr.io"}`))
	s := b.image(map[string]any{
		"name": "team/py", "registry_id": r.ID, "tag": "v1", "description": "d",
		"labels": map[string]any{"a": "snapshot", "b": "snapshot"}, "run_config": map[string]any{"work_dir": "/w", "env_vars": map[string]any{"X": "1"}},
	})
	want := gen.Snapshot{
		ID: s.ID, Name: "team/py", Status: gen.SnapshotReady, FSCapacityBytes: 1 << 30, DockerImage: "img:1", RegistryID: r.ID,
		Labels: map[string]string{"a": "snapshot", "b": "snapshot"}, Tags: []string{"v1"}, Description: "d",
		RunConfig: gen.RunConfig{WorkDir: "/w", EnvVars: map[string]string{"X": "1"}}, CreatedBy: "local",
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	if n := b.usage().SnapshotsCount; n != 1 {
		t.Errorf("%d snapshots in use", n)
	}
	box := b.box(map[string]any{
		"name": "x", "snapshot": "team/py:v1", "labels": map[string]any{"b": "box"},
		"run_config": map[string]any{"env_vars": map[string]any{"Y": "2"}},
	})
	if diff := cmp.Diff(map[string]string{"a": "snapshot", "b": "box"}, box.Labels); diff != "" {
		t.Error(diff)
	}
	if box.SnapshotID != s.ID || box.FSCapacityBytes != 1<<30 || box.RunConfig.WorkDir != "/w" || len(box.RunConfig.EnvVars) != 2 || box.CreatedBy != "local" {
		t.Errorf("%+v", box)
	}
	b.refused(b.call("DELETE", "/snapshots/"+s.ID, nil), 409, codeConflict, "sandbox x")
	b.want(204, "POST", "/boxes/x/stop", nil)
	b.refused(b.call("DELETE", snapshotPath("team/py:v1"), nil), 409, codeConflict, "sandbox x")
	b.want(204, "DELETE", "/boxes/x", nil)
	b.want(204, "DELETE", snapshotPath("team/py:v1"), nil)
	b.want(404, "GET", "/snapshots/"+s.ID, nil)
}

func TestSnapshotRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	b.box(map[string]any{"name": "brief", "persistent": false})
	b.image(map[string]any{"name": "big"})
	b.image(map[string]any{"name": "huge", "fs_capacity_bytes": 300 << 30})
	b.fake.onCreate(func(context.Context, runtime.Spec) error { return errors.New("no") })
	b.want(201, "POST", "/boxes", `{"name":"broken","wait_for_ready":false}`)
	eventually(t, "it failed", func() bool { return b.status("broken").Status == gen.StatusFailed })
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		words              string
	}{
		{"POST", "/snapshots", `{"name":"Upper","docker_image":"i","fs_capacity_bytes":1}`, 422, "", "lower-case"},
		{"POST", "/snapshots", `{"name":"a//b","docker_image":"i","fs_capacity_bytes":1}`, 422, "", "slashes"},
		{"POST", "/snapshots", `{"name":"a:b","docker_image":"i","fs_capacity_bytes":1}`, 422, "", "name"},
		{"POST", "/snapshots", `{"name":"system/a","docker_image":"i","fs_capacity_bytes":1}`, 422, "", "server's"},
		{"POST", "/snapshots", `{"name":"system","docker_image":"i","fs_capacity_bytes":1}`, 422, "", "server's"},
		{"POST", "/snapshots", `{"name":"a","docker_image":"i"}`, 422, "", "fs_capacity_bytes is required"},
		{"POST", "/snapshots", `{"name":"a","docker_image":"i","fs_capacity_bytes":1,"registry_id":"r"}`, 422, "", "registry"},
		{"POST", "/snapshots", `{"name":"a","docker_image":"i","fs_capacity_bytes":1,"labels":{"com.langchain.x":"y"}}`, 422, "", "reserved"},
		{"POST", "/snapshots", `{"name":"a","docker_image":"i","fs_capacity_bytes":1,"run_config":{"work_dir":"rel"}}`, 422, "", "absolute"},
		{"POST", "/snapshots", `{"name":"a","docker_image":"i","fs_capacity_bytes":1,"run_config":{"user":"nobody"}}`, 501, codeNotSupported, "root"},
		{"GET", "/snapshots/none", "", 404, codeNotFound, "none"},
		{"GET", snapshotPath("big:v2"), "", 404, codeNotFound, "big:v2"},
		{"DELETE", "/snapshots/none", "", 404, codeNotFound, "none"},
		{"DELETE", snapshotPath("system/default:latest"), "", 400, codeInvalidRequest, "server's"},
		{"GET", "/snapshots-by-name/none", "", 404, codeNotFound, "none"},
		{"GET", "/snapshots?limit=501", "", 422, "", "limit"},
		{"GET", "/snapshots?cursor=x", "", 422, "", "cursor"},
		{"POST", "/boxes/none/snapshot", `{"name":"a"}`, 404, codeNotFound, "none"},
		{"POST", "/boxes/x/snapshot", `{}`, 422, "", "name is required"},
		{"POST", "/boxes/x/snapshot", `{"name":"a","checkpoint":"c"}`, 501, codeNotSupported, "checkpoint"},
		{"POST", "/boxes/x/snapshot", `{"name":"a","docker_image":"i"}`, 501, codeNotSupported, "docker_image"},
		{"POST", "/boxes/x/snapshot", `{"name":"a","include_memory":true}`, 501, codeNotSupported, "include_memory"},
		{"POST", "/boxes/brief/snapshot", `{"name":"a"}`, 400, codeInvalidRequest, "persistent"},
		{"POST", "/boxes/broken/snapshot", `{"name":"a"}`, 400, codeInvalidRequest, "failed"},
		{"POST", "/boxes", `{"snapshot":"none"}`, 400, codeSnapshotNotFound, "none"},
		{"POST", "/boxes", `{"snapshot_name":"big","fs_capacity_bytes":1}`, 422, "", "smaller"},
		{"POST", "/boxes", `{"snapshot":"huge","persistent":false}`, 422, "", "fs_capacity_bytes"},
		{"POST", "/boxes", `{"snapshot":"huge","persistent":false,"vcpus":4}`, 422, "", "fs_capacity_bytes"},
		{"POST", "/boxes", `{"snapshot":"big","snapshot_name":"big"}`, 422, "", "exclude"},
		{"POST", "/boxes", `{"snapshot":"big","restore_memory":true}`, 501, codeNotSupported, "memory"},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		b.refused(b.call(c.method, c.path, body), c.status, c.code, c.words)
	}
	if n := b.usage().SnapshotsCount; n != 2 {
		t.Errorf("refused requests made snapshots: %d", n)
	}
}

// TestSnapshotTags moves tags, and finds snapshots by each kind of reference.
func TestSnapshotTags(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.image(map[string]any{"name": "py"})
	second := b.image(map[string]any{"name": "py", "tag": "v2"})
	third := b.image(map[string]any{"name": "py"})
	is := func(ref, id string) {
		t.Helper()
		if got := decode[gen.Snapshot](t, b.want(200, "GET", snapshotPath(ref), nil)); got.ID != id {
			t.Errorf("%s is %+v", ref, got)
		}
	}
	is("py", third.ID)
	is("py:latest", third.ID)
	is("py:v2", second.ID)
	is(first.ID, first.ID)
	if got := decode[gen.Snapshot](t, b.want(200, "GET", "/snapshots/"+first.ID, nil)); len(got.Tags) != 0 {
		t.Errorf("the first still has %q", got.Tags)
	}
	tags := decode[gen.SnapshotTags](t, b.want(200, "GET", "/snapshots-by-name/py", nil))
	want := gen.SnapshotTags{Name: "py", Tags: []gen.SnapshotTag{{Tag: "latest", SnapshotID: third.ID}, {Tag: "v2", SnapshotID: second.ID}}}
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Error(diff)
	}
	// Without a latest the name alone is the newest without a tag.
	b.want(204, "DELETE", snapshotPath("py"), nil)
	is("py", first.ID)
	b.want(404, "GET", snapshotPath("py:latest"), nil)
	if box := b.box(map[string]any{"snapshot_name": "py"}); box.SnapshotID != first.ID {
		t.Errorf("%+v", box)
	}
	is("system/default", defaultID)
	is("system/default:latest", defaultID)
	if box := b.box(map[string]any{"snapshot_id": defaultID}); box.SnapshotID != defaultID {
		t.Errorf("%+v", box)
	}
}

// TestSnapshotTagOfFailure leaves a tag with a ready snapshot while another
// one is made for it, and after that failed.
func TestSnapshotTagOfFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	good := b.image(map[string]any{"name": "py"})
	b.fake.capture = func(context.Context, runtime.CaptureSpec) (runtime.Captured, error) {
		return runtime.Captured{}, fmt.Errorf("capture /host/dir: %w", runtime.ErrTooLarge)
	}
	bad := b.captured("x", map[string]any{"name": "py", "fs_capacity_bytes": 5})
	if bad.Status != gen.SnapshotFailed || !strings.Contains(bad.StatusMessage, "fs_capacity_bytes") || strings.Contains(bad.StatusMessage, "/host") {
		t.Errorf("%+v", bad)
	}
	if got := decode[gen.Snapshot](t, b.want(200, "GET", "/snapshots/py", nil)); got.ID != good.ID {
		t.Errorf("%+v", got)
	}
	b.refused(b.call("POST", "/boxes", map[string]any{"snapshot_id": bad.ID}), 400, codeInvalidRequest, "failed")
	b.want(204, "DELETE", "/snapshots/"+bad.ID, nil)
}

func TestSnapshotList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a", "team/B-b", "c"} {
		b.image(map[string]any{"name": strings.ToLower(name), "labels": map[string]any{"n": strings.ToLower(name)}})
	}
	for query, want := range map[string]string{
		"":                                    "c team/b-b a system/default",
		"created_by=me":                       "c team/b-b a",
		"created_by=me&sort_by=name":          "team/b-b c a",
		"sort_by=name&sort_order=asc":         "a c system/default team/b-b",
		"sort_direction=asc&limit=1&offset=1": "a",
		"name_contains=B-B":                   "team/b-b",
		"label=n=a":                           "a",
		"label=n&status=ready":                "c team/b-b a",
		"status=failed":                       "",
	} {
		list := decode[gen.SnapshotList](t, b.want(200, "GET", "/snapshots?"+query, nil))
		var names []string
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want || len(list.Snapshots) != len(list.Items) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	var names []string
	for cursor := ""; ; {
		page := decode[gen.SnapshotList](t, b.want(200, "GET", "/snapshots?page_size=1&sort_by=status"+cursor, nil))
		names = append(names, page.Items[0].Name)
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if got := strings.Join(names, " "); got != "c team/b-b a system/default" {
		t.Errorf("in pages: %q", got)
	}
}

// TestCarriedSettings gives the settings of one sandbox to another.
func TestCarriedSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{
		"name": "x", "vcpus": 2, "mem_bytes": 8 << 30, "idle_ttl_seconds": 120, "delete_after_stop_seconds": 180,
		"env_vars": map[string]any{"TOKEN": "hunter2"}, "labels": map[string]any{"l": "x"}, "run_config": map[string]any{"work_dir": "/w"},
		"proxy_config": map[string]any{"rules": []any{map[string]any{
			"name": "r", "match_hosts": []string{"h.test"}, "headers": []any{map[string]any{"name": "A", "type": "opaque", "value": "hunter3"}},
		}}},
	})
	for _, include := range []string{"env_vars", "proxy_config", "all"} {
		b.refused(b.call("POST", "/boxes/x/snapshot", map[string]any{"name": "s", "include": []string{include}}), 422, "", "secrets")
	}
	bare := b.captured("x", map[string]any{"name": "bare", "include": []string{"labels"}, "labels": map[string]any{"m": "s"}})
	if diff := cmp.Diff(map[string]string{"l": "x", "m": "s"}, bare.Labels); diff != "" {
		t.Error(diff)
	}
	all := b.want(201, "POST", "/boxes/x/snapshot", map[string]any{
		"name": "all", "include": []string{"all"}, "confirm_allow_snapshot_secret_values": true,
		"run_config": map[string]any{"env_vars": map[string]any{"B": "s"}},
	})
	s := b.built(decode[gen.Snapshot](t, all))
	got := b.want(200, "GET", "/snapshots/"+s.ID, nil)
	for _, a := range []answer{all, got} {
		if strings.Contains(a.body, "hunter") {
			t.Errorf("a secret came back: %s", a.body)
		}
	}
	if len(s.Included) != 6 || len(s.ProxyConfig.Rules) != 1 || !s.ProxyConfig.Rules[0].Headers[0].IsSet || s.UpdatedAt.IsZero() ||
		s.SourceSandboxID == "" || s.FSUsedBytes != 4096 || s.RunConfig.WorkDir != "/w" || s.RunConfig.EnvVars["B"] != "s" {
		t.Errorf("%+v", s)
	}
	next := b.box(map[string]any{"name": "next", "snapshot": "all"})
	if next.VCPUs != 2 || next.MemBytes != 8<<30 || next.IdleTTLSeconds != 120 || next.DeleteAfterStopSeconds != 180 ||
		next.Labels["l"] != "x" || len(next.ProxyConfig.Rules) != 1 || next.RunConfig.EnvVars["B"] != "s" {
		t.Errorf("%+v", next)
	}
	if env := b.server.engine.boxes.byName["next"].traits.env; env["TOKEN"] != "hunter2" {
		t.Errorf("env %v", env)
	}
	own := b.box(map[string]any{"name": "own", "snapshot": "all", "vcpus": 1, "idle_ttl_seconds": 0, "env_vars": map[string]any{}, "proxy_config": map[string]any{"no_proxy": []string{"h"}}})
	if own.VCPUs != 1 || own.MemBytes != 0 || own.IdleTTLSeconds != 0 || own.DeleteAfterStopSeconds != 180 || len(own.ProxyConfig.Rules) != 0 {
		t.Errorf("%+v", own)
	}
	plain := b.box(map[string]any{"name": "plain", "snapshot": "bare"})
	if plain.VCPUs != 0 || plain.IdleTTLSeconds != defaultIdle || len(plain.ProxyConfig.Rules) != 0 || plain.Labels["m"] != "s" {
		t.Errorf("%+v", plain)
	}
}

// TestCapturesWait makes many snapshots at once: a few are copied at a time.
func TestCapturesWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	going, most := make(chan int, 1), make(chan int, 1)
	going <- 0
	most <- 0
	b.fake.capture = func(context.Context, runtime.CaptureSpec) (runtime.Captured, error) {
		n := <-going + 1
		most <- max(n, <-most)
		going <- n
		goruntime.Gosched()
		going <- <-going - 1
		return runtime.Captured{}, nil
	}
	var all []gen.Snapshot
	for i := range 20 {
		all = append(all, decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/x/snapshot", map[string]any{"name": fmt.Sprintf("s%d", i)})))
	}
	for _, s := range all {
		if got := b.built(s); got.Status != gen.SnapshotReady {
			t.Errorf("%+v", got)
		}
	}
	if n := <-most; n > 4 {
		t.Errorf("%d at once", n)
	}
}

// TestCaptureAfterRestart stops and starts a sandbox while its capture waits
// for its turn: the files are the same, and are captured. Those of
// one that only stops are, too.
func TestCaptureAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	b.box(map[string]any{"name": "y"})
	e := b.server.engine
	for range cap(e.copies) {
		e.copies <- struct{}{}
	}
	again := decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/x/snapshot", `{"name":"again"}`))
	never := decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/y/snapshot", `{"name":"never"}`))
	for _, name := range []string{"x", "y"} {
		b.want(204, "POST", "/boxes/"+name+"/stop", nil)
	}
	started, release := make(chan bool, 2), make(chan bool)
	b.fake.onCreate(func(context.Context, runtime.Spec) error {
		started <- true
		<-release
		return nil
	})
	b.want(202, "POST", "/boxes/x/start", nil)
	<-started
	for range cap(e.copies) {
		<-e.copies
	}
	close(release)
	if got := b.built(again); got.Status != gen.SnapshotReady {
		t.Errorf("%+v", got)
	}
	b.fake.onCreate(nil)
	if got := b.built(never); got.Status != gen.SnapshotReady {
		t.Errorf("of the stopped one: %+v", got)
	}
}

// TestCaptureNotSaved says that a snapshot could not be entered on disk, since
// nobody waits for the capture.
func TestCaptureNotSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	logged := make(logLines, 100)
	b := newBench(t, func(c *Config) { c.Dir = dir }, logTo(logged))
	b.box(map[string]any{"name": "x"})
	answered := make(chan bool)
	b.fake.capture = func(ctx context.Context, _ runtime.CaptureSpec) (runtime.Captured, error) {
		select {
		case <-answered:
			return runtime.Captured{}, nil
		case <-ctx.Done():
			return runtime.Captured{}, ctx.Err()
		}
	}
	s := decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/x/snapshot", `{"name":"s"}`))
	defer b.failingWrites()()
	close(answered)
	for {
		select {
		case line := <-logged:
			if strings.Contains(line, "not saved") && strings.Contains(line, s.ID) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was logged in time")
		}
	}
}

// logLines are what a server logs.
type logLines chan string

func (l logLines) Write(data []byte) (int, error) {
	select {
	case l <- string(data):
	default:
	}
	return len(data), nil
}

// TestDeleteWhileCapturing breaks a capture off.
func TestDeleteWhileCapturing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	begun := make(chan string, 1)
	ended := make(chan error, 1)
	b.fake.capture = func(ctx context.Context, spec runtime.CaptureSpec) (runtime.Captured, error) {
		begun <- spec.Dir
		<-ctx.Done()
		ended <- ctx.Err()
		return runtime.Captured{}, ctx.Err()
	}
	s := decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/x/snapshot", `{"name":"s"}`))
	dir := <-begun
	b.refused(b.call("POST", "/boxes", `{"snapshot":"s"}`), 400, codeInvalidRequest, "building")
	b.want(204, "DELETE", "/snapshots/"+s.ID, nil)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.want(404, "GET", "/snapshots/s", nil)
	eventually(t, "its files are gone", func() bool { _, err := os.Stat(dir); return errors.Is(err, os.ErrNotExist) })
}
