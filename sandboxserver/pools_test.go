package sandboxserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestPoolLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("py", nil)
	p := decode[gen.Pool](t, b.want(201, "POST", "/pools", `{"name":"warm","template_name":"py","replicas":3,"wait_for_ready":true,"timeout":30}`))
	if p.ID == "" || p.Replicas != 3 || p.TemplateName != "py" {
		t.Errorf("%+v", p)
	}
	if b.fake.running() == 0 {
		t.Error("it did not wait")
	}
	full := func(n int) {
		t.Helper()
		eventually(t, "the pool has its size", func() bool { return b.fake.running() == n })
	}
	full(3)
	waiting := b.fake.started()
	s := b.box(map[string]any{"template_name": "py", "name": "taken", "wait_for_ready": false})
	known := slices.ContainsFunc(waiting, func(w runtime.Spec) bool { return w.ID == s.ID })
	if !known || s.Status != gen.StatusReady {
		t.Errorf("%+v is not from the pool: %+v", s, waiting)
	}
	full(4)
	if own := b.box(map[string]any{"template_name": "py", "name": "own", "vcpus": 2}); own.Status != gen.StatusReady || own.VCPUs != 2 {
		t.Errorf("%+v", own)
	}
	full(5)
	got := decode[gen.Pool](t, b.want(200, "PATCH", "/pools/warm", `{"name":"hot","replicas":1}`))
	if got.Name != "hot" || got.Replicas != 1 || got.ID != p.ID {
		t.Errorf("%+v", got)
	}
	full(3)
	b.want(200, "PATCH", "/pools/hot", `{"replicas":0}`)
	full(2)
	b.want(200, "PATCH", "/pools/hot", `{"replicas":2}`)
	full(4)
	if u := b.usage(); u.SandboxPoolReplicasCount != 2 || u.SandboxDirectCount != 2 || u.SandboxesUsed != 4 || u.PoolsCount != 1 {
		t.Errorf("%+v", u)
	}
	b.want(200, "GET", "/pools/hot", nil)
	b.want(204, "DELETE", "/pools/hot", nil)
	if n := b.fake.running(); n != 2 {
		t.Errorf("%d are running", n)
	}
}

func TestPoolRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits = Limits{Sandboxes: 5, CPUMillicores: 2000, MemoryBytes: 2 << 30} })
	b.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi"}`)
	b.template("mounts", map[string]any{"volume_mounts": []any{map[string]any{"volume_name": "data", "mount_path": "/data"}}})
	b.template("py", map[string]any{"resources": map[string]any{"cpu": "100m", "memory": "1Mi"}})
	b.template("cpu", map[string]any{"resources": map[string]any{"cpu": "1", "memory": "1Mi"}})
	b.template("mem", map[string]any{"resources": map[string]any{"cpu": "1m", "memory": "1Gi"}})
	b.want(201, "POST", "/pools", `{"name":"a","template_name":"py","replicas":1}`)
	b.want(201, "POST", "/pools", `{"name":"b","template_name":"py","replicas":1}`)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		words              []string
	}{
		{"POST", "/pools", `{"name":"c","template_name":"no","replicas":1}`, 400, codeTemplateNotFound, []string{"no"}},
		{"POST", "/pools", `{"name":"c","template_name":"mounts","replicas":1}`, 400, codeValidation, []string{"volumes"}},
		{"POST", "/pools", `{"name":"a","template_name":"py","replicas":1}`, 409, codeConflict, []string{`"a"`}},
		{"POST", "/pools", `{"name":"c","template_name":"py","replicas":4}`, 429, codeQuota, []string{"sandbox limit"}},
		{"POST", "/pools", `{"name":"c","template_name":"cpu","replicas":2}`, 429, codeQuota, []string{"cpu"}},
		{"POST", "/pools", `{"name":"c","template_name":"mem","replicas":3}`, 429, codeQuota, []string{"memory"}},
		{"POST", "/pools", `{"name":"c","template_name":"py","replicas":0}`, 422, "", []string{"replicas must be at least 1"}},
		{"POST", "/pools", `{"name":"c","template_name":"py","replicas":101}`, 422, "", []string{"at most 100"}},
		{"POST", "/pools", `{"name":"Upper","template_name":"py","replicas":1}`, 422, "", []string{"lower-case"}},
		{"POST", "/pools", `{"name":"` + strings.Repeat("x", 64) + `","template_name":"py","replicas":1}`, 422, "", []string{"63"}},
		{"POST", "/pools", `{"name":"c","template_name":"py","replicas":1,"timeout":9}`, 422, "", []string{"at least 10"}},
		{"POST", "/pools", `{"name":"c","template_name":"py","replicas":1,"timeout":601}`, 422, "", []string{"at most 600"}},
		{"PATCH", "/pools/a", `{"replicas":101}`, 422, "", nil},
		{"PATCH", "/pools/a", `{"replicas":-1}`, 422, "", nil},
		{"PATCH", "/pools/a", `{"replicas":6}`, 429, codeQuota, []string{"sandbox limit"}},
		{"PATCH", "/pools/a", `{"name":"b"}`, 409, codeConflict, nil},
		{"PATCH", "/pools/no", `{"name":"b"}`, 404, codeNotFound, []string{`pool "no"`}},
		{"GET", "/pools/no", "", 404, codeNotFound, nil},
		{"DELETE", "/pools/no", "", 404, codeNotFound, nil},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		b.refused(b.call(c.method, c.path, body), c.status, c.code, c.words...)
	}
	if p := decode[gen.Pool](t, b.want(200, "GET", "/pools/a", nil)); p.Replicas != 1 {
		t.Errorf("%+v", p)
	}
}

func TestPoolRefillWaitsForQuota(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits = Limits{Sandboxes: 2} })
	b.template("py", nil)
	b.want(201, "POST", "/pools", `{"name":"warm","template_name":"py","replicas":2}`)
	eventually(t, "the pool is full", func() bool {
		b.server.engine.mu.Lock()
		defer b.server.engine.mu.Unlock()
		return len(b.server.engine.pools.byName["warm"].ready) == 2
	})
	b.box(map[string]any{"name": "a", "template_name": "py"})
	b.box(map[string]any{"name": "b", "template_name": "py"})
	b.refused(b.call("POST", "/boxes", `{"template_name":"py"}`), 429, codeQuota, "sandbox limit")
	b.want(204, "DELETE", "/boxes/a", nil)
	eventually(t, "what became free is used", func() bool { return b.fake.running() == 2 })
}

func TestPoolHealsItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("py", nil)
	b.want(201, "POST", "/pools", `{"name":"warm","template_name":"py","replicas":1}`)
	first := b.fake.started()[0].ID
	b.fake.find(first).end()
	eventually(t, "another one takes its place", func() bool { return len(b.fake.started()) == 2 && b.fake.running() == 1 })
	eventually(t, "it is entered", func() bool { return b.usage().SandboxRunningCount == 1 })
	second := b.fake.started()[1].ID
	if s := b.box(map[string]any{"template_name": "py"}); s.ID != second {
		t.Errorf("%+v, want %s", s, second)
	}
}

func TestPoolOfGoneClientStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("py", nil)
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
	go func() {
		ended <- b.do(request("POST", "/v2/sandboxes/pools", `{"name":"warm","template_name":"py","replicas":1}`).WithContext(ctx))
	}()
	eventually(t, "it is there", func() bool { return b.call("GET", "/pools/warm", nil).status == 200 })
	cancel()
	<-ended
	close(block)
	eventually(t, "it fills", func() bool { return b.fake.running() == 1 })
	b.want(200, "GET", "/pools/warm", nil)
}

func TestPoolDeletedWhileItStarts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("py", nil)
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error { <-ctx.Done(); return ctx.Err() })
	ended := make(chan answer)
	go func() { ended <- b.call("POST", "/pools", `{"name":"warm","template_name":"py","replicas":2}`) }()
	eventually(t, "it is there", func() bool { return b.call("GET", "/pools/warm", nil).status == 200 })
	b.want(204, "DELETE", "/pools/warm", nil)
	b.refused(<-ended, 409, codeConflict, "deleted")
	b.want(204, "DELETE", "/templates/py", nil)
}

func TestStartProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{errors.New("no such namespace"), 422, codeSandboxConfig},
		{syscall.ENOMEM, 503, codeUnschedulable},
		{syscall.ENOSPC, 503, codeUnschedulable},
		{context.DeadlineExceeded, 408, codeTimeout},
		{runtime.ErrClosed, 503, codeUnavailable},
	} {
		b := newBench(t)
		b.fake.onCreate(func(context.Context, runtime.Spec) error { return c.err })
		b.refused(b.call("POST", "/boxes", `{"name":"x"}`), c.status, c.code)
		b.want(404, "GET", "/boxes/x", nil)
		if u := b.usage(); u.SandboxesUsed != 0 {
			t.Errorf("%+v", u)
		}
	}
}
