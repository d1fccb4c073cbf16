package egress

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/langsandbox/sandbox-go/gen"
)

func header(kind gen.ProxyHeaderType, name, value string) gen.ProxyHeader {
	return gen.ProxyHeader{Name: name, Type: kind, Value: value}
}

// TestConfigErrors: what cannot be carried out is refused with its place, and
// never with its secret.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	rule := func(r gen.ProxyRule) gen.ProxyConfig {
		if r.MatchHosts == nil {
			r.MatchHosts = []string{"a.test"}
		}
		return gen.ProxyConfig{Rules: []gen.ProxyRule{{Name: "first"}, r}}
	}
	with := func(h ...gen.ProxyHeader) gen.ProxyConfig { return rule(gen.ProxyRule{Headers: h}) }
	cb := func(c gen.ProxyCallback) gen.ProxyConfig {
		return gen.ProxyConfig{Callbacks: []gen.ProxyCallback{c}}
	}
	ok := gen.ProxyCallback{MatchHosts: []string{"a"}, URL: "https://c.test", TTLSeconds: 60}
	changed := func(f func(*gen.ProxyCallback)) gen.ProxyConfig {
		c := ok
		f(&c)
		return cb(c)
	}
	list := func(allow, deny []string) gen.ProxyConfig {
		return gen.ProxyConfig{AccessControl: gen.AccessControl{AllowList: allow, DenyList: deny}}
	}
	const opaque, plain, named = gen.ProxyHeaderOpaque, gen.ProxyHeaderPlaintext, gen.ProxyHeaderWorkspaceSecret
	for _, c := range []struct {
		config      gen.ProxyConfig
		words       string
		unsupported bool
	}{
		{list([]string{"a"}, []string{"b"}), "proxy_config.access_control: allow_list and deny_list", false},
		{list([]string{}, nil), "allow_list: is empty", false},
		{list([]string{"a", "https://b"}, nil), "allow_list.1: is no range", false},
		{list(nil, []string{"~("}), "deny_list.0: is no regular", false},
		{list(make([]string, 1001), nil), "more than 1000", false},
		{list([]string{`~\pL{1000}\pL{1000}\pL{1000}\pL{1000}\pL{1000}`}, nil), "allow_list.0: is too large", false},
		{list(nil, slices.Repeat([]string{`~a{1000}`}, 101)), "deny_list: its expressions are too large", false},
		{rule(gen.ProxyRule{Type: "aws"}), "rules.1.type", true},
		{rule(gen.ProxyRule{Rewrite: gen.Rewrite{Port: 1}}), "rules.1: ", true},
		{rule(gen.ProxyRule{RelayID: "x"}), "rules.1: ", true},
		{rule(gen.ProxyRule{MatchHosts: []string{"a.test:80"}}), "match_hosts.0: has a port", false},
		{rule(gen.ProxyRule{MatchPaths: []string{"/a", "b"}}), "match_paths.1", false},
		{rule(gen.ProxyRule{MatchPaths: []string{"/a*b"}}), "match_paths.0", false},
		{rule(gen.ProxyRule{MatchHeaders: []string{"A: b"}}), "match_headers.0", false},
		{rule(gen.ProxyRule{MatchHeaders: []string{"a"}}), "match_headers.0", false},
		{rule(gen.ProxyRule{MatchHosts: []string{}, Headers: []gen.ProxyHeader{header(opaque, "a", "hunter2")}}), "must name its hosts", false},
		{with(header(opaque, "a", "hunter2\n")), "bytes that no header", false},
		{with(header(opaque, "a b", "hunter2")), "no name of a header", false},
		{with(header(plain, "host", "x")), "proxy's own", false},
		{with(header(plain, "transfer-encoding", "x")), "proxy's own", false},
		{with(header(plain, "proxy-authorization", "x")), "proxy's own", false},
		{with(header("other", "a", "hunter2")), "no known type", false},
		{with(header(plain, "a", "1"), header(opaque, "A", "hunter2")), "added twice", false},
		{with(header(named, "a", "Bearer {NONE}")), `no secret "NONE"`, false},
		{with(header(named, "a", "Bearer {KEY")), "a brace", false},
		{with(header(named, "a", "Bearer {}")), "a brace", false},
		{rule(gen.ProxyRule{InjectHeaders: map[string]string{"a": "${NONE}"}}), `inject_headers.a: this server has no secret "NONE"`, false},
		{changed(func(c *gen.ProxyCallback) { c.FullRequest = true }), "full request", true},
		{changed(func(c *gen.ProxyCallback) { c.MatchHosts = nil }), "needs a host", false},
		{changed(func(c *gen.ProxyCallback) { c.TTLSeconds = 59 }), "60 to 3600", false},
		{changed(func(c *gen.ProxyCallback) { c.URL = "https://hunter2@c.test" }), "without a user", false},
		{changed(func(c *gen.ProxyCallback) { c.URL = "ftp://c.test" }), "absolute http", false},
		{changed(func(c *gen.ProxyCallback) { c.URL = "https://127.1/" }), "no host name", false},
		{changed(func(c *gen.ProxyCallback) {
			c.URL, c.RequestHeaders = "http://c.test", []gen.ProxyHeader{header(opaque, "a", "hunter2")}
		}), "must be https", false},
		{changed(func(c *gen.ProxyCallback) { c.RequestHeaders = []gen.ProxyHeader{header(named, "a", "{KEY}")} }), "plaintext or opaque", false},
	} {
		_, err := Compile(c.config, map[string]string{"KEY": "hunter2hunter2"})
		if _, typed := errors.AsType[*ConfigError](err); !typed || !strings.Contains(err.Error(), c.words) || errors.Is(err, ErrUnsupported) != c.unsupported {
			t.Errorf("%q: %v", c.words, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret came back: %v", err)
		}
	}
	if _, err := Compile(cb(ok), nil); err != nil {
		t.Error(err)
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	add := func(v string) []gen.ProxyHeader { return []gen.ProxyHeader{header(gen.ProxyHeaderPlaintext, "x", v)} }
	rules, err := Compile(gen.ProxyConfig{Rules: []gen.ProxyRule{
		{Name: "off", Enabled: new(false), MatchHosts: []string{"*"}, Headers: add("off")},
		{Name: "exact", MatchHosts: []string{"a.test"}, MatchPaths: []string{"/exact"}, Headers: add("exact")},
		{Name: "start", MatchHosts: []string{"a.test"}, MatchPaths: []string{"/v1/*", "/v2/**"}, Headers: add("start")},
		{Name: "end", MatchHosts: []string{"a.test"}, MatchPaths: []string{"*/info/refs"}, Headers: add("end")},
		{Name: "header", MatchHosts: []string{"a.test"}, MatchHeaders: []string{"x-k: one", "x-l: two"}, Headers: add("header")},
		{Name: "open", MatchHosts: []string{"a.test"}, MatchPaths: []string{"/public/*"}},
		{Name: "any path", MatchHosts: []string{"*.a.test"}, MatchPaths: []string{"*"}, Headers: add("sub")},
		{Name: "env only", EnvVars: map[string]string{"A": "b"}},
		{Name: "all", Headers: add("all")},
	}, Callbacks: []gen.ProxyCallback{{MatchHosts: []string{"*"}, URL: "https://c.test", TTLSeconds: 60}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"a.test/exact": "exact", "a.test/exact?q=/v1/x": "exact", "a.test/exact/": "all", "a.test/v1/x": "start", "a.test/v1": "all", "a.test/v2/x/y": "start",
		"a.test/o/r/info/refs": "end", "a.test/": "all", "a.test": "all", "a.test/public/x": "", "b.a.test/x": "sub", "b.test/v1/x": "all",
		"a.test/v1/../exact": "error", "a.test/v1/%2e%2e/x": "error", "a.test/x%2fexact": "error", "a.test//v1/x": "error", "a.test/v1/..": "error",
		"a.test/v1/;x": "error", `a.test/v1\x`: "error", "b.a.test/x/../y": "error",
	} {
		u, err := url.Parse("http://" + in)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := parseEndpoint(u.Host)
		rule, cb, err := rules.choose(e, &http.Request{URL: u, Header: http.Header{}})
		got := ""
		switch {
		case err != nil:
			got = "error"
		case rule != nil && len(rule.fields) > 0:
			got = rule.fields[0].value
		}
		if got != want || cb != nil {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
	}
	e, _ := parseEndpoint("a.test")
	rule, _, _ := rules.choose(e, &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"X-K": {"zero", "one"}, "X-L": {"two"}}})
	if rule == nil || rule.name != "header" {
		t.Errorf("%v", rule)
	}
	rule, _, _ = rules.choose(e, &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"X-K": {"one"}}})
	if rule == nil || rule.name != "all" {
		t.Errorf("%v", rule)
	}
}

func TestSecretsByName(t *testing.T) {
	t.Parallel()
	rules, err := Compile(gen.ProxyConfig{Rules: []gen.ProxyRule{{
		Name: "r", MatchHosts: []string{"a.test"}, InjectHeaders: map[string]string{"x-old": "k ${KEY}", "x-brace": "{KEY}"},
		Headers: []gen.ProxyHeader{header(gen.ProxyHeaderWorkspaceSecret, "x-new", "{USER}:{KEY}")},
	}}}, map[string]string{"KEY": "secretkey", "USER": "me"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range rules.headers[0].fields {
		got[f.name] = f.value
	}
	if got["X-Old"] != "k secretkey" || got["X-New"] != "me:secretkey" || got["X-Brace"] != "{KEY}" || !rules.headers[0].secret {
		t.Errorf("%v", got)
	}
	b := []byte("a me:secretkey b secretkey c me")
	mask(b, rules.headers[0].masks)
	if string(b) != "a ************ b ********* c me" {
		t.Errorf("%s", b)
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("xx secret12 secretsecret12"), "secret12", "12345678 9", 3)
	f.Fuzz(func(t *testing.T, text []byte, one, two string, size int) {
		var set headerSet
		set.hide(one)
		set.hide(two)
		want := bytes.Clone(text)
		mask(want, set.masks)
		var r io.Reader = bytes.NewReader(text)
		switch size % 3 {
		case 0:
			r = iotest.OneByteReader(r)
		case 1:
			r = iotest.HalfReader(r)
		default:
			r = iotest.DataErrReader(r)
		}
		got, err := io.ReadAll(&maskReader{body: io.NopCloser(r), secrets: set.masks})
		if err != nil || len(got) != len(text) {
			t.Fatalf("%d bytes of %d: %v", len(got), len(text), err)
		}
		for _, s := range set.masks {
			if bytes.Contains(got, s) && strings.Trim(string(s), "*") != "" {
				t.Errorf("%q has %q: %q", text, s, got)
			}
		}
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add("/a/*", "/a/b")
	f.Add("*/b", "/a/b")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := parsePath(pattern)
		if err == nil && p.matches(path) && pattern != "*" && !strings.Contains(path, strings.Trim(pattern, "*")) {
			t.Errorf("%q matches %q", pattern, path)
		}
	})
}

func FuzzParseField(f *testing.F) {
	f.Add("a: b")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseField(s); err == nil && (p.name == "" || strings.ContainsAny(p.name+p.value, "\r\n")) {
			t.Errorf("%q became %v", s, p)
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add("Bearer {KEY}", "{")
	f.Add("${KEY} {", "${")
	f.Fuzz(func(t *testing.T, s, open string) {
		if open == "" {
			return
		}
		got, used, err := expand(s, open, map[string]string{"KEY": "value"})
		if err != nil && (got != "" || used != nil) || err == nil && len(used) == 0 && got != s {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	})
}
