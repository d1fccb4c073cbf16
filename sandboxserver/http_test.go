package sandboxserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestBothPrefixes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.do(request("POST", "/api/v2/sandboxes/boxes", `{"name":"x"}`))
	if a.status != 201 {
		t.Fatalf("%+v", a)
	}
	if got := b.do(request("GET", "/v2/sandboxes/boxes/x", nil)); got.body != a.body {
		t.Errorf("%s", got.body)
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	for _, c := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"key", []string{"X-Api-Key", testKey}, true},
		{"lower case", []string{"x-api-key", testKey}, true},
		{"bearer and tenant", []string{"Authorization", "Bearer " + testKey, "X-Tenant-Id", "t"}, true},
		{"bearer and organization", []string{"Authorization", "bearer  " + testKey, "X-Organization-Id", "t"}, true},
		{"service key", []string{"X-Service-Key", testKey}, true},
		{"nothing", nil, false},
		{"empty", []string{"X-Api-Key", ""}, false},
		{"wrong", []string{"X-Api-Key", "wrong"}, false},
		{"prefix", []string{"X-Api-Key", testKey[:4]}, false},
		{"bearer alone", []string{"Authorization", "Bearer " + testKey}, false},
		{"wrong bearer", []string{"Authorization", "Bearer x", "X-Tenant-Id", "t"}, false},
		{"basic", []string{"Authorization", "Basic " + testKey, "X-Tenant-Id", "t"}, false},
		{"tenant alone", []string{"X-Tenant-Id", testKey}, false},
		{"wrong service key", []string{"X-Service-Key", "x"}, false},
	} {
		for _, target := range []*http.Request{
			request("GET", "/v2/sandboxes/boxes", nil),
			request("POST", "/v2/sandboxes/internal/activity", `{"activities":[{"k8s_sandbox_name":"x","tenant_id":"t"}]}`),
			request("GET", "/nowhere", nil),
			request("GET", dataplane(s)+"/download?path=x", nil),
		} {
			target.Header.Del("X-Api-Key")
			for i := 0; i < len(c.header); i += 2 {
				target.Header.Set(c.header[i], c.header[i+1])
			}
			a := b.do(target)
			if c.ok == (a.status == 401) {
				t.Errorf("%s: %s: status %d", c.name, target.URL.Path, a.status)
			}
			if a.status == 401 {
				if code, message := a.problem(t); code != codeUnauthorized || message == "" || strings.Contains(a.body, testKey) {
					t.Errorf("%s", a.body)
				}
			}
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.AllowedHosts = []string{"build.internal"}
		c.PublicURL = "https://public.example:8443"
	})
	for host, want := range map[string]int{
		"localhost":           200,
		"localhost:80":        200,
		"LOCALHOST:80":        200,
		"app.localhost:80":    200,
		"127.0.0.1:80":        200,
		"127.0.0.9":           200,
		"[::1]:80":            200,
		"[::1]":               200,
		"10.1.2.3:80":         200,
		"build.internal:80":   200,
		"public.example":      200,
		"evil.example:80":     421,
		"localhost.evil.test": 421,
		"127.0.0.1.evil.test": 421,
		"":                    421,
	} {
		r := request("GET", "/v2/sandboxes/usage", nil)
		r.Host = host
		if a := b.do(r); a.status != want {
			t.Errorf("%q: %d, want %d", host, a.status, want)
		} else if want == 421 {
			b.refused(a, 421, codeMisdirected)
		}
	}
	all := newBench(t, func(c *Config) { c.AllowedHosts = []string{"*"} })
	r := request("GET", "/v2/sandboxes/usage", nil)
	r.Host = "anything.example"
	if a := all.do(r); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "a/b"[:1]})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v2/sandboxes", 404, ""},
		{"GET", "/v2/sandboxes/nothing", 404, ""},
		{"GET", "/v2/sandboxes/boxes/", 404, ""},
		{"GET", "/v2/sandboxes/boxes/../usage", 404, ""},
		{"GET", "/v2/sandboxes/boxes/%2E%2E", 404, ""},
		{"GET", "/v2/sandboxes/boxes/a%2Fb", 404, ""},
		{"GET", "/v2//sandboxes//usage", 200, ""},
		{"GET", "//v2/sandboxes/boxes/a", 200, ""},
		{"HEAD", "/v2/sandboxes/usage", 200, ""},
		{"PUT", "/v2/sandboxes/boxes", 405, "GET, POST"},
		{"POST", "/v2/sandboxes/boxes/a", 405, "GET, PATCH, DELETE"},
		{"DELETE", "/v2/sandboxes/usage", 405, "GET"},
		{"GET", "/v2/sandboxes/boxes/a/start", 405, "POST"},
		{"GET", "/dp/" + s.ID, 404, ""},
		{"GET", "/dp/" + s.ID + "/nothing", 404, ""},
		{"GET", "/dp//execute", 404, ""},
		{"GET", "/dp/" + s.ID + "/execute", 405, "POST"},
		{"GET", "/dp/" + s.ID + "/upload?path=x", 405, "POST"},
		{"POST", "/dp/" + s.ID + "/download?path=x", 405, "GET, HEAD"},
		{"GET", "/dp/none/download?path=x", 404, ""},
		{"GET", "/v2/sandboxes/none/download?path=x", 404, ""},
		{"GET", "/v2/sandboxes/boxes/download", 404, ""},
	} {
		a := b.do(request(c.method, c.path, nil))
		if a.status != c.status || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d %q: %s", c.method, c.path, a.status, a.header.Get("Allow"), c.status, c.allow, a.body)
		}
		if a.status >= 400 {
			if code, message := a.problem(t); code == "" || message == "" {
				t.Errorf("%s", a.body)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	plain := func(body, kind string) answer {
		r := request("POST", "/v2/sandboxes/boxes", body)
		r.Header.Set("Content-Type", kind)
		return b.do(r)
	}
	for body, words := range map[string]string{
		`{nope`:                                  "not valid JSON",
		`{} {}`:                                  "not valid JSON",
		``:                                       "is required",
		`[]`:                                     "must be an object",
		`null`:                                   "must not be null",
		`"x"`:                                    "must be an object",
		"\xff{}":                                 "not valid JSON",
		`{"name":1,"ttl_seconds":"x"}`:           "name must be a string; ttl_seconds must be an integer",
		`{"timeout":99999999999999999999}`:       "timeout is out of range",
		`{"ttl_seconds":6000000000000000000000}`: "ttl_seconds is out of range",
		`{"name":null}`:                          "name must not be null",
		`{"proxy_config":{"rules":[{}]}}`:        "proxy_config.rules.0.name is required",
	} {
		a := b.call("POST", "/boxes", body)
		b.refused(a, 422, "", words)
		if got := a.places(t)[0]; !strings.HasPrefix(got, "body") {
			t.Errorf("%s: at %s", body, got)
		}
	}
	a := b.call("POST", "/boxes", `{"ttl_seconds":-7,"idle_ttl_seconds":61,"name":"a/b"}`)
	if got := a.places(t); !slices.Equal(got, []string{"body.idle_ttl_seconds", "body.name", "body.ttl_seconds", "body.ttl_seconds"}) {
		t.Errorf("%v", got)
	}
	b.refused(plain(`{}`, "text/plain"), 415, codeMediaType)
	b.refused(plain(`{}`, "application/json; ="), 415, codeMediaType)
	for _, kind := range []string{"", "application/json; charset=utf-8", "APPLICATION/JSON"} {
		if a := plain(`{}`, kind); a.status != 201 {
			t.Errorf("%q: %+v", kind, a)
		}
	}
	b.refused(b.call("POST", "/boxes", `{"name":"`+strings.Repeat("x", maxBody)+`"}`), 413, codeTooLarge)
	broken := request("POST", "/v2/sandboxes/boxes", nil)
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"na`), brokenReader{}))
	b.refused(b.do(broken), 400, codeInvalidRequest)
	// Secrets are not repeated in complaints.
	secret := b.call("POST", "/boxes", `{"proxy_config":{"rules":[{"name":"r","headers":[{"name":"h","type":"s3cret","value":5}]}]}}`)
	if secret.status != 422 || strings.Contains(secret.body, "s3cret") {
		t.Errorf("%+v", secret)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestPanics(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	b := newBench(t, logTo(&log))
	b.fake.open = func(string, int) (*os.File, error) { panic("private detail") }
	b.fake.exec = func(*fakeBox, runtime.Command) (runtime.Process, error) { panic("private detail") }
	s := b.box(map[string]any{})
	for _, a := range []answer{
		b.do(request("GET", dataplane(s)+"/download?path=f", nil)),
		b.execute(s, map[string]any{"command": "true"}), // starts outside of its request
	} {
		b.refused(a, 500, codeInternal)
		id := decode[struct{ Detail gen.ErrorObject }](t, a).Detail.ErrorID
		if strings.Contains(a.body, "private") || id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "private detail") {
			t.Errorf("%s\n%s", a.body, log.String())
		}
	}
	b.want(204, "DELETE", "/boxes/"+s.Name, nil) // no lock is held, no use counted for ever
}

func TestClosedServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	b.template("py", nil)
	b.want(201, "POST", "/pools", `{"name":"warm","template_name":"py","replicas":3}`)
	waiting := make(chan answer, 3)
	go func() { waiting <- b.execute(s, map[string]any{"command": "wait"}) }()
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error { <-ctx.Done(); return ctx.Err() })
	go func() { waiting <- b.call("POST", "/boxes", `{"name":"starting"}`) }()
	eventually(t, "it starts", func() bool { return b.call("GET", "/boxes/starting", nil).status == 200 })
	dir := b.server.engine.dir
	for range 2 {
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if a := <-waiting; a.status != 503 && a.status != 400 {
			t.Errorf("%+v", a)
		}
	}
	b.refused(b.call("GET", "/boxes", nil), 503, codeUnavailable, "shutting down")
	b.refused(b.call("POST", "/boxes", `{}`), 503, codeUnavailable)
	if n := b.fake.running(); n != 0 {
		t.Errorf("%d running in %s", n, dir)
	}
}

// Close ends transfers that wait for a slow client.
func TestCloseEndsSlowUpload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	web := httptest.NewServer(b.server)
	defer web.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s/upload?path=f HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\n"+
		"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x\r\n", dataplane(s), testKey)
	eventually(t, "the upload is on its way", func() bool {
		b.server.engine.mu.Lock()
		defer b.server.engine.mu.Unlock()
		return b.server.engine.boxes.byName["x"].busy == 1
	})
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil { // until the server hangs up
		t.Error(err)
	}
}
