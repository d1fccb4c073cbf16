package sandboxserver

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestVolumeInBytes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"data","size_bytes":1073741825,"description":"d","labels":{"team":"a"}}`))
	if v.SizeBytes != 2<<30 || v.Size != "2Gi" || v.Description != "d" || v.Labels["team"] != "a" {
		t.Errorf("%+v", v)
	}
	old := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"old","size":"1500Mi"}`))
	if old.SizeBytes != 1500<<20 || old.Size != "1500Mi" {
		t.Errorf("%+v", old)
	}
	changed := decode[gen.Volume](t, b.want(200, "PATCH", "/volumes/"+v.ID, `{"description":"","labels":{}}`))
	if changed.Description != "" || len(changed.Labels) != 0 || changed.SizeBytes != v.SizeBytes {
		t.Errorf("%+v", changed)
	}
	first := decode[gen.VolumeList](t, b.want(200, "GET", "/volumes?page_size=1", nil))
	if len(first.Items) != 1 || first.Items[0].Name != "old" || first.NextCursor == "" {
		t.Fatalf("%+v", first)
	}
	second := decode[gen.VolumeList](t, b.want(200, "GET", "/volumes?page_size=1&cursor="+first.NextCursor, nil))
	if len(second.Items) != 1 || second.Items[0].Name != "data" || second.NextCursor != "" {
		t.Errorf("%+v", second)
	}
	if l := decode[gen.VolumeList](t, b.want(200, "GET", "/volumes?name_contains=ol", nil)); len(l.Volumes) != 1 {
		t.Errorf("%+v", l)
	}
	for _, body := range []string{
		`{"name":"x"}`, `{"name":"x","size":"1Gi","size_bytes":1}`, `{"name":"x","size_bytes":0}`, `{"name":"x","size_bytes":-1}`,
		`{"name":"x","size_bytes":9223372036854775807}`, `{"name":"x","size_bytes":1,"labels":{"com.langchain.x":"y"}}`,
	} {
		b.refused(b.call("POST", "/volumes", body), 422, "")
	}
	b.refused(b.call("PATCH", "/volumes/data", `{"labels":{"com.langchain.x":"y"}}`), 422, "", "reserved")
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := decode[gen.Volume](t, b.want(201, "POST", "/volumes", `{"name":"data","size_bytes":1}`))
	b.want(201, "POST", "/volumes", `{"name":"other","size_bytes":1}`)
	box := decode[gen.Sandbox](t, b.want(201, "POST", "/boxes", `{"name":"a","volumes":[{"volume":"data","mount_path":"/data","read_only":true},{"volume":"other","mount_path":"/other"}]}`))
	want := []gen.AttachedVolume{{VolumeID: v.ID, VolumeName: "data", MountPath: "/data", ReadOnly: true}}
	if diff := cmp.Diff(want, box.Volumes[:1]); diff != "" || len(box.Volumes) != 2 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mount := runtime.Mount{Source: b.server.engine.volumeDir(v.ID), Target: "/data", ReadOnly: true}
	if got := b.fake.specs[0].Mounts; len(got) != 2 || got[0] != mount || got[1].ReadOnly {
		t.Errorf("mounted %+v", got)
	}
	// Readers share a volume; a writer has it alone, running or stopped.
	b.want(201, "POST", "/boxes", `{"name":"b","volumes":[{"volume":"`+v.ID+`","mount_path":"/d","read_only":true}]}`)
	b.refused(b.call("POST", "/boxes", `{"volumes":[{"volume":"data","mount_path":"/d"}]}`), 409, codeConflict, "sandbox a")
	b.want(204, "POST", "/boxes/a/stop", nil)
	b.refused(b.call("POST", "/boxes", `{"volumes":[{"volume":"other","mount_path":"/d","read_only":true}]}`), 409, codeConflict, "sandbox a")
	b.refused(b.call("DELETE", "/volumes/other", nil), 409, codeConflict, "sandbox a")
	got := decode[gen.Volume](t, b.want(200, "GET", "/volumes/data", nil)).Attachments
	slices.SortFunc(got, func(x, y gen.VolumeAttachment) int { return len(y.MountPath) - len(x.MountPath) })
	if len(got) != 2 || got[0] != (gen.VolumeAttachment{SandboxID: box.ID, SandboxName: "a", MountPath: "/data", ReadOnly: true}) {
		t.Errorf("%+v", got)
	}
	b.want(204, "DELETE", "/boxes/a", nil)
	b.want(204, "DELETE", "/volumes/other", nil)
}

func TestAttachmentRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a", "b", "c"} {
		b.want(201, "POST", "/volumes", `{"name":"`+name+`","size_bytes":1}`)
	}
	b.template("uses-a", map[string]any{"volume_mounts": []any{map[string]any{"volume_name": "a", "mount_path": "/data"}}})
	for _, c := range []struct{ volumes, word string }{
		{`[{"volume":"no","mount_path":"/x"}]`, `"no" not found`},
		{`[{"volume":"b","mount_path":"x"}]`, "mount_path"},
		{`[{"volume":"b","mount_path":"/etc"}]`, "/etc"},
		{`[{"volume":"b","mount_path":"/x"},{"volume":"c","mount_path":"/x/y"}]`, "overlaps"},
		{`[{"volume":"b","mount_path":"/x"},{"volume":"b","mount_path":"/y"}]`, "twice"},
		{`[{"volume":"b","mount_path":"/data/x"}]`, "overlaps"},
		{`[{"volume":"a","mount_path":"/x"}]`, "twice"},
		{`[{"volume":"a","mount_path":"/1"},{"volume":"a","mount_path":"/2"},{"volume":"a","mount_path":"/3"},{"volume":"a","mount_path":"/4"},{"volume":"a","mount_path":"/5"}]`, "4"},
	} {
		b.refused(b.call("POST", "/boxes", `{"template_name":"uses-a","volumes":`+c.volumes+`}`), 422, "", c.word)
	}
	if n := len(b.fake.specs); n != 0 {
		t.Errorf("%d started", n)
	}
}
