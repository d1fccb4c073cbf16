package sandboxserver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestTraitsAreReturned(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{
		"name": "x", "labels": map[string]any{"team": "a", "tier": ""}, "cpu_millicores": 1500, "vcpus": 4, "delete_after_stop_seconds": 0,
		"env_vars":   map[string]any{"TOKEN": "hunter2"},
		"run_config": map[string]any{"user": "root", "work_dir": "/srv", "env_vars": map[string]any{"A": "1", "B": "2"}},
	})
	if !cmp.Equal(s.Labels, map[string]string{"team": "a", "tier": ""}) || s.VCPUs != 4 || s.CPUMillicores != 1500 || s.DeleteAfterStopSeconds != 0 ||
		s.Persistent == nil || !*s.Persistent || !s.StoppedAt.IsZero() {
		t.Errorf("%+v", s)
	}
	if u := b.usage(); u.CPUUsedMillicores != 1500 {
		t.Errorf("%d millicores are counted", u.CPUUsedMillicores)
	}
	a := b.want(200, "PATCH", "/boxes/x", `{"run_config":{"work_dir":"/tmp","env_vars":{"B":"3"}},"vcpus":2,"delete_after_stop_seconds":120}`)
	got := decode[gen.Sandbox](t, a)
	want := gen.RunConfig{User: "root", WorkDir: "/tmp", EnvVars: map[string]string{"A": "1", "B": "3"}}
	if !cmp.Equal(got.RunConfig, want) || got.VCPUs != 2 || got.CPUMillicores != 0 || got.DeleteAfterStopSeconds != 120 {
		t.Errorf("%+v", got)
	}
	if u := b.usage(); u.CPUUsedMillicores != 2000 {
		t.Errorf("%d millicores are counted", u.CPUUsedMillicores)
	}
	if strings.Contains(a.body+b.call("GET", "/boxes", nil).body, "hunter2") {
		t.Error("env_vars came back")
	}
	b.want(204, "POST", "/boxes/x/stop", nil)
	if s := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/x", nil)); time.Since(s.StoppedAt) > time.Minute {
		t.Errorf("stopped at %v", s.StoppedAt)
	}
	if s := decode[gen.Sandbox](t, b.want(202, "POST", "/boxes/x/start", nil)); !s.StoppedAt.IsZero() {
		t.Errorf("still stopped at %v", s.StoppedAt)
	}
}

func TestTraitRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct{ body, place, words string }{
		{`{"snapshot":"a","snapshot_name":"b"}`, "body.snapshot", "exclude each other"},
		{`{"snapshot_id":"a","snapshot":"b"}`, "body.snapshot", "exclude each other"},
		{`{"delete_after_stop_seconds":90}`, "body.delete_after_stop_seconds", "multiple of 60"},
		{`{"cpu_millicores":0}`, "body.cpu_millicores", "at least 1"},
		{`{"cpu_millicores":65536001}`, "body.cpu_millicores", "at most"},
		{`{"labels":{"a":1}}`, "body.labels.a", "a string"},
		{`{"labels":{"com.langchain.x":"y"}}`, "body.labels.com.langchain.x", "reserved"},
		{`{"env_vars":{"A=B":"hunter2"}}`, "body.env_vars.A=B", "names without ="},
		{`{"run_config":{"work_dir":"tmp"}}`, "body.run_config.work_dir", "absolute"},
		{`{"run_config":{"env_vars":{"":"hunter2"}}}`, "body.run_config.env_vars.", "names without ="},
		{`{"persistent":false,"preserve_memory_on_stop":true}`, "body.preserve_memory_on_stop", "persistent"},
		{`{"proxy_config":{"rules":[{"name":"r","type":"aws"}]}}`, "body.proxy_config.rules.0.type", "needs the member"},
		{`{"proxy_config":{"rules":[{"name":"r","env_vars":{"A=":"hunter2"}}]}}`, "body.proxy_config.rules.0.env_vars.A=", "names without ="},
		{`{"mount_config":{"mounts":[{"id":"a b","type":"nfs","mount_path":"m"}]}}`, "", ""},
		{`{"access_delegation":{"mode":"ALL"}}`, "body.access_delegation.mode", "INHERIT"},
	} {
		a := b.call("POST", "/boxes", c.body)
		b.refused(a, 422, "", c.words)
		if got := a.places(t); c.place != "" && !slices.Equal(got, []string{c.place}) {
			t.Errorf("%s: %v", c.body, got)
		}
		if strings.Contains(a.body, "hunter2") {
			t.Errorf("the value came back: %s", a.body)
		}
	}
	for body, words := range map[string]string{
		`{"preserve_memory_on_stop":true}`: "memory",
		`{"mount_config":{"mounts":[{"id":"m","type":"git","mount_path":"/m","git":{"remote_url":"https://g.test/o/r"}}]}}`: "mount_config",
		`{"mount_config":{"auth":{"aws":{"role_arn":"arn"}}}}`:                                                              "mount_config",
		`{"proxy_config":{"rules":[{"name":"r","type":"aws","aws":{"role_arn":"arn"}}]}}`:                                   "credentials",
		`{"proxy_config":{"rules":[{"name":"r","type":"gcp","gcp":{"scopes":["s"]}}]}}`:                                     "credentials",
		`{"proxy_config":{"rules":[{"name":"r","type":"azure","azure":{"tenant_id":"t"}}]}}`:                                "credentials",
		`{"proxy_config":{"rules":[{"name":"r","type":"relay","relay_id":"r"}]}}`:                                           "relays",
		`{"proxy_config":{"rules":[{"name":"r","rewrite":{"port":1,"host":"h"}}]}}`:                                         "rewrites",
		`{"restore_memory":true}`:                     "restore_memory",
		`{"access_delegation":{"mode":"INHERIT"}}`:    "access_delegation",
		`{"run_config":{"user":"nobody"}}`:            "run_config.user",
		`{"name":"x","run_config":{"user":"1000:0"}}`: "run_config.user",
	} {
		b.refused(b.call("POST", "/boxes", body), 501, codeNotSupported, words)
	}
	b.refused(b.call("POST", "/boxes", `{"snapshot":"none"}`), 400, codeSnapshotNotFound)
	b.box(map[string]any{"name": "x", "restore_memory": nil, "persistent": true})
	b.refused(b.call("PATCH", "/boxes/x", `{"name":"y","run_config":{"user":"nobody"}}`), 501, codeNotSupported)
	b.refused(b.call("PATCH", "/boxes/x", `{"name":"y","run_config":{"work_dir":"tmp"}}`), 422, "")
	b.want(200, "GET", "/boxes/x", nil) // nothing changed, not even the name
}

func TestTraitFilters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "a", "labels": map[string]any{"team": "x", "tier": "1"}, "tag_value_ids": []string{"t1", "t2"}, "idle_ttl_seconds": 120})
	b.box(map[string]any{"name": "b", "labels": map[string]any{"team": "y"}, "tag_value_ids": []string{"t1"}, "idle_ttl_seconds": 60})
	b.box(map[string]any{"name": "c", "idle_ttl_seconds": 0, "delete_after_stop_seconds": 60000})
	b.want(204, "POST", "/boxes/b/stop", nil)
	b.want(204, "POST", "/boxes/a/stop", nil)
	for query, want := range map[string]string{
		"label=team":                                       "b a",
		"label=team%3Dx":                                   "a",
		"label=team&label=tier%3D1":                        "a",
		"label=tier%3D2":                                   "",
		"tag_value_id=t1":                                  "b a",
		"tag_value_id=t1&tag_value_id=t2":                  "a",
		"created_by=me":                                    "c b a",
		"sort_by=stopped_at":                               "a b c",
		"sort_by=idle_ttl_seconds&sort_order=asc":          "c b a",
		"sort_by=delete_after_stop_seconds&sort_order=asc": "c a b",
		"sort_order=asc&sort_direction=desc":               "a b c",
		"sort_direction=asc&page_size=2":                   "a b",
		"page_size=1&limit=3":                              "c",
	} {
		list := decode[gen.SandboxList](t, b.want(200, "GET", "/boxes?"+query, nil))
		var names []string
		for i, s := range list.Items {
			names = append(names, s.Name)
			if s.DataplaneURL == "" || list.Sandboxes[i].ID != s.ID {
				t.Errorf("%s: %+v", query, s)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	b.want(200, "PATCH", "/boxes/a", `{"tag_value_ids":[]}`)
	b.want(200, "PATCH", "/boxes/b", `{}`)
	if list := decode[gen.SandboxList](t, b.want(200, "GET", "/boxes?tag_value_id=t1", nil)); len(list.Items) != 1 || list.Items[0].Name != "b" {
		t.Errorf("after the change %+v", list.Items)
	}
}

// TestSandboxCursors: the cursor of one order is none of another, and pages
// hold everything once although a key is shared.
func TestSandboxCursors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b.box(map[string]any{"name": name})
	}
	var names []string
	query := "page_size=2&sort_by=status&sort_order=asc"
	list := decode[gen.SandboxList](t, b.want(200, "GET", "/boxes?"+query, nil))
	b.refused(b.call("GET", "/boxes?sort_by=name&cursor="+list.NextCursor, nil), 422, "", "cursor")
	b.refused(b.call("GET", "/boxes?sort_by=status&cursor="+list.NextCursor, nil), 422, "", "cursor")
	for {
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		if list.NextCursor == "" {
			break
		}
		list = decode[gen.SandboxList](t, b.want(200, "GET", "/boxes?"+query+"&cursor="+list.NextCursor, nil))
	}
	if got := strings.Join(names, ""); got != "abcde" {
		t.Errorf("pages hold %q", got)
	}
}

func TestDeletionAfterStop(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, fake *fakeRuntime) {
		mustCreate(t, e, gen.CreateSandbox{Name: "x", IdleTTLSeconds: new(0), DeleteAfterStopSeconds: new(120)})
		mustCreate(t, e, gen.CreateSandbox{Name: "kept", IdleTTLSeconds: new(60), DeleteAfterStopSeconds: new(0)})
		pass(1000 * time.Hour)
		expect(t, e, "x", gen.StatusReady)
		expect(t, e, "kept", gen.StatusStopped)
		stop := func() {
			t.Helper()
			if err := e.stopBox(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		pass(119 * time.Second)
		if _, err := e.startBox("x"); err != nil { // that ends the countdown
			t.Fatal(err)
		}
		pass(time.Hour)
		expect(t, e, "x", gen.StatusReady)
		stop()
		pass(time.Minute)
		if _, err := e.updateBox(t.Context(), "x", gen.SandboxUpdate{DeleteAfterStopSeconds: new(240)}); err != nil { // that moves it
			t.Fatal(err)
		}
		pass(3*time.Minute - time.Second)
		expect(t, e, "x", gen.StatusStopped)
		pass(time.Second)
		expect(t, e, "x", "")
		pass(10000 * time.Hour)
		expect(t, e, "kept", gen.StatusStopped)
		if n := fake.running(); n != 0 {
			t.Errorf("%d run", n)
		}
	})
}
