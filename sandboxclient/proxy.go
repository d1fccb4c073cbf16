package sandboxclient

import (
	"net/url"
	"reflect"
	"strings"
)

// Types of proxy rules. Rules without a type add headers.
const (
	ruleAWS   = "aws"
	ruleGCP   = "gcp"
	ruleAzure = "azure"
	ruleRelay = "relay"
)

// HeaderRule adds headers to requests to hosts, which may be patterns such as
// *.example.com.
func HeaderRule(name string, hosts []string, headers ...ProxyHeader) ProxyRule {
	return ProxyRule{Name: name, Enabled: new(true), MatchHosts: hosts, Headers: headers}
}

// BearerRule adds an Authorization header with a token to requests to hosts.
func BearerRule(name string, token SecretValue, hosts ...string) ProxyRule {
	return HeaderRule(name, hosts, ProxyHeader{Name: "Authorization", Type: token.Type, Value: "Bearer " + token.Value})
}

// AWSRule signs requests to AWS with a key pair. For a role, set the rule's
// AWS.RoleARN in place of the keys. A sandbox has one such rule at most.
func AWSRule(accessKeyID, secretAccessKey SecretValue) ProxyRule {
	return ProxyRule{
		Name: ruleAWS, Type: ruleAWS, Enabled: new(true),
		AWS: AWSAuth{AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey},
	}
}

// GCPRule authenticates requests to Google Cloud with a service account and
// those OAuth scopes.
func GCPRule(serviceAccountJSON SecretValue, scopes ...string) ProxyRule {
	return ProxyRule{
		Name: ruleGCP, Type: ruleGCP, Enabled: new(true),
		GCP: GCPAuth{ServiceAccountJSON: serviceAccountJSON, Scopes: scopes},
	}
}

// Callback asks an endpoint for the headers of requests to hosts, and keeps
// its answers for so many seconds, 60 to 3600. The endpoint can check who asks
// with Verifier.Callback of package sandboxauth.
func Callback(endpoint string, ttlSeconds int, hosts ...string) ProxyCallback {
	return ProxyCallback{URL: endpoint, TTLSeconds: ttlSeconds, MatchHosts: hosts}
}

// AllowOnly lets a sandbox reach these hosts alone: host, host:port,
// *.example.com, ~regexp, address or CIDR.
func AllowOnly(hosts ...string) AccessControl { return AccessControl{AllowList: hosts} }

// DenyOnly lets a sandbox reach all but these hosts, in the same notation.
func DenyOnly(hosts ...string) AccessControl { return AccessControl{DenyList: hosts} }

// CheckProxy refuses what no server takes of a proxy configuration, and lists
// that are empty, which is rarely what was meant. Requests that hold one are
// checked too, but for empty lists. Its error is an [ArgumentError].
func CheckProxy(config ProxyConfig) error {
	ck := checks{op: "check proxy"}
	if config.NoProxy != nil && len(config.NoProxy) == 0 {
		ck.fail("list of hosts that bypass the proxy", "is empty; leave it out")
	}
	for _, r := range config.Rules {
		if r.EnvVars != nil && len(r.EnvVars) == 0 {
			ck.fail("environment variables of proxy rule "+r.Name, "are none; leave them out")
		}
	}
	ck.proxy(config)
	return ck.err
}

func (c *checks) proxy(p ProxyConfig) {
	if len(p.AccessControl.AllowList) > 0 && len(p.AccessControl.DenyList) > 0 {
		c.fail("access control", "has both an allow list and a deny list")
	}
	c.all("host of the access control", p.AccessControl.AllowList)
	c.all("host of the access control", p.AccessControl.DenyList)
	c.all("host that bypasses the proxy", p.NoProxy)
	aws := 0
	for _, r := range p.Rules {
		c.rule(r)
		if given(r.AWS) {
			aws++
		}
	}
	if aws > 1 {
		c.fail("proxy rules", "have %d rules for AWS; a sandbox has one at most", aws)
	}
	for _, cb := range p.Callbacks {
		c.callback(cb)
	}
}

// all checks that no text of a list is blank.
func (c *checks) all(argument string, texts []string) {
	for _, text := range texts {
		c.required(argument, text)
	}
}

// given reports whether anything is set.
func given[T any](v T) bool { return !reflect.ValueOf(v).IsZero() }

func (c *checks) rule(r ProxyRule) {
	c.required("name of a proxy rule", r.Name)
	c.all("host of a proxy rule", r.MatchHosts)
	c.ruleEnv(r.EnvVars)
	for _, kind := range []struct {
		name string
		has  bool
	}{{ruleAWS, given(r.AWS)}, {ruleGCP, given(r.GCP)}, {ruleAzure, given(r.Azure)}, {ruleRelay, r.RelayID != ""}} {
		switch {
		case r.Type == kind.name && !kind.has:
			c.fail("proxy rule "+r.Name, "has type %s and not what it needs", kind.name)
		case r.Type != kind.name && kind.has:
			c.fail("proxy rule "+r.Name, "has what only the type %s can have", kind.name)
		case kind.has && len(r.Headers)+len(r.InjectHeaders)+len(r.MatchPaths) > 0:
			c.fail("proxy rule "+r.Name, "has headers or paths, which the type %s cannot have", kind.name)
		}
	}
	for _, h := range r.Headers {
		c.header("header of proxy rule "+r.Name, h)
	}
	c.rewrite(r)
	c.aws(r.AWS)
	c.gcp(r.GCP)
	if given(r.GCP.ServiceAccountJSON) && len(r.GCP.Scopes) == 0 {
		c.fail("proxy rule "+r.Name, "has no scopes")
	}
	c.azure(r.Azure)
}

func (c *checks) ruleEnv(env map[string]string) {
	c.env("environment variables of a proxy rule", env)
	for name, value := range env {
		if name != strings.TrimSpace(name) {
			c.fail("environment variables of a proxy rule", "have the name %q, with blanks around", name)
		}
		if strings.TrimSpace(value) == "" {
			c.fail("environment variables of a proxy rule", "have no value for %s", name)
		}
	}
}

func (c *checks) header(argument string, h ProxyHeader) {
	c.required("name of a "+argument, h.Name)
	c.required("type of a "+argument, string(h.Type))
}

func (c *checks) rewrite(r ProxyRule) {
	if to := r.Rewrite; given(to) && (to.Host == "") == (to.Sandbox == "") {
		c.fail("proxy rule "+r.Name, "must go to a host or a sandbox, one of the two")
	}
}

func (c *checks) callback(cb ProxyCallback) {
	u, err := url.Parse(cb.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.fail("address of a proxy callback", "is no http or https address")
	}
	if len(cb.MatchHosts) == 0 {
		c.fail("proxy callback", "has no hosts")
	}
	c.all("host of a proxy callback", cb.MatchHosts)
	c.between("seconds of a proxy callback", cb.TTLSeconds, 60, 3600)
	for _, h := range cb.RequestHeaders {
		c.header("header of a proxy callback", h)
		if h.Type == ProxyHeaderWorkspaceSecret {
			c.fail("header of a proxy callback", "cannot be a workspace secret")
		}
	}
}

func (c *checks) aws(a AWSAuth) {
	keys := given(a.AccessKeyID) || given(a.SecretAccessKey)
	switch {
	case !given(a):
	case a.RoleARN == "" && !keys:
		c.fail("AWS credentials", "have neither keys nor a role")
	case a.RoleARN != "" && keys:
		c.fail("AWS credentials", "have both keys and a role")
	case keys:
		c.secret("AWS access key id", a.AccessKeyID)
		c.secret("AWS secret access key", a.SecretAccessKey)
		if len(a.SessionTags) > 0 {
			c.fail("AWS credentials", "have session tags, which go with a role")
		}
	}
}

func (c *checks) gcp(g GCPAuth) {
	key := given(g.ServiceAccountJSON)
	switch {
	case !given(g):
	case key == (g.WorkloadIdentityProvider != ""):
		c.fail("Google Cloud credentials", "must have a service account or a workload identity, one of the two")
	case key:
		c.secret("Google Cloud service account", g.ServiceAccountJSON)
	}
	c.all("Google Cloud scope", g.Scopes)
}

func (c *checks) azure(a AzureAuth) {
	identity := a.TenantID != "" || a.ClientID != ""
	ways := 0
	for _, way := range []bool{identity, given(a.AccountKey), given(a.SASToken)} {
		if way {
			ways++
		}
	}
	switch {
	case !given(a):
	case ways != 1:
		c.fail("Azure credentials", "must have a workload identity, an account key or a SAS token, one of the three")
	case identity && (a.TenantID == "" || a.ClientID == ""):
		c.fail("Azure credentials", "have a workload identity without tenant or client")
	case given(a.AccountKey):
		c.secret("Azure account key", a.AccountKey)
	case given(a.SASToken):
		c.secret("Azure SAS token", a.SASToken)
	}
}
