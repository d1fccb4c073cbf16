package sandboxserver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

func TestRegistryLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	created := b.want(201, "POST", "/registries", `{"name":"private","url":"ghcr.io","username":"someone","password":"hunter2"}`)
	r := decode[gen.Registry](t, created)
	if r.ID == "" || r.URL != "ghcr.io" || r.AuthType != gen.RegistryAuthDockerConfig || r.CreatedAt.IsZero() {
		t.Errorf("%+v", r)
	}
	b.template("pulling", map[string]any{"registry_name": "private"})
	b.want(409, "DELETE", "/registries/private", nil)
	changed := b.want(200, "PATCH", "/registries/private", `{"name":"renamed","password":"hunter3"}`)
	if got := decode[gen.Registry](t, changed); got.ID != r.ID || got.Name != "renamed" || got.URL != "ghcr.io" {
		t.Errorf("%+v", got)
	}
	tpl := decode[gen.Template](t, b.want(200, "GET", "/templates/pulling", nil))
	if tpl.RegistryID != r.ID || tpl.RegistryName != "renamed" {
		t.Errorf("%+v", tpl)
	}
	for _, a := range []answer{created, changed, b.call("GET", "/registries/renamed", nil), b.call("GET", "/registries", nil), b.call("GET", "/templates/pulling", nil)} {
		if strings.Contains(a.body, "hunter") || strings.Contains(a.body, "someone") {
			t.Errorf("the secret came back: %s", a.body)
		}
	}
	if n := b.usage().RegistriesCount; n != 1 {
		t.Errorf("%d registries in use", n)
	}
	b.want(204, "DELETE", "/templates/pulling", nil)
	b.want(204, "DELETE", "/registries/renamed", nil)
	b.want(404, "DELETE", "/registries/renamed", nil)
	b.want(404, "PATCH", "/registries/renamed", `{}`)
}

func TestRegistryRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(201, "POST", "/registries", `{"name":"taken","url":"https://registry.test:5000/path"}`)
	for _, c := range []struct{ body, place, words string }{
		{`{"url":"ghcr.io"}`, "body.name", "is required"},
		{`{"name":"r"}`, "body.url", "is required"},
		{`{"name":"..","url":"ghcr.io"}`, "body.name", ".."},
		{`{"name":"a/b","url":"ghcr.io"}`, "body.name", "slash"},
		{`{"name":"r","url":"https://u:p@ghcr.io"}`, "body.url", "without credentials"},
		{`{"name":"r","url":"ftp://ghcr.io"}`, "body.url", "address"},
		{`{"name":"r","url":"ghcr.io","password":"p"}`, "body.username", "required"},
		{`{"name":"r","url":"ghcr.io","username":"u"}`, "body.password", "required"},
		{`{"name":"r","url":"ghcr.io","auth_type":"KERBEROS"}`, "body.auth_type", "DOCKER_CONFIG"},
	} {
		a := b.call("POST", "/registries", c.body)
		b.refused(a, 422, "", c.words)
		if got := a.places(t); !cmp.Equal(got, []string{c.place}) {
			t.Errorf("%s: %v", c.body, got)
		}
		if strings.Contains(a.body, "u:p") {
			t.Errorf("the secret came back: %s", a.body)
		}
	}
	b.refused(b.call("POST", "/registries", `{"name":"taken","url":"ghcr.io"}`), 409, codeConflict)
	b.refused(b.call("POST", "/registries", `{"name":"r","url":"e","auth_type":"AWS_ROLE","aws_role_arn":"arn"}`), 501, codeNotSupported, "roles")
	// A change that is refused changes nothing, not even the name.
	b.refused(b.call("PATCH", "/registries/taken", `{"name":"other","aws_role_arn":"arn"}`), 501, codeNotSupported)
	b.refused(b.call("PATCH", "/registries/taken", `{"name":"other","username":"u"}`), 422, "", "password")
	b.want(200, "GET", "/registries/taken", nil)
}

func TestRegistriesAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(c *Config) { c.Dir = dir })
	r := decode[gen.Registry](t, b.want(201, "POST", "/registries", `{"name":"private","url":"ghcr.io","username":"u","password":"secret"}`))
	b.template("pulling", map[string]any{"registry_name": "private"})
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	after := newBench(t, func(c *Config) { c.Dir = dir })
	if got := decode[gen.Registry](t, after.want(200, "GET", "/registries/private", nil)); !cmp.Equal(got, r) {
		t.Error(cmp.Diff(r, got))
	}
	if got := decode[gen.Template](t, after.want(200, "GET", "/templates/pulling", nil)); got.RegistryID != r.ID {
		t.Errorf("%+v", got)
	}
	after.want(200, "PATCH", "/registries/private", `{"url":"https://ghcr.io/team"}`) // the credentials are still there
	if got := after.server.engine.registries.byName["private"]; got.password != "secret" {
		t.Errorf("%+v", got)
	}
}

// TestRegistryPasswordStays: who may not read a password does not get it sent
// to another host, either.
func TestRegistryPasswordStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(201, "POST", "/registries", `{"name":"private","url":"ghcr.io","username":"u","password":"secret"}`)
	b.want(201, "POST", "/registries", `{"name":"open","url":"ghcr.io"}`)
	for _, url := range []string{"ghcr.io.evil.dev", "https://ghcr.io:8443", "http://evil.dev/ghcr.io"} {
		b.refused(b.call("PATCH", "/registries/private", map[string]string{"url": url}), 422, "", "password")
		b.refused(b.call("PATCH", "/registries/private", map[string]string{"url": url, "username": "v"}), 422, "", "password")
	}
	for _, url := range []string{"https://GHCR.io/", "ghcr.io"} {
		b.want(200, "PATCH", "/registries/private", map[string]string{"url": url})
	}
	b.want(200, "PATCH", "/registries/private", `{"url":"quay.io","password":"new"}`)
	b.want(200, "PATCH", "/registries/open", `{"url":"quay.io"}`)
}

// TestRegistryHost: credentials are for the host that the address names, and
// not for another one that a reference could mean.
func TestRegistryHost(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://internal":             "internal",
		"internal/team":               "internal",
		"internal:5000":               "internal:5000",
		"https://docker.io":           "index.docker.io",
		"https://index.docker.io/v1/": "index.docker.io",
		"ghcr.io/team":                "ghcr.io",
		"https://":                    "",
		"bad host":                    "",
	} {
		if got := registryHost(address); got != want {
			t.Errorf("%s: %q, not %q", address, got, want)
		}
	}
}
