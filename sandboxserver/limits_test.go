package sandboxserver

import (
	"testing"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// TestLimits: what was asked for limits, what is only assumed does not.
func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("py", map[string]any{"resources": map[string]any{"cpu": "250m", "memory": "64Mi", "storage": "3Mi"}})
	b.want(201, "POST", "/volumes", map[string]any{"name": "v", "size": "9Mi"})
	b.template("mounted", map[string]any{
		"resources": map[string]any{"storage": "3Mi"}, "volume_mounts": []any{map[string]any{"volume_name": "v", "mount_path": "/data"}},
	})
	for _, c := range []struct {
		body map[string]any
		want runtime.Limits
	}{
		{map[string]any{}, runtime.Limits{PIDs: maxProcesses}},
		{map[string]any{"cpu_millicores": 1500}, runtime.Limits{CPUMillicores: 1500, PIDs: maxProcesses}},
		{map[string]any{"mem_bytes": 2 << 30, "vcpus": 1}, runtime.Limits{CPUMillicores: 1000, MemoryBytes: 2 << 30, PIDs: maxProcesses}},
		{map[string]any{"template_name": "py"}, runtime.Limits{CPUMillicores: 250, MemoryBytes: 64 << 20, PIDs: maxProcesses, FileBytes: 3 << 20}},
		{map[string]any{"fs_capacity_bytes": 5 << 20}, runtime.Limits{PIDs: maxProcesses, FileBytes: 5 << 20}},
		{map[string]any{"template_name": "py", "fs_capacity_bytes": 5 << 20}, runtime.Limits{CPUMillicores: 250, MemoryBytes: 64 << 20, PIDs: maxProcesses, FileBytes: 5 << 20}},
		{map[string]any{"template_name": "mounted"}, runtime.Limits{CPUMillicores: 500, MemoryBytes: 512 << 20, PIDs: maxProcesses, FileBytes: 9 << 20}},
	} {
		s := b.box(c.body)
		if got := b.fake.find(s.ID).spec.Limits; got != c.want {
			t.Errorf("%v: %+v", c.body, got)
		}
	}
	b.want(201, "POST", "/pools", map[string]any{"name": "p", "template_name": "py", "replicas": 1})
	if got := b.fake.find(b.box(map[string]any{"template_name": "py"}).ID).spec.Limits; got.MemoryBytes != 64<<20 || got.CPUMillicores != 250 || got.FileBytes != 3<<20 {
		t.Errorf("from a pool: %+v", got)
	}
}
