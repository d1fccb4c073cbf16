package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// errUnwritable stands for what a Go program that compiles cannot say, such as
// a member that its type does not have.
var errUnwritable = errors.New("does not compile")

// builds are the helpers that make parts of requests, which send nothing.
var builds = map[string]func(v *vector) (any, error){
	"BuildWorkspaceSecret": func(v *vector) (any, error) {
		return checkedSecret(sandboxclient.WorkspaceSecret(arg[string](v, "name")))
	},
	"BuildOpaqueSecret": func(v *vector) (any, error) {
		return checkedSecret(sandboxclient.OpaqueSecret(arg[string](v, "value")))
	},
	"BuildAWSAuth": func(v *vector) (any, error) {
		rule := sandboxclient.AWSRule(arg[sandboxclient.SecretValue](v, "access_key_id"), arg[sandboxclient.SecretValue](v, "secret_access_key"))
		rule.EnvVars = arg[map[string]string](v, "env_vars")
		return rule, sandboxclient.CheckProxy(sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{rule}})
	},
	"BuildGCPAuth": func(v *vector) (any, error) {
		rule := sandboxclient.GCPRule(arg[sandboxclient.SecretValue](v, "service_account_json"), arg[[]string](v, "scopes")...)
		rule.EnvVars = arg[map[string]string](v, "env_vars")
		if name, named := v.Call.Args["name"]; named {
			must(json.Unmarshal(name, &rule.Name))
		}
		checked := rule
		if len(checked.GCP.Scopes) == 0 { // as for mounts, which need none
			checked.GCP.Scopes = []string{"any"}
		}
		return rule, sandboxclient.CheckProxy(sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{checked}})
	},
	"BuildProxyConfig": func(v *vector) (any, error) {
		config, err := strictly[sandboxclient.ProxyConfig](v.Call.Args)
		return config, errors.Join(err, sandboxclient.CheckProxy(config))
	},
	"BuildS3Mount": func(v *vector) (any, error) {
		m := sandboxclient.S3Mount(arg[string](v, "id"), arg[string](v, "mount_path"), arg[string](v, "bucket"))
		fill(v, map[string]any{
			"region": &m.S3.Region, "prefix": &m.S3.Prefix, "endpoint_url": &m.S3.EndpointURL, "path_style": &m.S3.PathStyle,
			"read_only": &m.ReadOnly, "cache": &m.Cache,
		})
		return checkedMount(m)
	},
	"BuildGCSMount": func(v *vector) (any, error) {
		m := sandboxclient.GCSMount(arg[string](v, "id"), arg[string](v, "mount_path"), arg[string](v, "bucket"))
		fill(v, map[string]any{"prefix": &m.GCS.Prefix})
		return checkedMount(m)
	},
	"BuildGitMount": func(v *vector) (any, error) {
		m := sandboxclient.GitMount(arg[string](v, "id"), arg[string](v, "mount_path"), arg[string](v, "remote_url"))
		fill(v, map[string]any{"ref": &m.Git.Ref, "refresh_interval_seconds": &m.Git.RefreshIntervalSeconds})
		return checkedMount(m)
	},
	"BuildContextHubMount": func(v *vector) (any, error) {
		m := sandboxclient.ContextHubMount(arg[string](v, "id"), arg[string](v, "mount_path"), arg[string](v, "repo"))
		fill(v, map[string]any{"initial_pull_only": &m.ContextHub.InitialPullOnly})
		return checkedMount(m)
	},
	"BuildMountConfig": func(v *vector) (any, error) {
		mounts, err := strictly[[]sandboxclient.Mount](v.Call.Args["mounts"])
		config := sandboxclient.MountConfig{Mounts: mounts}
		for _, rule := range arg[[]sandboxclient.ProxyRule](v, "auth") {
			switch {
			case rule.Type == "aws" && config.Auth.AWS.AccessKeyID.Type == "":
				config.Auth.AWS = rule.AWS
			case rule.Type == "gcp":
				config.Auth.GCP = sandboxclient.GCPAuth{ServiceAccountJSON: rule.GCP.ServiceAccountJSON}
			default:
				err = errUnwritable
			}
		}
		return config, errors.Join(err, sandboxclient.CheckMounts(config, sandboxclient.ProxyConfig{}))
	},
}

// vectorCallOf is the call of an operation, or nil for one that is not there.
func vectorCallOf(op string) vectorCall {
	if build, ok := builds[op]; ok {
		return func(_ context.Context, _ *sandboxclient.Client, v *vector) (any, error) { return build(v) }
	}
	if call, ok := serviceCalls[op]; ok {
		return call
	}
	return vectorCalls[op]
}

// strictly decodes what has no members but those of T.
func strictly[T any](from any) (value T, err error) {
	raw, err := json.Marshal(from)
	must(err)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return value, fmt.Errorf("%w: %w", errUnwritable, err)
	}
	return value, nil
}

// fill sets what the arguments have.
func fill(v *vector, fields map[string]any) {
	for name, field := range fields {
		if raw, ok := v.Call.Args[name]; ok {
			must(json.Unmarshal(raw, field))
		}
	}
}

func checkedSecret(s sandboxclient.SecretValue) (any, error) {
	rule := sandboxclient.AWSRule(s, s)
	return s, sandboxclient.CheckProxy(sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{rule}})
}

// checkedMount checks a mount with the credentials that it needs.
func checkedMount(m sandboxclient.Mount) (any, error) {
	config := sandboxclient.MountConfig{Mounts: []sandboxclient.Mount{m}}
	secret := sandboxclient.OpaqueSecret("secret")
	if m.Type == sandboxclient.MountS3 {
		config.Auth.AWS = sandboxclient.AWSAuth{AccessKeyID: secret, SecretAccessKey: secret}
	}
	if m.Type == sandboxclient.MountGCS {
		config.Auth.GCP = sandboxclient.GCPAuth{ServiceAccountJSON: secret}
	}
	return m, sandboxclient.CheckMounts(config, sandboxclient.ProxyConfig{})
}
