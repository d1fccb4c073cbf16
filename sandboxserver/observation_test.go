package sandboxserver

import (
	"sync"
	"testing"
)

// TestObserve: every request is told of once, by the name of its operation.
func TestObserve(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []Observation
	b := newBench(t, func(c *Config) {
		c.Observe = func(o Observation) { mu.Lock(); defer mu.Unlock(); seen = append(seen, o) }
	})
	s := b.box(map[string]any{"name": "x"})
	for _, c := range []struct {
		method, path, operation string
		status                  int
	}{
		{"GET", "/v2/sandboxes/boxes/x", "GET /boxes/{name}", 200},
		{"GET", "/api/v2/sandboxes//boxes/x", "GET /boxes/{name}", 200},
		{"GET", "/v2/sandboxes/boxes/y%2Fz", "GET /boxes/{name}", 404},
		{"DELETE", "/v2/sandboxes/usage", "", 405},
		{"GET", "/nowhere", "", 404},
		{"GET", dataplane(s) + "/download?path=none", "GET {dataplane_url}/download", 404},
		{"GET", linkPrefix + "secret", "link", 403},
		{"GET", healthPath, "health", 200},
	} {
		mu.Lock()
		seen = nil
		mu.Unlock()
		if got := b.do(request(c.method, c.path, nil)); got.status != c.status {
			t.Errorf("%s %s: status %d", c.method, c.path, got.status)
		}
		mu.Lock()
		if len(seen) != 1 || seen[0].Operation != c.operation || seen[0].Status != c.status || seen[0].Duration <= 0 {
			t.Errorf("%s %s: observed %+v", c.method, c.path, seen)
		}
		mu.Unlock()
	}
}

// TestHealth: everybody may ask, and a closed server does not serve.
func TestHealth(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask := func(method string) answer {
		r := request(method, healthPath, nil)
		r.Header = nil
		return b.do(r)
	}
	if got := ask("GET"); got.status != 200 || got.body != "ok\n" {
		t.Errorf("%+v", got)
	}
	if got := ask("POST"); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%+v", got)
	}
	if usage, err := b.server.Usage(); err != nil || usage.SandboxesUsed != 0 {
		t.Error(usage, err)
	}
	b.server.Close()
	if got := ask("GET"); got.status != 503 {
		t.Errorf("%+v", got)
	}
	if _, err := b.server.Usage(); err == nil {
		t.Error("usage of a closed server")
	}
}
