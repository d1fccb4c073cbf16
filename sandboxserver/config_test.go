package sandboxserver

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   Config
		words string
	}{
		"isolation":         {Config{Isolation: "vm"}, `"vm"`},
		"step":              {Config{Isolation: IsolationRoot}, `"native-root"`},
		"oci":               {Config{Isolation: IsolationOCI}, "OCIRuntime"},
		"oci and another":   {Config{OCIRuntime: "runsc", Isolation: IsolationNative}, "excludes"},
		"no oci":            {Config{OCIRuntime: "/nonexistent/runsc", MinIsolation: IsolationProcess}, "/nonexistent/runsc"},
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
