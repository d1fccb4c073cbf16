package sandboxclient_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestBadInput: what can be known to be wrong is refused before any request.
func TestBadInput(t *testing.T) {
	t.Parallel()
	type c = *sandboxclient.Client
	ctx := t.Context()
	create := func(req sandboxclient.CreateSandbox) func(c) error {
		return func(c c) error { _, err := c.Create(ctx, &req); return err }
	}
	pool := func(req sandboxclient.CreatePool) func(c) error {
		return func(c c) error { _, err := c.Pools.Create(ctx, &req); return err }
	}
	volume := func(req sandboxclient.CreateVolume) func(c) error {
		return func(c c) error { _, err := c.Volumes.Create(ctx, &req); return err }
	}
	template := func(req sandboxclient.CreateTemplate) func(c) error {
		return func(c c) error { _, err := c.Templates.Create(ctx, &req); return err }
	}
	registry := func(req sandboxclient.CreateRegistry) func(c) error {
		req.Name = "r"
		return func(c c) error { _, err := c.Registries.Create(ctx, &req); return err }
	}
	execute := func(command string, opts sandboxclient.ExecuteOptions) func(c) error {
		return func(c c) error { _, err := box(c).Execute(ctx, command, &opts); return err }
	}
	tests := map[string]struct {
		call func(c) error
		want string // in the error
	}{
		"get nothing":             {func(c c) error { _, err := c.Get(ctx, ""); return err }, "get sandbox: name is empty"},
		"get blank":               {func(c c) error { _, err := c.Get(ctx, " "); return err }, "name is empty"},
		"get the parent":          {func(c c) error { _, err := c.Get(ctx, ".."); return err }, `name is ".."`},
		"delete this":             {func(c c) error { return c.Delete(ctx, ".") }, `name is "."`},
		"delete the parent":       {func(c c) error { return c.Volumes.Delete(ctx, "..") }, `delete volume: name is ".."`},
		"status of nothing":       {func(c c) error { _, err := c.Status(ctx, ""); return err }, "name is empty"},
		"rename nothing":          {func(c c) error { _, err := c.Update(ctx, "", nil); return err }, "name is empty"},
		"rename to a path":        {func(c c) error { _, err := c.Update(ctx, "a", &sandboxclient.SandboxUpdate{Name: "b/c"}); return err }, `new name holds '/'`},
		"rename template to ''":   {func(c c) error { _, err := c.Templates.Update(ctx, "a", nil); return err }, "new name is empty"},
		"batch with nothing":      {func(c c) error { _, err := c.DeleteBatch(ctx, "a", ""); return err }, "name is empty"},
		"a name with a slash":     {create(sandboxclient.CreateSandbox{Name: "a/b"}), `name holds '/'`},
		"a name that is two":      {create(sandboxclient.CreateSandbox{Name: ".."}), `name is ".."`},
		"a name with a newline":   {create(sandboxclient.CreateSandbox{Name: "a\nb"}), `name holds '\n'`},
		"TTL not in minutes":      {create(sandboxclient.CreateSandbox{TTLSeconds: new(90)}), "TTL is 90, not a multiple of 60"},
		"negative TTL":            {create(sandboxclient.CreateSandbox{TTLSeconds: new(-60)}), "TTL is -60"},
		"idle TTL not in min":     {create(sandboxclient.CreateSandbox{IdleTTLSeconds: new(1)}), "idle TTL is 1"},
		"an old and a new source": {create(sandboxclient.CreateSandbox{SnapshotName: "a", Snapshot: "b"}), "more than once"},
		"deletion not in minutes": {create(sandboxclient.CreateSandbox{DeleteAfterStopSeconds: new(90)}), "time from stop to deletion is 90"},
		"negative millicores":     {create(sandboxclient.CreateSandbox{CPUMillicores: -1}), "CPU is -1"},
		"a variable without name": {create(sandboxclient.CreateSandbox{EnvVars: map[string]string{" ": "a"}}), `have the name " "`},
		"a variable with =":       {create(sandboxclient.CreateSandbox{RunConfig: sandboxclient.RunConfig{EnvVars: map[string]string{"A=": "a"}}}), `have the name "A="`},
		"a relative directory":    {create(sandboxclient.CreateSandbox{RunConfig: sandboxclient.RunConfig{WorkDir: "srv"}}), "not an absolute path"},
		"memory of what goes":     {create(sandboxclient.CreateSandbox{Persistent: new(false), PreserveMemoryOnStop: true}), "takes a persistent sandbox"},
		"inherited permissions":   {create(sandboxclient.CreateSandbox{AccessDelegation: sandboxclient.AccessDelegation{Mode: sandboxclient.DelegateInherited, Permissions: []string{"p"}}}), "has permissions"},
		"no explicit permissions": {create(sandboxclient.CreateSandbox{AccessDelegation: sandboxclient.AccessDelegation{Mode: sandboxclient.DelegateExplicit}}), "has no permissions"},
		"a blank permission":      {create(sandboxclient.CreateSandbox{AccessDelegation: sandboxclient.AccessDelegation{Mode: sandboxclient.DelegateExplicit, Permissions: []string{" "}}}), "permission is empty"},
		"no mode":                 {create(sandboxclient.CreateSandbox{AccessDelegation: sandboxclient.AccessDelegation{Permissions: []string{"p"}}}), `has mode ""`},
		"changes not in minutes": {func(c c) error {
			_, err := c.Update(ctx, "a", &sandboxclient.SandboxUpdate{DeleteAfterStopSeconds: new(1)})
			return err
		}, "time from stop to deletion is 1"},
		"changes to a relative directory": {func(c c) error {
			_, err := c.Update(ctx, "a", &sandboxclient.SandboxUpdate{RunConfig: sandboxclient.RunConfig{WorkDir: "."}})
			return err
		}, "not an absolute path"},
		"a plain key": {create(sandboxclient.CreateSandbox{ProxyConfig: sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{
			sandboxclient.AWSRule(sandboxclient.SecretValue{Type: sandboxclient.ProxyHeaderPlaintext, Value: "hunter2"}, sandboxclient.OpaqueSecret("hunter2")),
		}}}), "AWS access key id would be stored in plain text"},
		"two sources":       {create(sandboxclient.CreateSandbox{TemplateName: "a", SnapshotID: "b"}), "more than once"},
		"negative memory":   {create(sandboxclient.CreateSandbox{MemBytes: -1}), "memory is -1"},
		"negative CPUs":     {create(sandboxclient.CreateSandbox{VCPUs: -1}), "CPUs is -1"},
		"negative timeout":  {create(sandboxclient.CreateSandbox{Timeout: -1}), "timeout is -1"},
		"both access lists": {create(sandboxclient.CreateSandbox{ProxyConfig: sandboxclient.ProxyConfig{AccessControl: sandboxclient.AccessControl{AllowList: []string{"a"}, DenyList: []string{"b"}}}}), "both an allow list and a deny list"},
		"no period":         {func(c c) error { return last(c.Usage.Costs(ctx, nil)) }, "request is nil"},
		"half a period": {func(c c) error {
			return last(c.Usage.Costs(ctx, &sandboxclient.ListUsageCostsParams{EndTime: time.Now()}))
		}, "needs a start time"},
		"no time at all": {func(c c) error { return last(c.Usage.Costs(ctx, january(-31))) }, "ends before it begins"},
		"a day too many": {func(c c) error { return last(c.Usage.Costs(ctx, january(1))) }, "longer than 31 days"},
		"101 resources": {func(c c) error {
			p := january(0)
			p.ResourceIDs = make([]string, 101)
			return last(c.Usage.Costs(ctx, p))
		}, "are 101, more than 100"},
		"totals of hours": {func(c c) error {
			p := january(0)
			p.IncludeTotals = new(true)
			return last(c.Usage.Costs(ctx, p))
		}, "totals take granularity RESOURCE"},
		"days without totals": {func(c c) error {
			p := january(0)
			p.IncludeDaily = new(true)
			return last(c.Usage.Costs(ctx, p))
		}, "daily totals take the totals"},
		"no registry":           {func(c c) error { _, err := c.Registries.Create(ctx, nil); return err }, "request is nil"},
		"no address":            {registry(sandboxclient.CreateRegistry{}), "url is empty"},
		"no host":               {registry(sandboxclient.CreateRegistry{URL: "/a"}), "url is no address"},
		"an address to log in":  {registry(sandboxclient.CreateRegistry{URL: "u:p@ghcr.io"}), "url holds credentials"},
		"no password":           {registry(sandboxclient.CreateRegistry{URL: "a", Username: "u"}), "go together"},
		"no user":               {registry(sandboxclient.CreateRegistry{URL: "a", Password: "p"}), "go together"},
		"no role":               {registry(sandboxclient.CreateRegistry{URL: "a", AuthType: sandboxclient.RegistryAuthAWSRole}), "AWS role is empty"},
		"a role and a password": {registry(sandboxclient.CreateRegistry{URL: "a", Username: "u", Password: "p", AWSRoleARN: "r"}), "AWS role excludes"},
		"a password for a role": {registry(sandboxclient.CreateRegistry{URL: "a", Username: "u", Password: "p", AuthType: sandboxclient.RegistryAuthAWSRole}), "no place in AWS_ROLE"},
		"a role for nothing": {func(c c) error {
			_, err := c.Registries.Update(ctx, "r", &sandboxclient.RegistryUpdate{AuthType: sandboxclient.RegistryAuthDockerConfig, AWSRoleARN: "r"})
			return err
		}, "AWS role excludes"},
		"no replicas":  {pool(sandboxclient.CreatePool{Name: "p", TemplateName: "t"}), "replicas is 0, less than 1"},
		"101 replicas": {pool(sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 101}), "replicas is 101, more than 100"},
		"resize to 101": {func(c c) error {
			_, err := c.Pools.Update(ctx, "p", &sandboxclient.PoolUpdate{Replicas: new(101)})
			return err
		}, "more than 100"},
		"resize to -1": {func(c c) error {
			_, err := c.Pools.Update(ctx, "p", &sandboxclient.PoolUpdate{Replicas: new(-1)})
			return err
		}, "less than 0"},
		"pool with capitals":                 {pool(sandboxclient.CreatePool{Name: "Pool", TemplateName: "t", Replicas: 1}), `name is "Pool"`},
		"pool with a long name":              {pool(sandboxclient.CreatePool{Name: strings.Repeat("p", 64), TemplateName: "t", Replicas: 1}), "64 characters"},
		"pool of nothing":                    {pool(sandboxclient.CreatePool{Name: "p", Replicas: 1}), "template name is empty"},
		"pool waits too shortly":             {pool(sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 1, Timeout: 9}), "timeout is 9"},
		"no pool":                            {func(c c) error { _, err := c.Pools.Create(ctx, nil); return err }, "request is nil"},
		"volume without a size":              {volume(sandboxclient.CreateVolume{Name: "v"}), "size is empty"},
		"volume of two sizes":                {volume(sandboxclient.CreateVolume{Name: "v", Size: "1Gi", SizeBytes: 1}), "exclude each other"},
		"volume of -1 byte":                  {volume(sandboxclient.CreateVolume{Name: "v", SizeBytes: -1}), "is -1"},
		"volume that is waited for":          {volume(sandboxclient.CreateVolume{Name: "v", SizeBytes: 1, Timeout: 60}), "ready at once"},
		"volume of generation 1 with labels": {volume(sandboxclient.CreateVolume{Name: "v", Size: "1Gi", Labels: map[string]string{"a": "b"}}), "belong to volumes made with size_bytes"},
		"five volumes":                       {create(sandboxclient.CreateSandbox{Volumes: make([]sandboxclient.AttachVolume, 5)}), "are 5"},
		"a volume without a name":            {create(sandboxclient.CreateSandbox{Volumes: []sandboxclient.AttachVolume{{MountPath: "/a"}}}), "name of a volume is empty"},
		"a volume at no place":               {create(sandboxclient.CreateSandbox{Volumes: []sandboxclient.AttachVolume{{Volume: "v", MountPath: "a"}}}), "not an absolute path"},
		"volume waits too long":              {volume(sandboxclient.CreateVolume{Name: "v", Size: "1Gi", Timeout: 301}), "timeout is 301"},
		"no volume":                          {func(c c) error { _, err := c.Volumes.Create(ctx, nil); return err }, "request is nil"},
		"template without image":             {template(sandboxclient.CreateTemplate{Name: "t"}), "image is empty"},
		"relative mount":                     {template(sandboxclient.CreateTemplate{Name: "t", Image: "i", VolumeMounts: []sandboxclient.VolumeMount{{VolumeName: "v", MountPath: "data"}}}), "not an absolute path"},
		"no template":                        {func(c c) error { _, err := c.Templates.Create(ctx, nil); return err }, "request is nil"},
		"no command":                         {execute("", sandboxclient.ExecuteOptions{}), "command is empty"},
		"a zero byte":                        {execute("a\x00b", sandboxclient.ExecuteOptions{}), "zero byte"},
		"negative run":                       {execute("a", sandboxclient.ExecuteOptions{Timeout: -time.Second}), "timeout is"},
		"variable without name":              {execute("a", sandboxclient.ExecuteOptions{Env: map[string]string{"": "x"}}), "environment variable"},
		"variable with =":                    {execute("a", sandboxclient.ExecuteOptions{Env: map[string]string{"a=b": "x"}}), "environment variable"},
		"read nothing":                       {func(c c) error { _, err := box(c).ReadFile(ctx, ""); return err }, "path is empty"},
		"write nowhere":                      {func(c c) error { return box(c).WriteFile(ctx, "", nil) }, "path is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, "{}")}
			err := tt.call(client(t, f))
			if !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("error %v does not match ErrInvalid", err)
			}
			if _, ok := errors.AsType[*sandboxclient.ArgumentError](err); !ok {
				t.Errorf("error %v is no ArgumentError", err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
			if n := len(f.requests()); n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}
