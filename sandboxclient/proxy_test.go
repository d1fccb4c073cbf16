package sandboxclient_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var (
	named = sandboxclient.WorkspaceSecret("KEY")
	kept  = sandboxclient.OpaqueSecret("hunter2")
)

func rules(r ...sandboxclient.ProxyRule) sandboxclient.ProxyConfig {
	return sandboxclient.ProxyConfig{Rules: r}
}

// TestProxyBuilders: what they make is what the wire has.
func TestProxyBuilders(t *testing.T) {
	t.Parallel()
	config := sandboxclient.ProxyConfig{
		AccessControl: sandboxclient.AllowOnly("a.test"),
		Rules: []sandboxclient.ProxyRule{
			sandboxclient.BearerRule("api", named, "api.test"),
			sandboxclient.HeaderRule("own", []string{"h.test"}, sandboxclient.ProxyHeader{Name: "X-A", Type: sandboxclient.ProxyHeaderPlaintext, Value: "b"}),
		},
		Callbacks: []sandboxclient.ProxyCallback{sandboxclient.Callback("https://c.test", 60, "h.test")},
	}
	if err := sandboxclient.CheckProxy(config); err != nil {
		t.Error(err)
	}
	const want = `{"access_control":{"allow_list":["a.test"]},
		"callbacks":[{"match_hosts":["h.test"],"ttl_seconds":60,"url":"https://c.test"}],
		"rules":[
			{"name":"api","enabled":true,"match_hosts":["api.test"],"headers":[{"name":"Authorization","type":"workspace_secret","value":"Bearer {KEY}"}]},
			{"name":"own","enabled":true,"match_hosts":["h.test"],"headers":[{"name":"X-A","type":"plaintext","value":"b"}]}]}`
	if diff := cmp.Diff(decodeAny(t, want), decodeAny(t, encode(t, config))); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if got := encode(t, sandboxclient.DenyOnly("a", "b")); got != `{"deny_list":["a","b"]}` {
		t.Errorf("deny list %s", got)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func decodeAny(t *testing.T, raw string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBadProxies are refused, and no secret is in the reason.
func TestBadProxies(t *testing.T) {
	t.Parallel()
	aws, gcp := sandboxclient.AWSRule(named, kept), sandboxclient.GCPRule(kept, "s")
	change := func(r sandboxclient.ProxyRule, f func(*sandboxclient.ProxyRule)) sandboxclient.ProxyConfig {
		f(&r)
		return rules(r)
	}
	azure := func(a sandboxclient.AzureAuth) sandboxclient.ProxyConfig {
		return rules(sandboxclient.ProxyRule{Name: "r", Type: "azure", Azure: a})
	}
	for want, config := range map[string]sandboxclient.ProxyConfig{
		"have 2 rules for AWS":           rules(aws, aws),
		"has type gcp and not":           rules(sandboxclient.ProxyRule{Name: "r", Type: "gcp"}),
		"only the type aws can have":     change(aws, func(r *sandboxclient.ProxyRule) { r.Type = "" }),
		"which the type aws cannot have": change(aws, func(r *sandboxclient.ProxyRule) { r.MatchPaths = []string{"/a"} }),
		"have neither keys nor a role":   change(aws, func(r *sandboxclient.ProxyRule) { r.AWS = sandboxclient.AWSAuth{SubjectScope: "workspace"} }),
		"have both keys and a role":      change(aws, func(r *sandboxclient.ProxyRule) { r.AWS.RoleARN = "arn" }),
		"session tags, which go with":    change(aws, func(r *sandboxclient.ProxyRule) { r.AWS.SessionTags = map[string]string{"a": "b"} }),
		"secret access key has type":     change(aws, func(r *sandboxclient.ProxyRule) { r.AWS.SecretAccessKey = sandboxclient.SecretValue{} }),
		"has a } without {":              rules(sandboxclient.AWSRule(sandboxclient.WorkspaceSecret("hunter2}"), kept)),
		"secrets as {NAME}":              rules(sandboxclient.AWSRule(sandboxclient.WorkspaceSecret("{hunter2"), kept)),
		"has no value":                   rules(sandboxclient.AWSRule(sandboxclient.OpaqueSecret(" "), kept)),
		"has no scopes":                  rules(sandboxclient.GCPRule(kept)),
		"scope is empty":                 rules(sandboxclient.GCPRule(kept, "")),
		"or a workload identity":         change(gcp, func(r *sandboxclient.ProxyRule) { r.GCP.WorkloadIdentityProvider = "p" }),
		"an account key or a SAS token":  azure(sandboxclient.AzureAuth{TenantID: "t", ClientID: "c", AccountKey: kept}),
		"without tenant or client":       azure(sandboxclient.AzureAuth{TenantID: "t"}),
		"a host or a sandbox":            rules(sandboxclient.ProxyRule{Name: "r", Rewrite: sandboxclient.Rewrite{Port: 1, Host: "a", Sandbox: "b"}}),
		"have no value for A":            change(gcp, func(r *sandboxclient.ProxyRule) { r.EnvVars = map[string]string{"A": " "} }),
		"host of a proxy rule is empty":  rules(sandboxclient.HeaderRule("r", []string{""})),
		"name of a header of":            rules(sandboxclient.HeaderRule("r", nil, sandboxclient.ProxyHeader{})),
		"no http or https address":       {Callbacks: []sandboxclient.ProxyCallback{sandboxclient.Callback("ftp://hunter2@c.test", 60, "h")}},
		"callback has no hosts":          {Callbacks: []sandboxclient.ProxyCallback{sandboxclient.Callback("https://c.test", 60)}},
		"callback is 59, less than 60":   {Callbacks: []sandboxclient.ProxyCallback{sandboxclient.Callback("https://c.test", 59, "h")}},
		"cannot be a workspace secret": {Callbacks: []sandboxclient.ProxyCallback{{
			URL: "https://c.test", TTLSeconds: 60, MatchHosts: []string{"h"},
			RequestHeaders: []sandboxclient.ProxyHeader{{Name: "a", Type: sandboxclient.ProxyHeaderWorkspaceSecret}},
		}}},
	} {
		refusedFor(t, sandboxclient.CheckProxy(config), want)
	}
	if err := sandboxclient.CheckProxy(sandboxclient.ProxyConfig{}); err != nil {
		t.Errorf("an empty configuration: %v", err)
	}
	// What was read can be sent back, although the secrets are not in it.
	if err := sandboxclient.CheckProxy(rules(sandboxclient.AWSRule(sandboxclient.SecretValue{Type: sandboxclient.ProxyHeaderOpaque, IsSet: true}, named))); err != nil {
		t.Error(err)
	}
}

func refusedFor(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[*sandboxclient.ArgumentError](err); !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// TestBadMounts are refused.
func TestBadMounts(t *testing.T) {
	t.Parallel()
	s3, git := sandboxclient.S3Mount("s3", "/a", "b"), sandboxclient.GitMount("git", "/b", "https://g.test/o/r")
	aws := sandboxclient.MountAuth{AWS: sandboxclient.AWSAuth{AccessKeyID: named, SecretAccessKey: kept}}
	mounts := func(auth sandboxclient.MountAuth, m ...sandboxclient.Mount) sandboxclient.MountConfig {
		return sandboxclient.MountConfig{Auth: auth, Mounts: m}
	}
	change := func(m sandboxclient.Mount, f func(*sandboxclient.Mount)) sandboxclient.MountConfig {
		f(&m)
		auth := sandboxclient.MountAuth{}
		if m.Type == sandboxclient.MountS3 {
			auth = aws
		}
		return mounts(auth, m)
	}
	for want, config := range map[string]sandboxclient.MountConfig{
		"mounts are none":               {},
		"need AWS credentials":          mounts(sandboxclient.MountAuth{}, s3),
		"AWS credentials that none":     mounts(aws, git),
		"have session tags":             mounts(sandboxclient.MountAuth{AWS: sandboxclient.AWSAuth{RoleARN: "a", SessionTags: map[string]string{"a": "b"}}}, s3),
		"letters, digits":               change(git, func(m *sandboxclient.Mount) { m.ID = "a b" }),
		"not an absolute path":          change(git, func(m *sandboxclient.Mount) { m.MountPath = "a" }),
		"unknown type":                  change(git, func(m *sandboxclient.Mount) { m.Type = "nfs" }),
		"and nothing else":              change(git, func(m *sandboxclient.Mount) { m.S3 = s3.S3 }),
		"cannot be read-only":           change(git, func(m *sandboxclient.Mount) { m.ReadOnly = new(true) }),
		"which buckets alone have":      change(git, func(m *sandboxclient.Mount) { m.Cache.MaxSizeBytes = 1 }),
		"writeback of mount s3 is -1":   change(s3, func(m *sandboxclient.Mount) { m.Cache.WritebackSeconds = -1 }),
		"region of mount s3 is empty":   change(s3, func(m *sandboxclient.Mount) { m.S3.Region = "" }),
		"prefix of mount s3 is empty":   change(s3, func(m *sandboxclient.Mount) { m.S3.Prefix = " " }),
		"holds credentials":             change(git, func(m *sandboxclient.Mount) { m.Git.RemoteURL = "https://u:hunter2@g.test/o" }),
		"query or a fragment":           change(git, func(m *sandboxclient.Mount) { m.Git.RemoteURL = "https://g.test/o?a" }),
		"not https with a host":         change(git, func(m *sandboxclient.Mount) { m.Git.RemoteURL = "http://g.test/o" }),
		"is no address":                 change(git, func(m *sandboxclient.Mount) { m.Git.RemoteURL = "https://g.test/o r" }),
		"use branch or tag":             change(git, func(m *sandboxclient.Mount) { m.Git.Ref = sandboxclient.GitRef{Type: "commit", Name: "a"} }),
		"refresh interval of mount git": change(git, func(m *sandboxclient.Mount) { m.Git.RefreshIntervalSeconds = -1 }),
		"not owner/repo":                mounts(sandboxclient.MountAuth{}, sandboxclient.ContextHubMount("hub", "/a", "repo")),
	} {
		refusedFor(t, sandboxclient.CheckMounts(config, sandboxclient.ProxyConfig{}), want)
	}
	signing := rules(sandboxclient.AWSRule(named, kept))
	if err := sandboxclient.CheckMounts(mounts(sandboxclient.MountAuth{}, s3), signing); err != nil {
		t.Errorf("a bucket with the proxy's credentials: %v", err)
	}
	refusedFor(t, sandboxclient.CheckMounts(mounts(aws, s3), signing), "give them once")
}
