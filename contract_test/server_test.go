package contract_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// TestServerContract drives every operation of the contract against the local
// server, under both prefixes, in success and in failure; the checker validates
// both directions.
func TestServerContract(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/v2/sandboxes", "/api/v2/sandboxes"} {
		t.Run(strings.TrimPrefix(prefix, "/"), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, prefix, sandboxserver.Config{Limits: sandboxserver.Limits{Volumes: 2}})
			for _, step := range []struct {
				name string
				run  func(*testing.T, context.Context, *localServer)
			}{
				{"volumes", driveVolumes},
				{"registries", driveRegistries},
				{"templates", driveTemplates},
				{"pools", drivePools},
				{"sandboxes", driveSandboxes},
				{"data plane", driveDataplane},
				{"snapshots", driveSnapshots},
				{"services", driveServices},
				{"internal", driveInternal},
				{"refused", driveRefused},
			} {
				if !t.Run(step.name, func(t *testing.T) { step.run(t, t.Context(), s) }) {
					return
				}
			}
			for id := range operations(s.chk.doc) {
				if refused[id] != "" {
					continue
				}
				if !slices.ContainsFunc(s.chk.seen[id], func(status int) bool { return status < 300 }) {
					t.Errorf("%s was never answered with success: %v", id, s.chk.seen[id])
				}
				if !slices.ContainsFunc(s.chk.seen[id], func(status int) bool { return status >= 400 }) && !slices.Contains(infallible, id) {
					t.Errorf("%s was never answered with an error", id)
				}
			}
		})
	}
}

// refused operations are those that a server on one machine does not have, and
// why; driveRefused sees that it says so.
var refused = map[string]string{
	"listUsageCosts": "nothing is charged for",
}

func driveRefused(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	begin := time.Date(2026, time.January, 2, 0, 0, 0, 0, time.UTC)
	for _, err := range s.c.Usage.Costs(ctx, &sandboxclient.ListUsageCostsParams{StartTime: begin, EndTime: begin.AddDate(0, 0, 1)}) {
		is(t, err, sandboxclient.ErrUnsupported)
	}
	for id := range refused {
		if !slices.Equal(s.chk.seen[id], []int{http.StatusNotImplemented}) {
			t.Errorf("%s was answered with %v", id, s.chk.seen[id])
		}
	}
}

// infallible operations have no argument that could be wrong.
var infallible = []string{
	"listVolumes", "listTemplates", "listPools", "listSandboxes", "getUsage",
	"batchDeleteTemplates", "batchDeleteSandboxes",
}

func driveVolumes(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first, as everywhere in tests
	v := s.c.Volumes
	ok[*sandboxclient.Volume](t)(v.Create(ctx, &sandboxclient.CreateVolume{Name: "v1", Size: "1Gi"}))
	ok[*sandboxclient.Volume](t)(v.Create(ctx, &sandboxclient.CreateVolume{Name: "v2", Size: "500Mi"}))
	_, err := v.Create(ctx, &sandboxclient.CreateVolume{Name: "v1", Size: "1Gi"})
	is(t, err, sandboxclient.ErrExists)
	_, err = v.Create(ctx, &sandboxclient.CreateVolume{Name: "v4", Size: "much"})
	is(t, err, sandboxclient.ErrInvalid)
	_, err = v.Create(ctx, &sandboxclient.CreateVolume{Name: "v3", Size: "1Gi"})
	is(t, err, sandboxclient.ErrQuota)
	ok[*sandboxclient.Volume](t)(v.Get(ctx, "v1"))
	_, err = v.Get(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	if all := collect(t, v.List(ctx, &sandboxclient.ListVolumesParams{Limit: new(1)})); len(all) != 2 {
		t.Errorf("%d volumes in pages of one, want 2", len(all))
	}
	driveAttachments(t, ctx, s)
	ok[*sandboxclient.Volume](t)(v.Update(ctx, "v1", &sandboxclient.VolumeUpdate{Name: "v1b", Size: "2Gi"}))
	_, err = v.Update(ctx, "v1b", &sandboxclient.VolumeUpdate{Size: "1Gi"})
	is(t, err, sandboxclient.ErrInvalid)
	_, err = v.Update(ctx, "v1b", &sandboxclient.VolumeUpdate{Name: "v2"})
	is(t, err, sandboxclient.ErrNameConflict)
	if err := v.Delete(ctx, "v2"); err != nil {
		t.Error(err)
	}
	is(t, v.Delete(ctx, "v2"), sandboxclient.ErrNotFound)
}

// driveAttachments has a sandbox write to a volume that another one reads
// later.
func driveAttachments(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	use := func(readOnly bool) *sandboxclient.CreateSandbox {
		return &sandboxclient.CreateSandbox{Volumes: []sandboxclient.AttachVolume{{Volume: "v1", MountPath: "/data", ReadOnly: readOnly}}}
	}
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	must(s.c.Use(ctx, use(false), func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		_, err := s.c.Create(ctx, use(s.server.Isolation() != sandboxserver.IsolationProcess))
		is(t, err, sandboxclient.ErrConflict)
		is(t, s.c.Volumes.Delete(ctx, "v1"), sandboxclient.ErrInUse)
		if got := sb.Info().Volumes; len(got) != 1 || got[0].VolumeName != "v1" {
			t.Errorf("volumes %+v", got)
		}
		return sb.WriteFile(ctx, "/data/kept", []byte("kept"))
	}))
	if s.server.Isolation() == sandboxserver.IsolationProcess {
		_, err := s.c.Create(ctx, use(true))
		is(t, err, sandboxclient.ErrUnsupported)
		return
	}
	must(s.c.Use(ctx, use(true), func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		got, err := sb.ReadFile(ctx, "/data/kept")
		if string(got) != "kept" {
			t.Errorf("read %q", got)
		}
		return err
	}))
}

func driveRegistries(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	registry := ok[*sandboxclient.Registry](t)
	r := s.c.Registries
	created := registry(r.Create(ctx, &sandboxclient.CreateRegistry{Name: "r1", URL: "ghcr.io", Username: "user", Password: "secret"}))
	registry(r.Create(ctx, &sandboxclient.CreateRegistry{Name: "r2", URL: "https://registry.test:5000"}))
	_, err := r.Create(ctx, &sandboxclient.CreateRegistry{Name: "r1", URL: "ghcr.io"})
	is(t, err, sandboxclient.ErrExists)
	_, err = r.Create(ctx, &sandboxclient.CreateRegistry{Name: "r3", URL: "ghcr.io", AuthType: sandboxclient.RegistryAuthAWSRole, AWSRoleARN: "arn"})
	is(t, err, sandboxclient.ErrUnsupported)
	if got := registry(r.Get(ctx, "r1")); *got != *created {
		t.Errorf("read %+v, created %+v", got, created)
	}
	_, err = r.Get(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	for _, params := range []*sandboxclient.ListRegistriesParams{{Limit: new(1)}, {Limit: new(1), Offset: new(0)}, {PageSize: new(1)}} {
		if all := collect(t, r.List(ctx, params)); len(all) != 2 || all[0].Name != "r2" {
			t.Errorf("registries in pages of one: %v", all)
		}
	}
	for _, err := range r.List(ctx, &sandboxclient.ListRegistriesParams{Cursor: new("no cursor")}) {
		is(t, err, sandboxclient.ErrInvalid)
	}
	registry(r.Update(ctx, "r2", &sandboxclient.RegistryUpdate{Name: "r2b"}))
	_, err = r.Update(ctx, "r2b", &sandboxclient.RegistryUpdate{Name: "r1"})
	is(t, err, sandboxclient.ErrNameConflict)
	ok[*sandboxclient.Template](t)(s.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: "pulling", Image: "img", RegistryName: "r1"}))
	is(t, r.Delete(ctx, "r1"), sandboxclient.ErrInUse)
	if err := errors.Join(s.c.Templates.Delete(ctx, "pulling"), r.Delete(ctx, "r1")); err != nil {
		t.Error(err)
	}
	is(t, r.Delete(ctx, "r1"), sandboxclient.ErrNotFound)
}

func driveTemplates(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	create := ok[*sandboxclient.Template](t)
	create(s.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: "plain", Image: "python:3.12-slim"}))
	create(s.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{
		Name: "mounting", Image: "img", VolumeMounts: []sandboxclient.VolumeMount{{VolumeName: "v1b", MountPath: "/data"}},
		Resources:   sandboxclient.ResourceSpec{CPU: "1", Memory: "1Gi", Storage: "2Gi"},
		ProxyConfig: sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{{Name: "r", MatchHosts: []string{"h.test"}, InjectHeaders: map[string]string{"a": "b"}}}},
	}))
	create(s.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: "spare", Image: "img"}))
	_, err := s.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: "plain", Image: "img"})
	is(t, err, sandboxclient.ErrExists)
	is(t, s.c.Volumes.Delete(ctx, "v1b"), sandboxclient.ErrInUse)
	create(s.c.Templates.Get(ctx, "mounting"))
	_, err = s.c.Templates.Get(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	if all := collect(t, s.c.Templates.List(ctx, &sandboxclient.ListTemplatesParams{
		NameContains: new("a"), SortBy: new(sandboxclient.TemplateSortByName), SortDirection: new(sandboxclient.SortAscending),
	})); len(all) != 2 || all[0].Name != "plain" {
		t.Errorf("templates with an a: %v", all)
	}
	create(s.c.Templates.Update(ctx, "spare", &sandboxclient.TemplateUpdate{Name: "spare2"}))
	_, err = s.c.Templates.Update(ctx, "spare2", &sandboxclient.TemplateUpdate{Name: "plain"})
	is(t, err, sandboxclient.ErrNameConflict)
	is(t, s.c.Templates.Delete(ctx, "none"), sandboxclient.ErrNotFound)
	if err := s.c.Templates.Delete(ctx, "spare2"); err != nil {
		t.Error(err)
	}
}

func drivePools(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	pool := ok[*sandboxclient.Pool](t)
	pool(s.c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "warm", TemplateName: "plain", Replicas: 1}))
	_, err := s.c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "warm", TemplateName: "plain", Replicas: 1})
	is(t, err, sandboxclient.ErrExists)
	_, err = s.c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "w2", TemplateName: "none", Replicas: 1})
	is(t, err, sandboxclient.ErrNotFound)
	_, err = s.c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "w2", TemplateName: "mounting", Replicas: 1})
	is(t, err, sandboxclient.ErrInvalid)
	pool(s.c.Pools.Get(ctx, "warm"))
	_, err = s.c.Pools.Get(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	if all := collect(t, s.c.Pools.List(ctx, nil)); len(all) != 1 {
		t.Errorf("pools: %v", all)
	}
	if p := pool(s.c.Pools.Update(ctx, "warm", &sandboxclient.PoolUpdate{Replicas: new(0)})); p.Replicas != 0 {
		t.Errorf("a paused pool has %d replicas", p.Replicas)
	}
	_, err = s.c.Pools.Update(ctx, "none", &sandboxclient.PoolUpdate{Replicas: new(1)})
	is(t, err, sandboxclient.ErrNotFound)
	is(t, s.c.Templates.Delete(ctx, "plain"), sandboxclient.ErrInUse)
	if err := s.c.Pools.Delete(ctx, "warm"); err != nil {
		t.Error(err)
	}
	is(t, s.c.Pools.Delete(ctx, "warm"), sandboxclient.ErrNotFound)
	result := ok[*sandboxclient.BatchDeleteResult](t)(s.c.Templates.DeleteBatch(ctx, "none"))
	if len(result.Skipped) != 1 || result.Skipped[0].Reason == "" {
		t.Errorf("batch delete: %+v", result)
	}
}

func driveSandboxes(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	sandbox := ok[*sandboxclient.Sandbox](t)
	sb := sandbox(s.c.Create(ctx, &sandboxclient.CreateSandbox{
		Name: "box", TemplateName: "mounting", TTLSeconds: new(600), IdleTTLSeconds: new(0),
		ProxyConfig: sandboxclient.ProxyConfig{
			AccessControl: sandboxclient.AccessControl{AllowList: []string{"h.test"}},
			Rules: []sandboxclient.ProxyRule{{Name: "r", MatchHosts: []string{"h.test"}, Headers: []sandboxclient.ProxyHeader{
				{Name: "authorization", Type: sandboxclient.ProxyHeaderOpaque, Value: "secret"},
			}}},
		},
	}))
	if h := sb.Info().ProxyConfig.Rules[0].Headers[0]; h.Value != "" || !h.IsSet {
		t.Errorf("an opaque header came back as %+v", h)
	}
	_, err := s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "box"})
	is(t, err, sandboxclient.ErrExists)
	_, err = s.c.Create(ctx, &sandboxclient.CreateSandbox{TemplateName: "none"})
	if api, ok := errors.AsType[*sandboxclient.APIError](err); !ok || api.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown template: %v", err)
	}
	waiting := sandbox(s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "later", WaitForReady: new(false)}))
	if err := waiting.WaitReady(ctx, nil); err != nil {
		t.Error(err)
	}
	sandbox(s.c.Get(ctx, "box"))
	_, err = s.c.Get(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	_, err = s.c.Status(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	if all := collect(t, s.c.List(ctx, &sandboxclient.ListSandboxesParams{
		Status: new(sandboxclient.StatusReady), TemplateName: new("mounting"), SortBy: new(sandboxclient.SandboxSortByName),
	})); len(all) != 1 || all[0].Name() != "box" {
		t.Errorf("ready sandboxes of the template: %d", len(all))
	}
	if _, err := sb.Update(ctx, &sandboxclient.SandboxUpdate{Name: "box2", TTLSeconds: new(0)}); err != nil || sb.Name() != "box2" {
		t.Errorf("renamed to %q: %v", sb.Name(), err)
	}
	_, err = sb.Update(ctx, &sandboxclient.SandboxUpdate{Name: "later"})
	is(t, err, sandboxclient.ErrNameConflict)
	if err := errors.Join(sb.Stop(ctx), sb.Start(ctx, nil)); err != nil {
		t.Error(err)
	}
	_, err = s.c.Start(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	is(t, s.c.Stop(ctx, "none"), sandboxclient.ErrNotFound)
	is(t, s.c.Delete(ctx, "none"), sandboxclient.ErrNotFound)
	usage := ok[*sandboxclient.Usage](t)(s.c.Usage.Get(ctx))
	if usage.SandboxesUsed != 2 || usage.VolumesLimit != 2 {
		t.Errorf("usage: %+v", usage)
	}
	result := ok[*sandboxclient.BatchDeleteResult](t)(s.c.DeleteBatch(ctx, "later", "none"))
	if !slices.Equal(result.Deleted, []string{"later"}) || len(result.Skipped) != 1 {
		t.Errorf("batch delete: %+v", result)
	}
}

func driveDataplane(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Get(ctx, "box2"))
	if err := sb.WriteFile(ctx, "note.txt", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	is(t, sb.WriteFile(ctx, ".", nil), sandboxclient.ErrOperation)
	res := ok[*sandboxclient.Result](t)(sb.Execute(ctx, `cat note.txt; echo "$A" >&2; exit 3`, &sandboxclient.ExecuteOptions{Env: map[string]string{"A": "b"}}))
	if res.Stdout != "hello" || res.Stderr != "b\n" || res.ExitCode != 3 {
		t.Errorf("result %+v", res)
	}
	_, err := sb.Execute(ctx, "true", &sandboxclient.ExecuteOptions{Dir: "/no/such/directory"})
	is(t, err, sandboxclient.ErrOperation)
	data := ok[[]byte](t)(sb.ReadFile(ctx, "note.txt"))
	if string(data) != "hello" {
		t.Errorf("read %q", data)
	}
	_, err = sb.ReadFile(ctx, "none.txt")
	is(t, err, sandboxclient.ErrNotFound)
	driveFiles(t, ctx, sb)
	if err := sb.Delete(ctx); err != nil {
		t.Error(err)
	}
}

func driveFiles(t *testing.T, ctx context.Context, sb *sandboxclient.Sandbox) { //nolint:revive // t first
	if err := sb.WriteFile(ctx, "/app/f", []byte("a TODO")); err != nil {
		t.Fatal(err)
	}
	ok[*sandboxclient.FileInfo](t)(sb.Stat(ctx, "/app/f"))
	_, err := sb.Stat(ctx, "none.txt")
	is(t, err, fs.ErrNotExist)
	if found := ok[*sandboxclient.GlobResult](t)(sb.Glob(ctx, "/app", "*", nil)); len(found.Matches) != 1 {
		t.Errorf("found %+v", found)
	}
	_, err = sb.Glob(ctx, "/none", "*", nil)
	is(t, err, fs.ErrNotExist)
	if found := ok[*sandboxclient.GrepResult](t)(sb.Grep(ctx, "/app", "TODO", nil)); len(found.Matches) != 1 {
		t.Errorf("found %+v", found)
	}
	_, err = sb.Grep(ctx, "/app", "TODO", &sandboxclient.GrepOptions{Glob: "["})
	is(t, err, sandboxclient.ErrInvalid)
}

// driveInternal calls what no facade wraps: services call it, not users.
func driveInternal(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "internal"}))
	defer sb.Delete(ctx)
	api := s.c.API()
	post := func(resp *http.Response, err error) int {
		t.Helper()
		resp = ok[*http.Response](t)(resp, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	route := "sb-" + sb.Info().ID
	if got := post(api.ReportActivity(ctx, gen.ActivityReport{Activities: []gen.Activity{{K8SSandboxName: route, TenantID: "t"}}})); got != http.StatusOK {
		t.Errorf("report activity: %d", got)
	}
	stranger := sandboxclient.ContextWithHeader(ctx, "X-Api-Key", "wrong")
	if got := post(api.ReportActivity(stranger, gen.ActivityReport{Activities: []gen.Activity{{K8SSandboxName: route, TenantID: "t"}}})); got != http.StatusUnauthorized {
		t.Errorf("report activity with a wrong key: %d", got)
	}
	if got := post(api.StartSandboxInternal(ctx, route, &gen.StartSandboxInternalParams{XTenantID: "t"})); got != http.StatusOK {
		t.Errorf("internal start: %d", got)
	}
	host := ok[*url.URL](t)(url.Parse(s.c.Endpoint()))
	host.Path = "/"
	outside := &gen.Client{Server: host.String(), Client: api.Client}
	if got := post(outside.CheckSandboxAccess(ctx, &gen.CheckSandboxAccessParams{SandboxID: sb.Info().ID, Action: gen.AccessExec})); got != http.StatusOK {
		t.Errorf("access: %d", got)
	}
	if got := post(outside.CheckSandboxAccess(ctx, &gen.CheckSandboxAccessParams{SandboxID: "none", Action: gen.AccessExec})); got != http.StatusNotFound {
		t.Errorf("access to nothing: %d", got)
	}
	if got := post(api.StartSandboxInternal(ctx, "none", &gen.StartSandboxInternalParams{XTenantID: "t"})); got != http.StatusNotFound {
		t.Errorf("internal start of nothing: %d", got)
	}
}
