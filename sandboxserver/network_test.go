//go:build linux

package sandboxserver

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/egress"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const netSecret = "hunter2-hunter2"

// internet is what a test's sandboxes can reach: example.com and names below
// it, by TLS and without, and one that resolves to this machine.
type internet struct {
	secure, plain *httptest.Server
	egress        Egress
}

func newInternet(t *testing.T, allow ...string) *internet {
	t.Helper()
	if _, err := os.Stat("/usr/bin/curl"); err != nil {
		t.Skip("no client on this host: ", err)
	}
	if !slices.Contains(isolations(t), IsolationNative) {
		t.Skip("no isolation on this host: sandboxes have its network")
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "secret=%t %s", r.Header.Get("Authorization") == "Bearer "+netSecret, r.Header.Get("Authorization"))
	})
	n := &internet{secure: httptest.NewTLSServer(answer), plain: httptest.NewServer(answer)}
	t.Cleanup(n.secure.Close)
	t.Cleanup(n.plain.Close)
	roots := x509.NewCertPool()
	roots.AddCert(n.secure.Certificate())
	n.egress = Egress{Allow: allow, RootCAs: roots, Secrets: map[string]string{"TOKEN": netSecret}}
	return n
}

func (n *internet) connect(c *egress.Config) {
	const public = "93.184.216.34"
	c.Lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if host == "here.example.com." {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr(public)}, nil
	}
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		to := map[string]string{public + ":443": n.secure.Listener.Addr().String(), public + ":80": n.plain.Listener.Addr().String()}[address]
		return new(net.Dialer).DialContext(ctx, network, to)
	}
}

// newNetBench is a server on real isolation.
func newNetBench(t *testing.T, n *internet, change ...func(*Config)) *bench {
	t.Helper()
	cfg := Config{APIKey: testKey, Egress: n.egress, reach: n.connect}
	for _, f := range change {
		f(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t: t, server: server}
}

func withSecret(hosts ...string) map[string]any {
	return map[string]any{"rules": []any{map[string]any{
		"name": "r", "match_hosts": hosts, "env_vars": map[string]any{"API_KEY": "placeholder"},
		"headers": []any{map[string]any{"name": "Authorization", "type": "workspace_secret", "value": "Bearer {TOKEN}"}},
	}}}
}

const status = "curl -sS -m 20 -o /dev/null -w '%{http_code} %{http_connect}' "

func TestEgressForReal(t *testing.T) {
	t.Parallel()
	n := newInternet(t, "*", "127.0.0.1:1")
	t.Run("native", func(t *testing.T) {
		t.Parallel()
		egressForReal(t, n, newNetBench(t, n))
	})
	for _, program := range []string{"crun", "runc"} {
		t.Run("native-"+program, func(t *testing.T) {
			t.Parallel()
			if report := runtime.Probe(t.TempDir(), program); report.Step != runtime.IsolationContainer {
				t.Skip(report.Reason)
			}
			egressForReal(t, n, newNetBench(t, n, func(cfg *Config) { cfg.OCIRuntime = program }))
		})
	}
	t.Run("oci", func(t *testing.T) {
		t.Parallel()
		if !slices.Contains(isolations(t), IsolationOCI) {
			t.Skip("no runsc on this host")
		}
		egressForReal(t, n, newNetBench(t, n, func(cfg *Config) { cfg.OCIRuntime = ociRuntime() }))
	})
}

func egressForReal(t *testing.T, n *internet, b *bench) {
	t.Helper()
	config := withSecret("example.com")
	config["access_control"] = map[string]any{"allow_list": []string{"example.com", "*.example.com", "127.0.0.1", "127.0.0.1:1"}}
	s := b.box(map[string]any{"proxy_config": config})

	if got := b.run(s, "curl -sS -m 20 https://example.com/"); got.Stdout != "secret=true "+strings.Repeat("*", len("Bearer "+netSecret)) {
		t.Errorf("injection: %+v", got)
	}
	if got := b.run(s, "curl -sS -m 20 http://www.example.com/"); got.Stdout != "secret=false " {
		t.Errorf("plain: %+v", got)
	}
	port := n.plain.Listener.Addr().(*net.TCPAddr).Port
	for command, want := range map[string]string{
		status + "https://elsewhere.test/":                                      "000 403",
		status + "http://example.com/":                                          "403 000", // has a secret, and no TLS
		status + "http://here.example.com/":                                     "403 000", // resolves to this machine
		status + "https://example.com:8443/":                                    "000 403",
		status + "--noproxy '' http://127.0.0.1/":                               "403 000",
		status + "--noproxy '' http://127.0.0.1:1/":                             "403 000",
		status + "--noproxy '' http://169.254.169.254/latest/meta-data/":        "403 000",
		status + fmt.Sprintf("--noproxy '' http://127.0.0.1:%d/", port):         "403 000",
		status + fmt.Sprintf("--noproxy '*' http://127.0.0.1:%d/", port):        "000 000", // its own loopback
		status + "--noproxy '*' http://93.184.216.34/":                          "000 000",
		"env | grep -c hunter2":                                                 "0\n",
		"cat /proc/*/environ " + trustFile + " | tr '\\0' '\\n' | grep hunter2": "",
		"echo $API_KEY": "placeholder\n",
	} {
		if got := b.run(s, command); got.Stdout != want {
			t.Errorf("%s: %+v", command, got)
		}
	}
	// Its own services are not for the proxy.
	if got := b.run(s, "echo $no_proxy $HTTP_PROXY"); !strings.HasPrefix(got.Stdout, "localhost,127.0.0.1,::1 http://127.0.0.1:") {
		t.Errorf("%+v", got)
	}

	// New rules hold at once, also when a stopped sandbox wakes.
	b.want(200, "PATCH", "/boxes/"+s.Name, map[string]any{"proxy_config": map[string]any{"access_control": map[string]any{"deny_list": []string{"example.com"}}}})
	for range 2 {
		if got := b.run(s, status+"https://example.com/"); got.Stdout != "000 403" {
			t.Errorf("after a change: %+v", got)
		}
		if got := b.run(s, status+"http://www.example.com/"); got.Stdout != "200 000" {
			t.Errorf("after a change: %+v", got)
		}
		b.want(204, "POST", "/boxes/"+s.Name+"/stop", nil)
	}
	if a := b.call("GET", "/boxes/"+s.Name, nil); strings.Contains(a.body, netSecret) {
		t.Error("the secret came back")
	}
}

// TestNoEgress: nothing is reached where the operator allows nothing, whatever
// a sandbox asks for.
func TestNoEgress(t *testing.T) {
	t.Parallel()
	b := newNetBench(t, newInternet(t))
	silent := b.box(map[string]any{})
	if got := b.run(silent, "env | grep -ic proxy"); got.Stdout != "0\n" {
		t.Errorf("%+v", got)
	}
	asking := b.box(map[string]any{"proxy_config": map[string]any{"access_control": map[string]any{"allow_list": []string{"*"}}}})
	if got := b.run(asking, "curl -sS -m 20 http://example.com/"); !strings.Contains(got.Stdout, "operator allows no network") {
		t.Errorf("%+v", got)
	}
	// A proxy that comes later.
	b.want(200, "PATCH", "/boxes/"+silent.Name, map[string]any{"proxy_config": withSecret("example.com")})
	if got := b.run(silent, status+"https://example.com/"); got.Stdout != "000 403" {
		t.Errorf("%+v", got)
	}
}

// TestEgressOfPools: a waiting sandbox follows the configuration of whoever
// gets it.
func TestEgressOfPools(t *testing.T) {
	t.Parallel()
	b := newNetBench(t, newInternet(t, "*"))
	b.template("py", map[string]any{"proxy_config": map[string]any{"access_control": map[string]any{"allow_list": []string{"www.example.com"}}}})
	b.want(201, "POST", "/pools", map[string]any{"name": "p", "template_name": "py", "replicas": 2})
	same := b.box(map[string]any{"template_name": "py"})
	if got := b.run(same, status+"http://www.example.com/"); got.Stdout != "200 000" {
		t.Errorf("%+v", got)
	}
	if got := b.run(same, status+"https://example.com/"); got.Stdout != "000 403" {
		t.Errorf("%+v", got)
	}
	other := b.box(map[string]any{"template_name": "py", "proxy_config": withSecret("example.com")})
	if got := b.run(other, "curl -sS -m 20 https://example.com/"); !strings.HasPrefix(got.Stdout, "secret=true") {
		t.Errorf("%+v", got)
	}
}

// TestProxyRefusals: what the proxy cannot carry out is refused with its place.
func TestProxyRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for config, place := range map[string]string{
		`{"access_control":{"allow_list":["a.test","https://b.test"]}}`:                                                                                        "access_control.allow_list.1",
		`{"access_control":{"deny_list":["~("]}}`:                                                                                                              "access_control.deny_list.0",
		`{"rules":[{"name":"r","match_hosts":["a.test"],"match_paths":["a"]}]}`:                                                                                "rules.0.match_paths.0",
		`{"rules":[{"name":"r","headers":[{"name":"a","type":"opaque","value":"hunter2"}]}]}`:                                                                  "rules.0.match_hosts",
		`{"rules":[{"name":"r","match_hosts":["a.test"],"headers":[{"name":"a","type":"workspace_secret","value":"{NONE}"}]}]}`:                                "rules.0.headers.0",
		`{"rules":[{"name":"r","match_hosts":["a.test"],"headers":[{"name":"Connection","type":"opaque","value":"hunter2"}]}]}`:                                "rules.0.headers.0",
		`{"callbacks":[{"match_hosts":["a.test"],"url":"http://c.test","ttl_seconds":60,"request_headers":[{"name":"a","type":"opaque","value":"hunter2"}]}]}`: "callbacks.0.url",
	} {
		for path, body := range map[string]string{
			"/boxes": `{"proxy_config":` + config + `}`, "/templates": `{"name":"t","image":"i","resources":{"cpu":"1","memory":"1Gi"},"proxy_config":` + config + `}`,
		} {
			a := b.call("POST", path, body)
			if a.status != 422 || !slices.Equal(a.places(t), []string{"body.proxy_config." + place}) || strings.Contains(a.body, "hunter2") {
				t.Errorf("%s %s: %d %s", path, config, a.status, a.body)
			}
		}
	}
	full := `{"proxy_config":{"callbacks":[{"match_hosts":["a.test"],"url":"https://c.test","ttl_seconds":60,"full_request":true}]}}`
	b.refused(b.call("POST", "/boxes", full), 501, codeNotSupported, "full request")
	b.box(map[string]any{"name": "x"})
	b.refused(b.call("PATCH", "/boxes/x", full), 501, codeNotSupported, "full request")
	for _, c := range []Config{
		{HostNetwork: true, Egress: Egress{Allow: []string{"*"}}},
		{Egress: Egress{Allow: []string{"~("}}},
		{Egress: Egress{Private: []netip.Prefix{{}}}},
	} {
		if s, err := New(c); err == nil {
			s.Close()
			t.Errorf("%+v is taken", c.Egress)
		}
	}
}
