package egress

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/langsandbox/sandbox-go/gen"
)

// Rules is a proxy configuration made ready for use. It has the secrets of the
// configuration in it and is not changed after Compile.
type Rules struct {
	access    access
	headers   []headerRule
	callbacks []callback
}

// headerRule adds headers to matching requests.
type headerRule struct {
	name  string
	all   bool // matches every host
	hosts []glob
	paths []pathPattern
	wants []field
	headerSet
}

// headerSet is headers to add.
type headerSet struct {
	fields []field
	secret bool     // some value is one
	masks  [][]byte // what of it answers must not show
}

type field struct{ name, value string }

// Compile makes rules of a proxy configuration. Secrets are what the headers
// may name as {NAME}, and inject_headers as ${NAME}. An error is a
// *ConfigError.
//
// Entries of no_proxy are ignored, as by newer servers of the API: a sandbox
// has no way around its proxy.
func Compile(c gen.ProxyConfig, secrets map[string]string) (*Rules, error) {
	a, err := compileAccess(c.AccessControl)
	if err != nil {
		return nil, err
	}
	r := &Rules{access: a}
	for i := range c.Rules {
		rule, err := compileRule(&c.Rules[i], secrets, i)
		if err != nil {
			return nil, err
		}
		enabled := c.Rules[i].Enabled == nil || *c.Rules[i].Enabled
		if enabled && (rule.all || len(rule.hosts) > 0) {
			r.headers = append(r.headers, rule)
		}
	}
	for i := range c.Callbacks {
		cb, err := compileCallback(&c.Callbacks[i], i)
		if err != nil {
			return nil, err
		}
		r.callbacks = append(r.callbacks, cb)
	}
	return r, nil
}

func compileRule(r *gen.ProxyRule, secrets map[string]string, at int) (headerRule, error) {
	rule := headerRule{name: r.Name}
	if r.Type != "" && r.Type != "headers" {
		return rule, unsupported("rules that are not about headers", "rules", at, "type")
	}
	if r.AWS.AccessKeyID.Type != "" || r.AWS.RoleARN != "" || len(r.GCP.Scopes) > 0 || r.GCP.ServiceAccountJSON.Type != "" ||
		r.Azure.TenantID != "" || r.Azure.StorageAccount != "" || r.Rewrite != (gen.Rewrite{}) || r.RelayID != "" {
		return rule, unsupported("credentials of providers, rewrites and relays", "rules", at)
	}
	var err error
	if rule.hosts, err = compileHosts(r.MatchHosts, "rules", at, "match_hosts"); err != nil {
		return rule, err
	}
	for i, s := range r.MatchPaths {
		p, err := parsePath(s)
		if err != nil {
			return rule, badConfig(err.Error(), "rules", at, "match_paths", i)
		}
		rule.paths = append(rule.paths, p)
	}
	for i, s := range r.MatchHeaders {
		f, err := parseField(s)
		if err != nil {
			return rule, badConfig(err.Error(), "rules", at, "match_headers", i)
		}
		rule.wants = append(rule.wants, f)
	}
	if rule.headerSet, err = compileInjections(r, secrets, at); err != nil {
		return rule, err
	}
	rule.all = len(rule.hosts) == 0 && len(rule.fields) > 0
	if rule.all && rule.secret {
		return rule, badConfig("a rule with secrets must name its hosts", "rules", at, "match_hosts")
	}
	return rule, nil
}

func compileHosts(list []string, path ...any) ([]glob, error) {
	if len(list) > maxPatterns {
		return nil, badConfig("has more than 1000 entries", path...)
	}
	var hosts []glob
	for i, s := range list {
		g, err := parseGlob(s)
		if err != nil {
			return nil, badConfig(err.Error(), append(path, i)...)
		}
		hosts = append(hosts, g)
	}
	return hosts, nil
}

func compileInjections(r *gen.ProxyRule, secrets map[string]string, at int) (headerSet, error) {
	set := headerSet{}
	for name, template := range r.InjectHeaders {
		if err := set.addTemplate(name, template, "${", secrets); err != nil {
			return set, badConfig(err.Error(), "rules", at, "inject_headers", name)
		}
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if err := set.add(h, secrets); err != nil {
			return set, badConfig(err.Error(), "rules", at, "headers", i)
		}
	}
	slices.SortFunc(set.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(set.fields); i++ {
		if set.fields[i].name == set.fields[i-1].name {
			return set, badConfig("header "+set.fields[i].name+" is added twice", "rules", at, "headers")
		}
	}
	return set, nil
}

// add adds a header as its type asks.
func (s *headerSet) add(h *gen.ProxyHeader, secrets map[string]string) error {
	switch h.Type {
	case gen.ProxyHeaderPlaintext:
		return s.put(h.Name, h.Value)
	case gen.ProxyHeaderOpaque:
		s.hide(h.Value)
		return s.put(h.Name, h.Value)
	case gen.ProxyHeaderWorkspaceSecret:
		return s.addTemplate(h.Name, h.Value, "{", secrets)
	}
	return fmt.Errorf("header %s has no known type", h.Name)
}

// addTemplate adds a header whose value names secrets.
func (s *headerSet) addTemplate(name, template, open string, secrets map[string]string) error {
	value, used, err := expand(template, open, secrets)
	if err != nil {
		return err
	}
	for _, secret := range used {
		s.hide(secret)
	}
	if len(used) > 0 {
		s.hide(value)
	}
	return s.put(name, value)
}

// put adds a header. Those that are about a connection or name the host are
// the proxy's.
func (s *headerSet) put(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	name = http.CanonicalHeaderKey(name)
	if _, own := hopHeaders[name]; own || strings.HasPrefix(name, "Proxy-") {
		return fmt.Errorf("header %s cannot be added: it is the proxy's own", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("the value of header %s has bytes that no header may have", name)
	}
	s.fields = append(s.fields, field{name, value})
	return nil
}

var hopHeaders = map[string]struct{}{
	"Connection": {}, "Content-Length": {}, "Expect": {}, "Host": {}, "Keep-Alive": {}, "Te": {}, "Trailer": {},
	"Transfer-Encoding": {}, "Upgrade": {}, "Accept-Encoding": {}, "Range": {},
}

// minMask is the size from which on a text is a secret in an answer, too:
// shorter ones are found anywhere.
const minMask = 8

// hide has answers masked that show a secret, or a part of it.
func (s *headerSet) hide(secret string) {
	s.secret = true
	for _, text := range append(strings.Fields(secret), secret) {
		if len(text) >= minMask {
			s.masks = append(s.masks, []byte(text))
		}
	}
	// The longest first, since it has the others in it.
	slices.SortFunc(s.masks, func(a, b []byte) int { return len(b) - len(a) })
	s.masks = slices.CompactFunc(s.masks, slices.Equal)
}

// Intercepts reports whether some connection needs the proxy to end TLS, and
// so a sandbox that trusts its certificate authority.
func (r *Rules) Intercepts() bool {
	return len(r.callbacks) > 0 || slices.ContainsFunc(r.headers, func(h headerRule) bool { return len(h.fields) > 0 })
}

// intercepts reports whether requests to a host may get headers.
func (r *Rules) intercepts(e endpoint) bool {
	for i := range r.headers {
		if h := &r.headers[i]; len(h.fields) > 0 && h.onHost(e) {
			return true
		}
	}
	return slices.ContainsFunc(r.callbacks, func(c callback) bool { return matchesAny(c.hosts, e.name) })
}

// choose returns the rule for a request, or else its callback.
func (r *Rules) choose(e endpoint, req *http.Request) (*headerRule, *callback, error) {
	for i := range r.headers {
		h := &r.headers[i]
		if !h.onHost(e) {
			continue
		}
		if len(h.paths) > 0 && ambiguous(req.URL) {
			return nil, nil, malformed("rules about paths need one without dot segments and encoded slashes")
		}
		if h.onPath(req.URL.Path) && h.hasFields(req.Header) {
			return h, nil, nil
		}
	}
	for i := range r.callbacks {
		if c := &r.callbacks[i]; matchesAny(c.hosts, e.name) {
			return nil, c, nil
		}
	}
	return nil, nil, nil
}

func (h *headerRule) onHost(e endpoint) bool { return h.all || matchesAny(h.hosts, e.name) }

func (h *headerRule) onPath(path string) bool {
	return len(h.paths) == 0 || slices.ContainsFunc(h.paths, func(p pathPattern) bool { return p.matches(path) })
}

func (h *headerRule) hasFields(header http.Header) bool {
	for _, f := range h.wants {
		if !slices.Contains(header.Values(f.name), f.value) {
			return false
		}
	}
	return true
}
