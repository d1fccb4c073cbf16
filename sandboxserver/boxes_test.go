package sandboxserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestBoxLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := decode[gen.Sandbox](t, b.want(201, "POST", "/boxes", `{"name":"a b","ttl_seconds":3600,"vcpus":2,"mem_bytes":8589934592,"fs_capacity_bytes":2048,"timeout":30,"labels":{"x":"y"}}`))
	if s.Status != gen.StatusReady || s.VCPUs != 2 || s.MemBytes != 8<<30 || s.FSCapacityBytes != 2048 || s.TTLSeconds != 3600 || s.IdleTTLSeconds != 600 {
		t.Errorf("%+v", s)
	}
	if want := "http://localhost:1234/dp/" + s.ID; s.DataplaneURL != want {
		t.Errorf("dataplane_url %s, want %s", s.DataplaneURL, want)
	}
	if got := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/a%20b", nil)); got.ID != s.ID {
		t.Errorf("%+v", got)
	}
	if got := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/"+s.ID, nil)); got.Name != "a b" {
		t.Errorf("%+v", got)
	}
	got := decode[gen.Sandbox](t, b.want(200, "PATCH", "/boxes/a%20b", `{"name":"c","ttl_seconds":0,"idle_ttl_seconds":120,"vcpus":4,"mem_bytes":5,"fs_capacity_bytes":6}`))
	if got.Name != "c" || got.TTLSeconds != 0 || got.IdleTTLSeconds != 120 || got.VCPUs != 4 || got.MemBytes != 5 || got.FSCapacityBytes != 6 || got.ID != s.ID {
		t.Errorf("%+v", got)
	}
	if u := b.usage(); u.CPUUsedMillicores != 4000 || u.MemoryUsedBytes != 5 || u.SandboxRunningCount != 1 {
		t.Errorf("%+v", u)
	}
	if unchanged := decode[gen.Sandbox](t, b.want(200, "PATCH", "/boxes/c", `{}`)); unchanged.IdleTTLSeconds != 120 {
		t.Errorf("%+v", unchanged)
	}
	if a := b.want(200, "GET", "/boxes/c/status", nil); a.body != `{"status":"ready"}`+"\n" {
		t.Errorf("%s", a.body)
	}
	b.want(204, "POST", "/boxes/c/stop", nil)
	if u := b.usage(); u.CPUUsedMillicores != 0 || u.SandboxStoppedCount != 1 || u.SandboxesUsed != 1 || u.SandboxRunningCount != 0 {
		t.Errorf("%+v", u)
	}
	if a := b.want(202, "POST", "/boxes/c/start", nil); decode[gen.Sandbox](t, a).Status != gen.StatusProvisioning {
		t.Errorf("%s", a.body)
	}
	eventually(t, "it is ready", func() bool { return b.status("c").Status == gen.StatusReady })
	if specs := b.fake.started(); len(specs) != 2 || specs[0].ID != s.ID || specs[1].ID != s.ID {
		t.Errorf("%+v", specs)
	}
	b.want(204, "DELETE", "/boxes/c", nil)
	b.want(404, "GET", "/boxes/c/status", nil)
	if n := b.fake.running(); n != 0 {
		t.Errorf("%d running", n)
	}
}

func TestBoxGetsANameAndVolumes(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.HostNetwork = true; c.PublicURL = "https://sandboxes.example/base/" })
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi"}`))
	b.template("py", map[string]any{"volume_mounts": []any{map[string]any{"volume_name": "data", "mount_path": "/data"}}})
	s := b.box(map[string]any{"template_name": "py"})
	if !strings.HasPrefix(s.Name, "sb-") || s.TemplateName != "py" || s.DataplaneURL != "https://sandboxes.example/base/dp/"+s.ID {
		t.Errorf("%+v", s)
	}
	spec := b.fake.started()[0]
	want := []runtime.Mount{{Source: b.server.engine.volumeDir(v.ID), Target: "/data"}}
	if spec.ID != s.ID || !spec.HostNetwork || !slices.Equal(spec.Mounts, want) {
		t.Errorf("%+v", spec)
	}
}

func TestBoxRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits = Limits{Sandboxes: 3, CPUMillicores: 3000, MemoryBytes: 4 << 30} })
	b.template("py", nil)
	b.box(map[string]any{"name": "a"})
	b.box(map[string]any{"name": "off"})
	b.want(204, "POST", "/boxes/off/stop", nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		words              []string
	}{
		{"POST", "/boxes", `{"name":"a"}`, 409, codeConflict, []string{`"a"`}},
		{"POST", "/boxes", `{"template_name":"no"}`, 400, codeTemplateNotFound, []string{"no"}},
		{"POST", "/boxes", `{"snapshot_id":"s"}`, 400, codeSnapshotNotFound, []string{"s"}},
		{"POST", "/boxes", `{"snapshot_name":"s"}`, 400, codeSnapshotNotFound, []string{"s"}},
		{"POST", "/boxes", `{"template_name":"py","snapshot_id":"s"}`, 422, "", []string{"exclude"}},
		{"POST", "/boxes", `{"snapshot_name":"py","snapshot_id":"s"}`, 422, "", []string{"exclude"}},
		{"POST", "/boxes", `{"ttl_seconds":61}`, 422, "", []string{"ttl_seconds must be a multiple of 60"}},
		{"POST", "/boxes", `{"idle_ttl_seconds":-60}`, 422, "", []string{"idle_ttl_seconds must be at least 0"}},
		{"POST", "/boxes", `{"name":".."}`, 422, "", []string{".."}},
		{"POST", "/boxes", `{"name":""}`, 422, "", []string{"name must not be empty"}},
		{"POST", "/boxes", `{"vcpus":70000}`, 422, "", []string{"vcpus"}},
		{"POST", "/boxes", `{"timeout":0}`, 422, "", []string{"timeout"}},
		{"POST", "/boxes", `{"vcpus":3}`, 429, codeQuota, []string{"cpu"}},
		{"POST", "/boxes", fmt.Sprintf(`{"mem_bytes":%d}`, int64(math.MaxInt64)), 422, "", []string{"at most 68719476736"}},
		{"PATCH", "/boxes/a", fmt.Sprintf(`{"mem_bytes":%d}`, int64(math.MaxInt64)), 422, "", []string{"at most 68719476736"}},
		{"POST", "/boxes", `{"mem_bytes":5368709120,"vcpus":1}`, 429, codeQuota, []string{"memory"}},
		{"POST", "/boxes", `{"mem_bytes":12884901888}`, 429, codeQuota, []string{"cpu"}},
		{"POST", "/boxes", `{"mem_bytes":2147483647,"vcpus":1}`, 422, "", []string{"mem_bytes must be from 2147483648 to 6442450944"}},
		{"POST", "/boxes", `{"mem_bytes":6442450945,"cpu_millicores":1000}`, 422, "", []string{"mem_bytes must be from"}},
		{"POST", "/boxes", `{"persistent":false,"fs_capacity_bytes":274877906945}`, 422, "", []string{"at most 274877906944"}},
		{"POST", "/boxes", `{"persistent":false,"fs_capacity_bytes":17179869185,"vcpus":1}`, 422, "", []string{"at most 17179869184"}},
		{"PATCH", "/boxes/a", `{"name":"off"}`, 409, codeConflict, nil},
		{"PATCH", "/boxes/a", `{"name":"."}`, 422, "", nil},
		{"PATCH", "/boxes/a", `{"ttl_seconds":1}`, 422, "", nil},
		{"PATCH", "/boxes/a", `{"vcpus":70000}`, 422, "", nil},
		{"PATCH", "/boxes/a", `{"vcpus":4}`, 429, codeQuota, []string{"cpu"}},
		{"PATCH", "/boxes/no", `{}`, 404, codeNotFound, []string{`sandbox "no"`}},
		{"GET", "/boxes/no", "", 404, codeNotFound, nil},
		{"GET", "/boxes/no/status", "", 404, codeNotFound, nil},
		{"DELETE", "/boxes/no", "", 404, codeNotFound, nil},
		{"POST", "/boxes/no/start", "", 404, codeNotFound, nil},
		{"POST", "/boxes/no/stop", "", 404, codeNotFound, nil},
		{"POST", "/boxes/a/start", "{}", 400, codeInvalidRequest, []string{"ready"}},
		{"POST", "/boxes/off/stop", "{}", 400, codeInvalidRequest, []string{"stopped"}},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		b.refused(b.call(c.method, c.path, body), c.status, c.code, c.words...)
	}
	// A stopped sandbox takes no CPU, and starts only if there is some.
	b.want(200, "PATCH", "/boxes/off", `{"vcpus":3}`)
	b.refused(b.call("POST", "/boxes/off/start", nil), 429, codeQuota, "cpu")
	b.box(map[string]any{"name": "third"})
	a := b.call("POST", "/boxes", `{"name":"fourth"}`)
	b.refused(a, 429, codeQuota, "sandbox limit")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestBatchDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x, y := b.box(map[string]any{"name": "x"}), b.box(map[string]any{"name": "y"})
	got := decode[gen.BatchDeleteResult](t, b.want(200, "POST", "/boxes/batch-delete", map[string]any{"names": []string{"x", "no", y.ID, "x"}}))
	if !slices.Equal(got.Deleted, []string{"x", y.ID, "x"}) || len(got.Skipped) != 1 || got.Skipped[0].Name != "no" || !strings.Contains(got.Skipped[0].Reason, "not found") {
		t.Errorf("%+v", got)
	}
	b.want(404, "GET", "/boxes/"+x.ID, nil)
	b.refused(b.call("POST", "/boxes/batch-delete", `{"names":[""]}`), 422, "")
}

func TestCreateOfGoneClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	block := make(chan struct{})
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error {
		select {
		case <-block:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan answer)
	go func() { ended <- b.do(request("POST", "/v2/sandboxes/boxes", `{"name":"lost"}`).WithContext(ctx)) }()
	eventually(t, "it is there", func() bool { return b.call("GET", "/boxes/lost", nil).status == 200 })
	cancel()
	<-ended
	if s := b.status("lost"); s.Status != gen.StatusProvisioning {
		t.Errorf("%+v", s)
	}
	b.refused(b.call("POST", "/boxes", `{"name":"lost"}`), 409, codeConflict)
	close(block)
	eventually(t, "it is ready", func() bool { return b.status("lost").Status == gen.StatusReady })
	b.want(204, "DELETE", "/boxes/lost", nil)
}

func TestDeleteWhileStarting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error { <-ctx.Done(); return ctx.Err() })
	ended := make(chan answer)
	go func() { ended <- b.call("POST", "/boxes", `{"name":"x"}`) }()
	eventually(t, "it is there", func() bool { return b.call("GET", "/boxes/x", nil).status == 200 })
	b.refused(b.execute(decode[gen.Sandbox](t, b.call("GET", "/boxes/x", nil)), map[string]any{"command": "true"}), 400, codeNotReady, "provisioning")
	b.want(204, "DELETE", "/boxes/x", nil)
	b.refused(<-ended, 409, codeConflict, "deleted")
}

// A start that does not heed its context ends the sandbox it made all the same.
func TestDeleteOfAStubbornStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		block := make(chan struct{})
		b.fake.onCreate(func(context.Context, runtime.Spec) error { <-block; return nil })
		b.want(201, "POST", "/boxes", `{"name":"x","wait_for_ready":false}`)
		deleted := make(chan answer, 2)
		for range 2 {
			go func() { deleted <- b.call("DELETE", "/boxes/x", nil) }()
		}
		synctest.Wait()
		if got := b.status("x").Status; got != gen.StatusDeleting {
			t.Errorf("it is %s", got)
		}
		b.refused(b.call("POST", "/boxes/x/start", nil), 400, codeInvalidRequest, "deleting")
		close(block)
		for range 2 {
			if a := <-deleted; a.status != 204 {
				t.Errorf("%+v", a)
			}
		}
		b.want(404, "GET", "/boxes/x", nil)
		if n := b.fake.running(); n != 0 {
			t.Errorf("%d running", n)
		}
	})
}

func TestSandboxThatEndsByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	b.fake.find(s.ID).end()
	eventually(t, "it is stopped", func() bool { return b.status("x").Status == gen.StatusStopped })
	b.want(202, "POST", "/boxes/x/start", nil)
	eventually(t, "it is ready", func() bool { return b.status("x").Status == gen.StatusReady })
}

func TestStopThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	b.fake.stop = func() error { return errors.New("secret detail") }
	a := b.call("POST", "/boxes/x/stop", nil)
	b.refused(a, 500, codeInternal)
	if strings.Contains(a.body, "secret") || !strings.Contains(a.body, "error_id") {
		t.Errorf("%s", a.body)
	}
}

func TestInternalOperations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	wake := func(name string, header ...string) answer {
		r := request("POST", "/v2/sandboxes/internal/start/"+name, nil)
		r.Header.Set("X-Tenant-Id", "t")
		for i := 0; i < len(header); i += 2 {
			r.Header.Del(header[i])
		}
		return b.do(r)
	}
	if a := wake("x"); a.status != 200 || decode[gen.Sandbox](t, a).ID != s.ID {
		t.Errorf("%+v", a)
	}
	b.want(204, "POST", "/boxes/x/stop", nil)
	if a := wake("sb-" + s.ID); a.status != 200 || decode[gen.Sandbox](t, a).Status != gen.StatusReady {
		t.Errorf("%+v", a)
	}
	b.want(204, "POST", "/boxes/x/stop", nil)
	b.fake.onCreate(func(context.Context, runtime.Spec) error { return errors.New("broken") })
	b.refused(wake("x"), 400, codeInvalidRequest, "broken")
	b.refused(wake("no"), 404, codeNotFound)
	b.refused(wake("x", "X-Tenant-Id", ""), 422, "", "X-Tenant-Id is required")
	twice := request("POST", "/v2/sandboxes/internal/start/x", nil)
	twice.Header["X-Tenant-Id"] = []string{"a", "b"}
	b.refused(b.do(twice), 422, "", "X-Tenant-Id is not valid")
	b.refused(b.call("POST", "/internal/activity", `{"activities":[]}`), 422, "", "activities must not be empty")
	a := b.want(200, "POST", "/internal/activity", `{"activities":[{"k8s_sandbox_name":"x","tenant_id":"t"}]}`)
	if a.body != `{"results":[{"k8s_sandbox_name":"x","track_activity":false}]}`+"\n" {
		t.Errorf("%s", a.body)
	}
}
