package sandboxclient

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// What the official clients say when the caller does not.
const (
	s3Region   = "us-east-1"
	s3Endpoint = "https://s3.amazonaws.com"
)

// S3Mount shows a bucket of S3 at a path of the sandbox, or one of a store
// that speaks its protocol: region, address and the rest are fields of the
// mount's S3. It needs AWS credentials.
func S3Mount(id, path, bucket string) Mount {
	return Mount{ID: id, MountPath: path, Type: MountS3, S3: S3Source{
		Bucket: bucket, Region: s3Region, EndpointURL: s3Endpoint, PathStyle: new(false),
	}}
}

// GCSMount shows a bucket of Google Cloud Storage at a path of the sandbox. It
// needs Google Cloud credentials.
func GCSMount(id, path, bucket string) Mount {
	return Mount{ID: id, MountPath: path, Type: MountGCS, GCS: GCSSource{Bucket: bucket}}
}

// GitMount shows a Git repository, at an https address without credentials, at
// a path of the sandbox.
func GitMount(id, path, remoteURL string) Mount {
	return Mount{ID: id, MountPath: path, Type: MountGit, Git: GitSource{RemoteURL: remoteURL}}
}

// ContextHubMount mirrors a repository of the Context Hub, owner/repo, at a
// path of the sandbox. The owner - is the own workspace.
func ContextHubMount(id, path, repo string) Mount {
	return Mount{ID: id, MountPath: path, Type: MountContextHub, ContextHub: ContextHubSource{Repo: repo}}
}

// CheckMounts refuses what no server takes of the mounts of a sandbox with
// such a proxy, whose rules may have the credentials for a bucket of S3, and a
// bucket without an address, which older servers need and [S3Mount] fills in.
// Requests that hold mounts are checked too, but for the address. Its error is
// an [ArgumentError].
func CheckMounts(config MountConfig, proxy ProxyConfig) error {
	ck := checks{op: "check mounts"}
	if len(config.Mounts) == 0 {
		ck.fail("mounts", "are none")
	}
	for _, m := range config.Mounts {
		if m.Type == MountS3 {
			ck.required("address of mount "+m.ID, m.S3.EndpointURL)
		}
	}
	ck.mounts(config, proxy)
	return ck.err
}

func (c *checks) mounts(m MountConfig, proxy ProxyConfig) {
	if !given(m) {
		return
	}
	if len(m.Mounts) == 0 {
		c.fail("mounts", "are none, but credentials for some")
	}
	types := map[MountType]bool{}
	for _, mount := range m.Mounts {
		c.mount(mount)
		types[mount.Type] = true
	}
	c.aws(m.Auth.AWS)
	c.gcp(m.Auth.GCP)
	c.azure(m.Auth.Azure)
	if len(m.Auth.AWS.SessionTags) > 0 {
		c.fail("AWS credentials of the mounts", "have session tags, which are for proxy rules")
	}
	for _, p := range []struct {
		name  string
		mount MountType
		auth  bool
	}{
		{"AWS", MountS3, given(m.Auth.AWS)},
		{"Google Cloud", MountGCS, given(m.Auth.GCP)},
		{"Azure", MountAzureBlob, given(m.Auth.Azure)},
	} {
		if types[p.mount] && !p.auth && (p.mount != MountS3 || !signs(proxy)) {
			c.fail("mounts", "need %s credentials", p.name)
		}
		if p.auth && !types[p.mount] {
			c.fail("mounts", "have %s credentials that none of them uses", p.name)
		}
	}
	for _, r := range proxy.Rules {
		if given(m.Auth.AWS) && r.Type == ruleAWS || given(m.Auth.GCP) && r.Type == ruleGCP || given(m.Auth.Azure) && r.Type == ruleAzure {
			c.fail("credentials", "for %s are given to the mounts and to the proxy; give them once", r.Type)
		}
	}
}

// signs reports whether the proxy has credentials for S3.
func signs(p ProxyConfig) bool {
	for _, r := range p.Rules {
		if r.Type == ruleAWS && (r.Enabled == nil || *r.Enabled) {
			return true
		}
	}
	return false
}

var mountID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (c *checks) mount(m Mount) {
	if !mountID.MatchString(m.ID) {
		c.fail("id of a mount", "is %q; it has 1 to 64 letters, digits, _ and -", m.ID)
	}
	if !strings.HasPrefix(m.MountPath, "/") {
		c.fail("path of mount "+m.ID, "is %q, not an absolute path", m.MountPath)
	}
	sources := map[MountType]bool{
		MountS3: given(m.S3), MountGCS: given(m.GCS), MountGit: given(m.Git), MountContextHub: given(m.ContextHub), MountAzureBlob: given(m.AzureBlob),
	}
	if _, known := sources[m.Type]; !known {
		c.fail("mount "+m.ID, "has the unknown type %q", m.Type)
	}
	for source, has := range sources {
		if has != (source == m.Type) {
			c.fail("mount "+m.ID, "must have what belongs to its type %s, and nothing else", m.Type)
		}
	}
	if m.Type == MountGit && m.ReadOnly != nil && *m.ReadOnly {
		c.fail("mount "+m.ID, "cannot be read-only, as it is of a Git repository")
	}
	if given(m.Cache) && m.Type != MountS3 && m.Type != MountGCS && m.Type != MountAzureBlob {
		c.fail("mount "+m.ID, "has a cache, which buckets alone have")
	}
	c.atLeastZero("cache of mount "+m.ID, m.Cache.MaxSizeBytes)
	c.atLeastZero("writeback of mount "+m.ID, int64(m.Cache.WritebackSeconds))
	c.source(m)
}

func (c *checks) source(m Mount) {
	switch m.Type {
	case MountS3:
		c.required("bucket of mount "+m.ID, m.S3.Bucket)
		c.required("region of mount "+m.ID, m.S3.Region)
		c.notBlank("address of mount "+m.ID, m.S3.EndpointURL)
		c.notBlank("prefix of mount "+m.ID, m.S3.Prefix)
	case MountGCS:
		c.required("bucket of mount "+m.ID, m.GCS.Bucket)
		c.notBlank("prefix of mount "+m.ID, m.GCS.Prefix)
	case MountGit:
		c.git(m.ID, m.Git)
	case MountContextHub:
		if owner, repo, ok := strings.Cut(m.ContextHub.Repo, "/"); !ok || strings.TrimSpace(owner) == "" || strings.TrimSpace(repo) == "" {
			c.fail("repository of mount "+m.ID, "is %q, not owner/repo", m.ContextHub.Repo)
		}
	case MountAzureBlob:
		c.required("storage account of mount "+m.ID, m.AzureBlob.StorageAccount)
		c.required("container of mount "+m.ID, m.AzureBlob.Container)
		c.notBlank("prefix of mount "+m.ID, m.AzureBlob.Prefix)
	}
}

// notBlank checks a text that may be left out.
func (c *checks) notBlank(argument, text string) {
	if text != "" {
		c.required(argument, text)
	}
}

func (c *checks) git(id string, g GitSource) {
	argument := "address of mount " + id
	u, err := url.Parse(g.RemoteURL)
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	switch {
	case strings.ContainsFunc(g.RemoteURL, odd) || err != nil:
		c.fail(argument, "is no address")
	case u.User != nil: // not repeated: it holds a secret
		c.fail(argument, "holds credentials")
	case u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") == "":
		c.fail(argument, "is %q, not https with a host and a path", g.RemoteURL)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(g.RemoteURL, "#"):
		c.fail(argument, "has a query or a fragment")
	}
	if given(g.Ref) {
		if g.Ref.Type != GitBranch && g.Ref.Type != GitTag {
			c.fail("reference of mount "+id, "has type %q; use %s or %s", g.Ref.Type, GitBranch, GitTag)
		}
		c.required("reference of mount "+id, g.Ref.Name)
	}
	c.atLeastZero("refresh interval of mount "+id, int64(g.RefreshIntervalSeconds))
}
