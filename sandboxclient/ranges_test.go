package sandboxclient_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestRanges: the first and the last value that is taken, and those next to
// them, which are refused before any request.
func TestRanges(t *testing.T) {
	t.Parallel()
	type c = *sandboxclient.Client
	ctx := t.Context()
	create := func(set func(*sandboxclient.CreateSandbox, int)) func(c, int) error {
		return func(c c, v int) error {
			req := &sandboxclient.CreateSandbox{}
			set(req, v)
			return second(c.Create(ctx, req))
		}
	}
	update := func(set func(*sandboxclient.SandboxUpdate, int)) func(c, int) error {
		return func(c c, v int) error {
			req := &sandboxclient.SandboxUpdate{}
			set(req, v)
			return second(c.Update(ctx, "a", req))
		}
	}
	tests := map[string]struct {
		call     func(c, int) error
		taken    []int
		refused  []int
		argument string
	}{
		"pool replicas": {func(c c, v int) error {
			return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: v}))
		}, []int{1, 100}, []int{-1, 0, 101, math.MaxInt32}, "replicas"},
		"pool replicas, update": {func(c c, v int) error {
			return second(c.Pools.Update(ctx, "p", &sandboxclient.PoolUpdate{Replicas: &v}))
		}, []int{0, 1, 100}, []int{-1, 101}, "replicas"},
		"pool timeout": {func(c c, v int) error {
			return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 1, Timeout: v}))
		}, []int{0, 10, 600}, []int{-1, 1, 9, 601}, "timeout"},
		"volume timeout": {func(c c, v int) error {
			return second(c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "v", Size: "1Gi", Timeout: v}))
		}, []int{0, 5, 300}, []int{-1, 4, 301}, "timeout"},
		"sandbox timeout":       {create(func(r *sandboxclient.CreateSandbox, v int) { r.Timeout = v }), []int{0, 1, 3600}, []int{-1}, "timeout"},
		"TTL":                   {create(func(r *sandboxclient.CreateSandbox, v int) { r.TTLSeconds = &v }), []int{0, 60, 86400}, []int{-60, -1, 1, 59, 61, 90}, "TTL"},
		"idle TTL":              {create(func(r *sandboxclient.CreateSandbox, v int) { r.IdleTTLSeconds = &v }), []int{0, 60, 600}, []int{-60, -1, 1, 59, 61}, "idle TTL"},
		"TTL, update":           {update(func(r *sandboxclient.SandboxUpdate, v int) { r.TTLSeconds = &v }), []int{0, 60}, []int{-60, 1, 61}, "TTL"},
		"idle TTL, update":      {update(func(r *sandboxclient.SandboxUpdate, v int) { r.IdleTTLSeconds = &v }), []int{0, 60}, []int{-60, 1, 61}, "idle TTL"},
		"CPUs":                  {create(func(r *sandboxclient.CreateSandbox, v int) { r.VCPUs = v }), []int{0, 1}, []int{-1}, "number of CPUs"},
		"CPUs, update":          {update(func(r *sandboxclient.SandboxUpdate, v int) { r.VCPUs = v }), []int{0, 1}, []int{-1}, "number of CPUs"},
		"memory":                {create(func(r *sandboxclient.CreateSandbox, v int) { r.MemBytes = int64(v) }), []int{0, 1}, []int{-1}, "memory"},
		"memory, update":        {update(func(r *sandboxclient.SandboxUpdate, v int) { r.MemBytes = int64(v) }), []int{0, 1}, []int{-1}, "memory"},
		"disk":                  {create(func(r *sandboxclient.CreateSandbox, v int) { r.FSCapacityBytes = int64(v) }), []int{0, 1}, []int{-1}, "disk"},
		"disk, update":          {update(func(r *sandboxclient.SandboxUpdate, v int) { r.FSCapacityBytes = int64(v) }), []int{0, 1}, []int{-1}, "disk"},
		"pool timeout, no wait": {poolWithoutWait(t), []int{0, 10}, []int{9, 601}, "timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range tt.taken {
				f := &fake{answer: always(200, "{}")}
				if err := tt.call(client(t, f), v); err != nil || len(f.requests()) != 1 {
					t.Errorf("%d: %d requests, error %v", v, len(f.requests()), err)
				}
			}
			for _, v := range tt.refused {
				f := &fake{answer: always(200, "{}")}
				err := tt.call(client(t, f), v)
				if arg, ok := errors.AsType[*sandboxclient.ArgumentError](err); !ok || arg.Argument != tt.argument || len(f.requests()) != 0 {
					t.Errorf("%d: %d requests, error %v; want one about %s", v, len(f.requests()), err, tt.argument)
				}
			}
		})
	}
}

func poolWithoutWait(t *testing.T) func(*sandboxclient.Client, int) error {
	t.Helper()
	return func(c *sandboxclient.Client, v int) error {
		return second(c.Pools.Create(t.Context(), &sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 1, Timeout: v, WaitForReady: new(false)}))
	}
}

// TestSources: at most one says what a sandbox is made from.
func TestSources(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		req   sandboxclient.CreateSandbox
		taken bool
	}{
		{sandboxclient.CreateSandbox{}, true},
		{sandboxclient.CreateSandbox{TemplateName: "t"}, true},
		{sandboxclient.CreateSandbox{SnapshotID: "i"}, true},
		{sandboxclient.CreateSandbox{SnapshotName: "n"}, true},
		{sandboxclient.CreateSandbox{TemplateName: "t", SnapshotID: "i"}, false},
		{sandboxclient.CreateSandbox{TemplateName: "t", SnapshotName: "n"}, false},
		{sandboxclient.CreateSandbox{SnapshotID: "i", SnapshotName: "n"}, false},
		{sandboxclient.CreateSandbox{TemplateName: "t", SnapshotID: "i", SnapshotName: "n"}, false},
	} {
		f := &fake{answer: always(201, `{"status":"ready"}`)}
		c := client(t, f)
		_, createErr := c.Create(t.Context(), &tt.req)
		_, scopeErr := c.Ephemeral(t.Context(), &tt.req)
		for _, err := range []error{createErr, scopeErr} {
			if (err == nil) != tt.taken || errors.Is(err, sandboxclient.ErrInvalid) == tt.taken {
				t.Errorf("%+v: error %v", tt.req, err)
			}
		}
		if sent := len(f.requests()) != 0; sent != tt.taken {
			t.Errorf("%+v: sent: %t", tt.req, sent)
		}
	}
}

// TestProxyRules that contradict themselves are refused, on a create and on an
// update.
func TestProxyRules(t *testing.T) {
	t.Parallel()
	for want, proxy := range map[string]sandboxclient.ProxyConfig{
		"both an allow list and a deny list": {AccessControl: sandboxclient.AccessControl{AllowList: []string{"a"}, DenyList: []string{"b"}}},
		"name of a proxy rule is empty":      {Rules: []sandboxclient.ProxyRule{{Name: "a"}, {MatchHosts: []string{"h"}}}},
	} {
		f := &fake{answer: always(200, "{}")}
		c := client(t, f)
		_, createErr := c.Create(t.Context(), &sandboxclient.CreateSandbox{ProxyConfig: proxy})
		_, updateErr := c.Update(t.Context(), "a", &sandboxclient.SandboxUpdate{ProxyConfig: proxy})
		for _, err := range []error{createErr, updateErr} {
			if !errors.Is(err, sandboxclient.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
		if len(f.requests()) != 0 {
			t.Errorf("%q: %d requests", want, len(f.requests()))
		}
	}
	f := &fake{answer: always(200, "{}")}
	for _, access := range []sandboxclient.AccessControl{{AllowList: []string{"a"}}, {DenyList: []string{"b"}}, {}} {
		if _, err := client(t, f).Create(t.Context(), &sandboxclient.CreateSandbox{ProxyConfig: sandboxclient.ProxyConfig{AccessControl: access}}); err != nil {
			t.Errorf("%+v: %v", access, err)
		}
	}
}

// TestMounts: what a template mounts has a name and an absolute path.
func TestMounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mount sandboxclient.VolumeMount
		want  string
	}{
		{sandboxclient.VolumeMount{VolumeName: "v", MountPath: "/data"}, ""},
		{sandboxclient.VolumeMount{VolumeName: "v", MountPath: "data"}, `mount path is "data", not an absolute path`},
		{sandboxclient.VolumeMount{VolumeName: "v"}, `mount path is ""`},
		{sandboxclient.VolumeMount{VolumeName: "v", MountPath: "./data"}, "not an absolute path"},
		{sandboxclient.VolumeMount{MountPath: "/data"}, "volume name is empty"},
		{sandboxclient.VolumeMount{VolumeName: "..", MountPath: "/data"}, `volume name is ".."`},
	} {
		f := &fake{answer: always(200, "{}")}
		good := sandboxclient.VolumeMount{VolumeName: "w", MountPath: "/w"}
		_, err := client(t, f).Templates.Create(t.Context(), &sandboxclient.CreateTemplate{Name: "t", Image: "i", VolumeMounts: []sandboxclient.VolumeMount{good, tt.mount}})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || len(f.requests()) != 0) {
			t.Errorf("%+v: %d requests, error %v, want %q", tt.mount, len(f.requests()), err, tt.want)
		}
	}
}

// TestNoBatch: there is nothing to ask for then.
func TestNoBatch(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(500, "{}")}
	c := client(t, f)
	templates, err := c.Templates.DeleteBatch(t.Context())
	sandboxes, err2 := c.DeleteBatch(t.Context())
	if err := errors.Join(err, err2); err != nil || len(templates.Deleted)+len(sandboxes.Deleted) != 0 || len(f.requests()) != 0 {
		t.Errorf("%v, %v, error %v after %d requests", templates, sandboxes, err, len(f.requests()))
	}
}

// TestSandboxesFromNothing: a nil request leaves everything to the server.
func TestSandboxesFromNothing(t *testing.T) {
	t.Parallel()
	for _, op := range []func(*sandboxclient.Client) error{
		func(c *sandboxclient.Client) error { return second(c.Create(t.Context(), nil)) },
		func(c *sandboxclient.Client) error { return second(c.Update(t.Context(), "a", nil)) },
		func(c *sandboxclient.Client) error { return last(c.List(t.Context(), nil)) },
	} {
		f := &fake{answer: always(200, `{}`)}
		if err := op(client(t, f)); err != nil || len(f.requests()) != 1 {
			t.Errorf("%d requests, error %v", len(f.requests()), err)
		}
	}
}
