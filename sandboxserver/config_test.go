package sandboxserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   Config
		words string
	}{
		"isolation":         {Config{Isolation: "vm"}, `"vm"`},
		"step":              {Config{Isolation: IsolationRoot}, `"native-root"`},
		"minimum":           {Config{MinIsolation: "vm"}, `"vm"`},
		"negative limit":    {Config{Limits: Limits{CPUMillicores: -1}}, "negative"},
		"negative output":   {Config{MaxOutput: -1}, "negative"},
		"negative timeout":  {Config{StartTimeout: -time.Second}, "negative"},
		"blank key":         {Config{APIKey: " key\n"}, "blanks"},
		"relative URL":      {Config{PublicURL: "example.com"}, "absolute"},
		"broken URL":        {Config{PublicURL: "http://a b"}, "public URL"},
		"other scheme":      {Config{PublicURL: "ftp://a"}, "http"},
		"weaker than asked": {Config{Isolation: IsolationProcess}, "--min-isolation process"},
		"weaker, too":       {Config{Isolation: IsolationLandlock, MinIsolation: IsolationRoot}, "--min-isolation landlock"},
	} {
		c.cfg.Dir = filepath.Join(t.TempDir(), "data")
		server, err := New(c.cfg)
		if err == nil {
			_ = server.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		if !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "weaker") && !errors.Is(err, ErrIsolation) {
			t.Errorf("%v", err)
		}
	}
}

func TestGeneratedKey(t *testing.T) {
	t.Parallel()
	a := newBench(t, func(c *Config) { c.APIKey = "" })
	b := newBench(t, func(c *Config) { c.APIKey = "" })
	if len(a.server.APIKey()) < 32 || a.server.APIKey() == b.server.APIKey() {
		t.Errorf("%q %q", a.server.APIKey(), b.server.APIKey())
	}
	r := request("GET", "/v2/sandboxes/usage", nil)
	r.Header.Set("X-Api-Key", a.server.APIKey())
	if got := a.do(r); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if a.server.Isolation() != IsolationNative {
		t.Errorf("%q", a.server.Isolation())
	}
}

func TestStateSurvives(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	in := func(c *Config) { c.Dir = dir }
	first := newBench(t, in)
	first.want(201, "POST", "/volumes", `{"name":"data","size":"1.5Gi"}`)
	tpl := first.template("py", map[string]any{
		"resources":     map[string]any{"cpu": "250m", "memory": "1Gi"},
		"volume_mounts": []any{map[string]any{"volume_name": "data", "mount_path": "/data"}},
		"proxy_config":  map[string]any{"rules": []any{map[string]any{"name": "r", "match_hosts": []string{"h.test"}, "headers": []any{map[string]any{"name": "h", "type": "opaque", "value": "s3cret"}}}}},
	})
	first.template("pooled", nil)
	first.template("gone", nil)
	first.want(204, "DELETE", "/templates/gone", nil)
	first.want(201, "POST", "/pools", `{"name":"warm","template_name":"pooled","replicas":2}`)
	first.box(map[string]any{"name": "x", "template_name": "py"})
	want := first.want(200, "GET", "/templates/py", nil).body
	volume := decode[gen.Volume](t, first.want(200, "GET", "/volumes/data", nil))
	file := filepath.Join(first.server.engine.volumeDir(volume.ID), "f")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}

	second := newBench(t, in)
	if got := second.want(200, "GET", "/templates/py", nil).body; got != want || strings.Contains(got, "s3cret") {
		t.Errorf("%s\nwas %s", got, want)
	}
	if second.server.engine.templates.byID[tpl.ID].proxy.Rules[0].Headers[0].Value != "s3cret" {
		t.Error("the secret is lost")
	}
	second.want(404, "GET", "/boxes/x", nil)
	second.want(404, "GET", "/templates/gone", nil)
	second.want(409, "DELETE", "/volumes/data", nil)
	if got, err := os.ReadFile(file); string(got) != "kept" {
		t.Errorf("%q %v", got, err)
	}
	eventually(t, "the pool fills again", func() bool { return second.fake.running() == 2 })
	s := second.box(map[string]any{"template_name": "py"})
	if mounts := second.fake.find(s.ID).spec.Mounts; len(mounts) != 1 || mounts[0].Source != second.server.engine.volumeDir(volume.ID) {
		t.Errorf("%+v", mounts)
	}
	if u := second.usage(); u.StorageUsedBytes != 3<<29 || u.CPUUsedMillicores != 250+2*500 {
		t.Errorf("%+v", u)
	}
	if info, err := os.Stat(filepath.Join(dir, recordsName)); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", info, err)
	}
}

func TestStateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for content, words := range map[string]string{
		`{`:             recordsName,
		`{"version":9}`: "version 9",
		`{"version":1,"volumes":[{"name":"v","size":"x"}]}`:                                                           `volume "v"`,
		`{"version":1,"templates":[{"name":"t","resources":{"cpu":"x","memory":"1"}}]}`:                               `template "t"`,
		`{"version":1,"templates":[{"name":"t","resources":{"cpu":"1","memory":"1"},"mounts":[{"volume_id":"no"}]}]}`: "gone",
		`{"version":1,"pools":[{"name":"p","template_id":"no"}]}`:                                                     "gone",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, recordsName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		server, err := New(Config{Dir: dir, runtime: newFakeRuntime()})
		if err == nil {
			_ = server.Close()
		}
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", content, err)
		}
		if kept, _ := os.ReadFile(filepath.Join(dir, recordsName)); string(kept) != content {
			t.Errorf("the file was changed: %s", kept)
		}
	}
}

func TestStateThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Dir = filepath.Join(t.TempDir(), "data") })
	b.server.engine.records.file = filepath.Join(t.TempDir(), "no", "such", recordsName)
	b.refused(b.call("POST", "/templates", `{"name":"t","image":"i"}`), 500, codeInternal, "saved")
}
