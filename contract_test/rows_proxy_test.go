package contract_test

import "github.com/langsandbox/sandbox-go/sandboxclient"

// fullProxy and denyingProxy have all that a proxy can be told, each but for
// what the other has and excludes.
func fullProxy() sandboxclient.ProxyConfig {
	headers := []sandboxclient.ProxyHeader{{Name: "authorization", Type: sandboxclient.ProxyHeaderOpaque, Value: "secret"}}
	return sandboxclient.ProxyConfig{
		AccessControl: sandboxclient.AllowOnly("h.test", "*.h.test"),
		Rules: []sandboxclient.ProxyRule{
			{
				Name: "r", Type: "headers", Enabled: new(false), MatchHosts: []string{"h.test"}, MatchPaths: []string{"/a"},
				InjectHeaders: map[string]string{"A": "b"}, Headers: headers, MatchHeaders: []string{"a: b"},
				EnvVars: map[string]string{"A": "b"}, Description: "d",
			},
			sandboxclient.AWSRule(sandboxclient.WorkspaceSecret("A"), sandboxclient.OpaqueSecret("b")),
			sandboxclient.GCPRule(sandboxclient.OpaqueSecret("a"), "s"),
			azureRule(azureIdentity()), azureRule(azureKey()), azureRule(azureToken()),
			{Name: "relay", Type: "relay", RelayID: "r"},
			{Name: "host", Rewrite: sandboxclient.Rewrite{Port: 443, Host: "h", Credentials: sandboxclient.RewriteKeep}},
			{Name: "sandbox", Rewrite: sandboxclient.Rewrite{Port: 80, Sandbox: "s"}},
		},
		Callbacks: []sandboxclient.ProxyCallback{
			{MatchHosts: []string{"h.test"}, URL: "https://c.test", TTLSeconds: 60, RequestHeaders: headers, FullRequest: true},
		},
		NoProxy: []string{"localhost"}, Description: "d",
	}
}

func denyingProxy() sandboxclient.ProxyConfig {
	return sandboxclient.ProxyConfig{
		AccessControl: sandboxclient.DenyOnly("h.test"),
		Rules: []sandboxclient.ProxyRule{
			{Name: "aws", Type: "aws", AWS: sandboxclient.AWSAuth{RoleARN: "arn", SubjectScope: "workspace", SessionTags: map[string]string{"a": "b"}}},
			{Name: "gcp", Type: "gcp", GCP: gcpIdentity()},
		},
	}
}

func azureRule(auth sandboxclient.AzureAuth) sandboxclient.ProxyRule {
	return sandboxclient.ProxyRule{Name: "azure", Type: "azure", Azure: auth}
}

func azureIdentity() sandboxclient.AzureAuth {
	return sandboxclient.AzureAuth{TenantID: "t", ClientID: "c", Resources: []string{"storage"}, SubjectScope: "workspace"}
}

func azureKey() sandboxclient.AzureAuth {
	return sandboxclient.AzureAuth{StorageAccount: "abc", AccountKey: sandboxclient.OpaqueSecret("k")}
}

func azureToken() sandboxclient.AzureAuth {
	return sandboxclient.AzureAuth{StorageAccount: "abc", SASToken: sandboxclient.OpaqueSecret("t")}
}

func gcpIdentity() sandboxclient.GCPAuth {
	return sandboxclient.GCPAuth{WorkloadIdentityProvider: "p", ServiceAccountEmail: "e", SubjectScope: "workspace", Scopes: []string{"s"}}
}

// fullMounts have all mounts there are; together, all credentials too.
func fullMounts(auth sandboxclient.MountAuth) sandboxclient.MountConfig {
	s3 := sandboxclient.S3Mount("s3", "/mnt/s3", "b")
	s3.S3.Prefix, s3.ReadOnly = "p", new(false)
	s3.Cache = sandboxclient.MountCache{MaxSizeBytes: 1, WritebackSeconds: 1}
	s3.Encryption = sandboxclient.MountEncryption{KMSKey: "k"}
	gcs := sandboxclient.GCSMount("gcs", "/mnt/gcs", "b")
	gcs.GCS.Prefix = "p"
	git := sandboxclient.GitMount("git", "/mnt/git", "https://git.test/o/r.git")
	git.Git.Ref, git.Git.RefreshIntervalSeconds = sandboxclient.GitRef{Type: sandboxclient.GitTag, Name: "v1"}, 60
	hub := sandboxclient.ContextHubMount("hub", "/mnt/hub", "-/agent")
	hub.ContextHub.InitialPullOnly = new(true)
	return sandboxclient.MountConfig{Auth: auth, Mounts: []sandboxclient.Mount{s3, gcs, git, hub, {
		ID: "azure", Type: sandboxclient.MountAzureBlob, MountPath: "/mnt/azure",
		AzureBlob: sandboxclient.AzureBlobSource{StorageAccount: "abc", Container: "c", Prefix: "p"},
	}}}
}

var mountAuths = []sandboxclient.MountAuth{
	{
		AWS: sandboxclient.AWSAuth{AccessKeyID: sandboxclient.WorkspaceSecret("A"), SecretAccessKey: sandboxclient.OpaqueSecret("b")},
		GCP: sandboxclient.GCPAuth{ServiceAccountJSON: sandboxclient.OpaqueSecret("a")}, Azure: azureKey(),
	},
	{AWS: sandboxclient.AWSAuth{RoleARN: "arn", SubjectScope: "workspace"}, GCP: gcpIdentity(), Azure: azureIdentity()},
	{AWS: sandboxclient.AWSAuth{RoleARN: "arn"}, GCP: gcpIdentity(), Azure: azureToken()},
}
