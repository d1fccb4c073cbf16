package sandboxserver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestVolumeLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi","wait_for_ready":true,"timeout":60}`))
	if v.ID == "" || v.Size != "1Gi" || v.StorageClass == "" || v.CreatedAt.IsZero() {
		t.Errorf("%+v", v)
	}
	dir := b.server.engine.volumeDir(v.ID)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("no directory: %v", err)
	}
	for _, ref := range []string{"data", v.ID} {
		if diff := cmp.Diff(v, decode[gen.Volume](t, b.want(200, "GET", "/volumes/"+ref, nil))); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", ref, diff)
		}
	}
	grown := decode[gen.Volume](t, b.want(200, "PATCH", "/volumes/data", `{"size":"2048Mi","name":"big data"}`))
	if grown.ID != v.ID || grown.Size != "2048Mi" || grown.Name != "big data" || grown.UpdatedAt.Before(v.UpdatedAt) {
		t.Errorf("%+v", grown)
	}
	b.want(404, "GET", "/volumes/data", nil)
	b.want(200, "PATCH", "/volumes/big%20data", `{}`)
	b.want(200, "PATCH", "/volumes/big%20data", `{"name":"big data","size":"2Gi"}`)
	if a := b.want(204, "DELETE", "/volumes/big%20data", nil); a.body != "" {
		t.Errorf("body %q", a.body)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory is left: %v", err)
	}
}

func TestVolumeRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits = Limits{Volumes: 2, StorageBytes: 10 << 30} })
	b.want(201, "POST", "/volumes", `{"name":"a","size":"4Gi"}`)
	b.want(201, "POST", "/volumes", `{"name":"b","size":"4Gi"}`)
	b.template("uses-a", map[string]any{"volume_mounts": []any{map[string]any{"volume_name": "a", "mount_path": "/data"}}})
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		words              []string
	}{
		{"POST", "/volumes", `{"name":"a","size":"1Gi"}`, 409, codeConflict, []string{`"a"`}},
		{"POST", "/volumes", `{"name":"c","size":"1Gi"}`, 429, codeQuota, []string{"volume count", "limit"}},
		{"POST", "/volumes", `{"name":"c","size":"lots"}`, 422, "", []string{"size", "512Mi"}},
		{"POST", "/volumes", `{"name":"c","size":"-1Gi"}`, 422, "", []string{"negative"}},
		{"POST", "/volumes", `{"name":"c","size":"0"}`, 422, "", []string{"greater than zero"}},
		{"POST", "/volumes", `{"name":"c","size":"99Ei"}`, 422, "", []string{"too large"}},
		{"POST", "/volumes", `{"name":"..","size":"1Gi"}`, 422, "", []string{`".."`}},
		{"POST", "/volumes", `{"name":"a/b","size":"1Gi"}`, 422, "", []string{"slash"}},
		{"POST", "/volumes", `{"size":"1Gi"}`, 422, "", []string{"name is required"}},
		{"POST", "/volumes", `{"name":"c","size":"1Gi","timeout":4}`, 422, "", []string{"timeout must be at least 5"}},
		{"POST", "/volumes", `{"name":"c","size":"1Gi","timeout":301}`, 422, "", []string{"at most 300"}},
		{"PATCH", "/volumes/a", `{"size":"3Gi"}`, 400, codeResize, []string{"4Gi", "3Gi"}},
		{"PATCH", "/volumes/a", `{"size":"7Gi"}`, 429, codeQuota, []string{"storage"}},
		{"PATCH", "/volumes/a", `{"name":"b"}`, 409, codeConflict, nil},
		{"PATCH", "/volumes/a", `{"name":"."}`, 422, "", nil},
		{"PATCH", "/volumes/a", `{"size":"x"}`, 422, "", nil},
		{"PATCH", "/volumes/no", `{"size":"7Gi"}`, 404, codeNotFound, []string{`volume "no"`}},
		{"GET", "/volumes/no", "", 404, codeNotFound, []string{`volume "no"`}},
		{"DELETE", "/volumes/no", "", 404, codeNotFound, nil},
		{"DELETE", "/volumes/a", "", 409, codeConflict, []string{"template uses-a"}},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		b.refused(b.call(c.method, c.path, body), c.status, c.code, c.words...)
	}
	if a := b.call("POST", "/volumes", `{"name":"c","size":"1Gi"}`); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// What was refused has changed nothing.
	if a := decode[gen.Volume](t, b.want(200, "GET", "/volumes/a", nil)); a.Size != "4Gi" {
		t.Errorf("%+v", a)
	}
	if u := b.usage(); u.VolumesUsed != 2 || u.StorageUsedBytes != 8<<30 || u.VolumesLimit != 2 || u.StorageLimitBytes != 10<<30 {
		t.Errorf("%+v", u)
	}
	if entries, err := os.ReadDir(filepath.Join(b.server.engine.dir, "volumes")); err != nil || len(entries) != 2 {
		t.Errorf("%v %v", entries, err)
	}
}

func TestVolumeThatCannotBeMade(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := filepath.Join(b.server.engine.dir, "volumes")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.refused(b.call("POST", "/volumes", `{"name":"c","size":"1Gi"}`), 503, codeVolumeProvisioning)
	b.want(404, "GET", "/volumes/c", nil)
}
