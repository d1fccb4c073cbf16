package sandboxserver

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestTemplateLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi"}`)
	tpl := decode[gen.Template](t, b.want(201, "POST", "/templates", `{"name":"py","image":"python:3.12-slim",
		"resources":{"storage":"1Gi"},"volume_mounts":[{"volume_name":"data","mount_path":"/data"}]}`))
	if tpl.Resources != (gen.ResourceSpec{CPU: "500m", Memory: "512Mi", Storage: "1Gi"}) || tpl.Image != "python:3.12-slim" || tpl.ID == "" {
		t.Errorf("%+v", tpl)
	}
	if got := decode[gen.Template](t, b.want(200, "GET", "/templates/py", nil)); !cmp.Equal(got, tpl) {
		t.Error(cmp.Diff(tpl, got))
	}
	b.want(200, "PATCH", "/volumes/data", `{"name":"renamed"}`)
	got := decode[gen.Template](t, b.want(200, "PATCH", "/templates/py", `{"name":"python"}`))
	if got.ID != tpl.ID || got.Name != "python" || got.VolumeMounts[0].VolumeName != "renamed" {
		t.Errorf("%+v", got)
	}
	b.want(404, "GET", "/templates/py", nil)
	b.want(200, "PATCH", "/templates/python", `{}`)
	b.want(204, "DELETE", "/templates/python", nil)
	b.want(204, "DELETE", "/volumes/renamed", nil)
}

func TestTemplateRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits = Limits{CPUMillicores: 4000, MemoryBytes: 8 << 30} })
	b.want(201, "POST", "/volumes", `{"name":"data","size":"1Gi"}`)
	b.want(201, "POST", "/volumes", `{"name":"more","size":"1Gi"}`)
	b.template("used", nil)
	b.template("other", nil)
	b.box(map[string]any{"name": "user", "template_name": "used"})
	b.want(201, "POST", "/pools", `{"name":"warm","template_name":"used","replicas":1}`)
	mounts := func(m ...string) string {
		var list []string
		for i := 0; i < len(m); i += 2 {
			list = append(list, `{"volume_name":"`+m[i]+`","mount_path":"`+m[i+1]+`"}`)
		}
		return `{"name":"t","image":"i","volume_mounts":[` + strings.Join(list, ",") + `]}`
	}
	for _, c := range []struct {
		body  string
		place string
		words string
	}{
		{`{"name":"t","image":""}`, "body.image", "must not be empty"},
		{`{"image":"i"}`, "body.name", "is required"},
		{`{"name":"..","image":"i"}`, "body.name", ".."},
		{`{"name":"t","image":"i","resources":{"cpu":"much"}}`, "body.resources.cpu", "must be a number"},
		{`{"name":"t","image":"i","resources":{"cpu":"0"}}`, "body.resources.cpu", "greater than zero"},
		{`{"name":"t","image":"i","resources":{"cpu":"4001m"}}`, "body.resources.cpu", "more than this server has"},
		{`{"name":"t","image":"i","resources":{"memory":"1Zi"}}`, "body.resources.memory", "must be a number"},
		{`{"name":"t","image":"i","resources":{"memory":"9Gi"}}`, "body.resources.memory", "more than"},
		{`{"name":"t","image":"i","resources":{"storage":"-1"}}`, "body.resources.storage", "negative"},
		{`{"name":"t","image":"i","registry_name":"private"}`, "body.registry_name", "private"},
		{mounts("nope", "/data"), "body.volume_mounts.0.volume_name", "nope"},
		{mounts("data", "/data", "more", "data2"), "body.volume_mounts.1.mount_path", "start with a slash"},
		{mounts("data", "/"), "body.volume_mounts.0.mount_path", "at /"},
		{mounts("data", "/a/../b"), "body.volume_mounts.0.mount_path", "absolute"},
		{mounts("data", "/a/"), "body.volume_mounts.0.mount_path", "trailing"},
		{mounts("data", "//a"), "body.volume_mounts.0.mount_path", "doubled"},
		{mounts("data", "/usr"), "body.volume_mounts.0.mount_path", "/usr"},
		{mounts("data", "/proc/x"), "body.volume_mounts.0.mount_path", "/proc"},
		{mounts("data", "/dev"), "body.volume_mounts.0.mount_path", "/dev"},
		{mounts("data", "/sys"), "body.volume_mounts.0.mount_path", "/sys"},
		{mounts("data", "/d", "more", "/d"), "body.volume_mounts.1.mount_path", "overlaps"},
		{mounts("data", "/d", "more", "/d/e"), "body.volume_mounts.1.mount_path", "overlaps"},
		{mounts("data", "/d", "data", "/e"), "body.volume_mounts.1.volume_name", "twice"},
		{`{"name":"t","image":"i","proxy_config":{"access_control":{"allow_list":["a"],"deny_list":["b"]}}}`, "body.proxy_config.access_control", "exclude"},
	} {
		a := b.call("POST", "/templates", c.body)
		b.refused(a, 422, "", c.words)
		if got := a.places(t); !slices.Equal(got, []string{c.place}) {
			t.Errorf("%s: at %v, want %s", c.body, got, c.place)
		}
	}
	b.refused(b.call("POST", "/templates", `{"name":"used","image":"i"}`), 409, codeConflict, "used")
	b.refused(b.call("PATCH", "/templates/used", `{"name":"other"}`), 409, codeConflict, "other")
	b.refused(b.call("PATCH", "/templates/used", `{"name":".."}`), 422, "")
	b.refused(b.call("PATCH", "/templates/no", `{"name":"other"}`), 404, codeNotFound, `template "no"`)
	b.refused(b.call("GET", "/templates/no", nil), 404, codeNotFound)
	b.refused(b.call("DELETE", "/templates/no", nil), 404, codeNotFound)
	b.refused(b.call("DELETE", "/templates/used", nil), 409, codeConflict, "sandbox user", "pool warm")

	a := b.want(200, "POST", "/templates/batch-delete", `{"names":["other","used","no"]}`)
	got := decode[gen.BatchDeleteResult](t, a)
	if !slices.Equal(got.Deleted, []string{"other"}) || len(got.Skipped) != 2 || !strings.Contains(got.Skipped[0].Reason, "pool warm") {
		t.Errorf("%+v", got)
	}
	if a := b.want(200, "POST", "/templates/batch-delete", `{"names":[]}`); a.body != `{"deleted":[],"skipped":[]}`+"\n" {
		t.Errorf("%s", a.body)
	}
	b.refused(b.call("POST", "/templates/batch-delete", `{}`), 422, "", "names is required")
}

func TestTemplateRenameBreaksNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("old", nil)
	b.want(201, "POST", "/pools", `{"name":"warm","template_name":"old","replicas":1}`)
	b.box(map[string]any{"name": "first", "template_name": "old"})
	b.want(200, "PATCH", "/templates/old", `{"name":"new"}`)
	if p := decode[gen.Pool](t, b.want(200, "GET", "/pools/warm", nil)); p.TemplateName != "new" {
		t.Errorf("%+v", p)
	}
	if s := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/first", nil)); s.TemplateName != "new" {
		t.Errorf("%+v", s)
	}
	b.refused(b.call("POST", "/boxes", `{"template_name":"old"}`), 400, codeTemplateNotFound, "old")
	b.box(map[string]any{"template_name": "new"})
	b.want(409, "DELETE", "/templates/new", nil)
}

func TestProxySecrets(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	b := newBench(t, logTo(&log))
	secret := func(value string) string {
		return `{"rules":[{"name":"r","match_hosts":["*"],"headers":[` +
			`{"name":"H","type":"opaque"` + value + `},{"name":"P","type":"plaintext","value":"open"}]}],
			"callbacks":[{"match_hosts":["*"],"url":"https://cb.example","ttl_seconds":60,"request_headers":[{"name":"C","type":"opaque"` + value + `}]}]}`
	}
	hidden := func(a answer) {
		t.Helper()
		if strings.Contains(a.body, "s3cret") || strings.Count(a.body, `"is_set":true`) != 2 || !strings.Contains(a.body, "open") {
			t.Errorf("%s", a.body)
		}
	}
	hidden(b.want(201, "POST", "/templates", `{"name":"t","image":"i","proxy_config":`+secret(`,"value":"s3cret"`)+`}`))
	hidden(b.want(200, "GET", "/templates/t", nil))
	hidden(b.want(201, "POST", "/boxes", `{"name":"s","template_name":"t"}`))
	// A client that sends back what it got keeps the value.
	hidden(b.want(200, "PATCH", "/boxes/s", `{"proxy_config":`+secret(`,"is_set":true`)+`}`))
	stored := b.server.engine.boxes.byName["s"].proxy
	if stored.Rules[0].Headers[0].Value != "s3cret" || stored.Callbacks[0].RequestHeaders[0].Value != "s3cret" {
		t.Error("the secret is lost")
	}
	hidden(b.want(200, "PATCH", "/boxes/s", `{"idle_ttl_seconds":60}`))
	other := strings.ReplaceAll(secret(`,"is_set":true`), `"name":"H"`, `"name":"Z"`)
	b.refused(b.call("PATCH", "/boxes/s", `{"proxy_config":`+other+`}`), 422, "", "no value is stored")
	b.refused(b.call("PATCH", "/boxes/s", `{"proxy_config":{"callbacks":[{"match_hosts":["*"],"url":"ftp://x","ttl_seconds":60}]}}`), 422, "", "http")
	if a := b.want(200, "PATCH", "/boxes/s", `{"proxy_config":{"rules":[]}}`); strings.Contains(a.body, "is_set") {
		t.Errorf("%s", a.body)
	}
	if strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), testKey) {
		t.Error("secrets in the log")
	}
}
