package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

var sandboxRules = [][]rule{{notFound(resourceSandbox)}, generic}

var sandboxCreateRules = [][]rule{{
	{status: http.StatusRequestTimeout, kinds: kinds(ErrTimeout), resource: resourceSandbox},
	{status: http.StatusGatewayTimeout, kinds: kinds(ErrTimeout), resource: resourceSandbox},
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourceSandbox},
	{status: http.StatusUnprocessableEntity, match: badValue, kinds: kinds(ErrInvalid)},
	{status: http.StatusUnprocessableEntity, kinds: kinds(ErrProvision), resource: resourceSandbox},
	{status: http.StatusServiceUnavailable, match: uncoded, kinds: kinds(ErrProvision, ErrUnavailable), resource: resourceSandbox, errorType: "Unschedulable"},
	{status: http.StatusServiceUnavailable, kinds: kinds(ErrProvision, ErrUnavailable), resource: resourceSandbox},
}, generic}

var sandboxUpdateRules = [][]rule{{
	notFound(resourceSandbox),
	{status: http.StatusConflict, kinds: kinds(ErrNameConflict, ErrConflict), resource: resourceSandbox},
}, generic}

// proxyUpdateRules: the one rejection with this code is that the new proxy
// needs a running sandbox.
var proxyUpdateRules = append([][]rule{{
	{status: http.StatusBadRequest, code: "InvalidRequest", kinds: kinds(ErrNotReady), resource: resourceSandbox},
}}, sandboxUpdateRules...)

// badValue tells bad input from a sandbox that could not start: both are 422.
func badValue(e *APIError) bool {
	for _, f := range e.Fields {
		if f.Type == "value_error" {
			return true
		}
	}
	return false
}

func uncoded(e *APIError) bool { return e.Code == "" }

// Create makes a sandbox that lives until it is deleted or its lifetime ends
// (POST /boxes); a nil request leaves everything to the server. Unless
// WaitForReady says otherwise it waits until the sandbox is ready: for Timeout
// seconds, else as long as the context allows, 30 seconds without a deadline.
// Give it a name to be able to find it after a lost answer, or use
// [Client.Ephemeral]. Errors: [ErrInvalid], [ErrExists], [ErrQuota],
// [ErrProvision], [ErrTimeout].
func (c *Client) Create(ctx context.Context, req *CreateSandbox) (*Sandbox, error) {
	op := operation{name: "create sandbox", effect: true, rules: sandboxCreateRules}
	body := pointed(req)
	if err := checkCreate(op.name, &body); err != nil {
		return nil, err
	}
	body.WaitForReady, body.Timeout, op.call = waiting(ctx, body.WaitForReady, body.Timeout, 30, 1, int(time.Hour/time.Second))
	op.resource = body.Name
	info, err := fetch[Info](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return c.api.CreateSandbox(ctx, body)
	})
	if err != nil {
		return nil, err
	}
	if info.Name == "" {
		info.Name = body.Name
	}
	return c.FromInfo(*info), nil
}

func checkCreate(op string, req *CreateSandbox) error {
	ck := checks{op: op}
	ck.optionalName("name", req.Name)
	sources := 0
	for _, s := range []string{req.TemplateName, req.SnapshotID, req.SnapshotName, req.Snapshot} {
		if s != "" {
			sources++
		}
	}
	if sources > 1 {
		ck.fail("source", "is named more than once; set one of TemplateName, SnapshotID, SnapshotName and Snapshot")
	}
	ck.ttl("TTL", req.TTLSeconds)
	ck.ttl("idle TTL", req.IdleTTLSeconds)
	ck.ttl("time from stop to deletion", req.DeleteAfterStopSeconds)
	ck.atLeastZero("timeout", int64(req.Timeout))
	checkSizes(&ck, req.VCPUs, req.CPUMillicores, req.MemBytes, req.FSCapacityBytes)
	ck.proxy(req.ProxyConfig)
	ck.mounts(req.MountConfig, req.ProxyConfig)
	ck.env("environment variables", req.EnvVars)
	ck.runConfig(req.RunConfig)
	ck.delegation(req.AccessDelegation)
	ck.volumes(req.Volumes)
	if req.PreserveMemoryOnStop && req.Persistent != nil && !*req.Persistent {
		ck.fail("preserved memory", "takes a persistent sandbox")
	}
	return ck.err
}

// maxVolumes is how many volumes a sandbox can use.
const maxVolumes = 4

func (c *checks) volumes(volumes []AttachVolume) {
	if len(volumes) > maxVolumes {
		c.fail("volumes", "are %d; a sandbox can use %d", len(volumes), maxVolumes)
	}
	for _, v := range volumes {
		c.required("name of a volume", v.Volume)
		if !strings.HasPrefix(v.MountPath, "/") {
			c.fail("mount path of volume "+v.Volume, "is %q, not an absolute path", v.MountPath)
		}
	}
}

func (c *checks) env(argument string, env map[string]string) {
	for name := range env {
		if strings.TrimSpace(name) == "" || strings.ContainsAny(name, "=\x00") {
			c.fail(argument, "have the name %q", name)
		}
	}
}

func (c *checks) runConfig(r RunConfig) {
	if r.WorkDir != "" && !strings.HasPrefix(r.WorkDir, "/") {
		c.fail("working directory", "is %q, not an absolute path", r.WorkDir)
	}
	c.env("environment variables of the run config", r.EnvVars)
}

func (c *checks) delegation(d AccessDelegation) {
	switch {
	case d.Mode == "" && len(d.Permissions) == 0:
	case d.Mode == DelegateInherited && len(d.Permissions) > 0:
		c.fail("access delegation", "has permissions, which %s takes from the creator", d.Mode)
	case d.Mode == DelegateExplicit && len(d.Permissions) == 0:
		c.fail("access delegation", "has no permissions, which %s needs", d.Mode)
	case d.Mode != DelegateInherited && d.Mode != DelegateExplicit:
		c.fail("access delegation", "has mode %q; use %s or %s", d.Mode, DelegateInherited, DelegateExplicit)
	}
	for _, p := range d.Permissions {
		c.required("permission", p)
	}
}

func checkSizes(ck *checks, vcpus, millicores int, memory, disk int64) {
	ck.atLeastZero("number of CPUs", int64(vcpus))
	ck.atLeastZero("CPU", int64(millicores))
	ck.atLeastZero("memory", memory)
	ck.atLeastZero("disk", disk)
}

// FromInfo returns a handle on a sandbox whose description is at hand. It
// sends nothing.
func (c *Client) FromInfo(info Info) *Sandbox {
	if info.Status == "" {
		info.Status = StatusReady // what early servers leave out
	}
	return &Sandbox{c: c, info: info}
}

// Get returns a sandbox (GET /boxes/{name}). Errors: [ErrNotFound].
func (c *Client) Get(ctx context.Context, name string) (*Sandbox, error) {
	info, err := c.getInfo(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.FromInfo(*info), nil
}

func (c *Client) getInfo(ctx context.Context, name string) (*Info, error) {
	op, err := named("get sandbox", name, sandboxRules)
	if err != nil {
		return nil, err
	}
	return fetch[Info](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetSandbox(ctx, name)
	})
}

// List yields sandboxes (GET /boxes), page by page; params may be nil. The
// error, if any, comes last.
func (c *Client) List(ctx context.Context, params *ListSandboxesParams) iter.Seq2[*Sandbox, error] {
	paging := func(q *ListSandboxesParams) paging {
		return paging{&q.Limit, &q.Offset, &q.PageSize, &q.Cursor}
	}
	infos := list(ctx, "list sandboxes", params, paging, c.api.ListSandboxes, func(l *gen.SandboxList) page[Info] {
		return page[Info]{items(l.Items, l.Sandboxes), l.Offset, l.NextCursor}
	})
	return func(yield func(*Sandbox, error) bool) {
		for info, err := range infos {
			var sb *Sandbox
			if err == nil {
				sb = c.FromInfo(*info)
			}
			if !yield(sb, err) {
				return
			}
		}
	}
}

// Status returns the state of a sandbox (GET /boxes/{name}/status), the
// cheapest request there is about it. Errors: [ErrNotFound].
func (c *Client) Status(ctx context.Context, name string) (*StatusReport, error) {
	op, err := named("get status of sandbox", name, sandboxRules)
	if err != nil {
		return nil, err
	}
	report, err := fetch[StatusReport](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetSandboxStatus(ctx, name)
	})
	if err == nil && report.Status == "" {
		report.Status = StatusProvisioning
	}
	return report, err
}

// Update changes a sandbox (PATCH /boxes/{name}); an update without fields is
// sent too. Errors: [ErrNotFound], [ErrNameConflict], [ErrInvalid],
// [ErrNotReady] for a proxy that needs a running sandbox.
func (c *Client) Update(ctx context.Context, name string, update *SandboxUpdate) (*Sandbox, error) {
	op, err := changing("update sandbox", name, sandboxUpdateRules)
	ck := checks{op: op.name, err: err}
	body := pointed(update)
	ck.optionalName("new name", body.Name)
	ck.ttl("TTL", body.TTLSeconds)
	ck.ttl("idle TTL", body.IdleTTLSeconds)
	ck.ttl("time from stop to deletion", body.DeleteAfterStopSeconds)
	checkSizes(&ck, body.VCPUs, body.CPUMillicores, body.MemBytes, body.FSCapacityBytes)
	ck.proxy(body.ProxyConfig)
	ck.runConfig(body.RunConfig)
	if ck.err != nil {
		return nil, ck.err
	}
	if !reflect.ValueOf(body.ProxyConfig).IsZero() {
		op.rules = proxyUpdateRules
	}
	info, err := fetch[Info](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return c.api.UpdateSandbox(ctx, name, body)
	})
	if err != nil {
		return nil, err
	}
	return c.FromInfo(*info), nil
}

// Delete deletes a sandbox, running or not (DELETE /boxes/{name}). Errors:
// [ErrNotFound].
func (c *Client) Delete(ctx context.Context, name string) error {
	op, err := changing("delete sandbox", name, sandboxRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return c.api.DeleteSandbox(ctx, name)
	})
}

// DeleteBatch deletes sandboxes and says which were skipped (POST
// /boxes/batch-delete).
func (c *Client) DeleteBatch(ctx context.Context, names ...string) (*BatchDeleteResult, error) {
	return deleteBatch(ctx, "delete sandboxes", names, func(ctx context.Context, body gen.BatchDelete) (*http.Response, error) {
		return c.api.BatchDeleteSandboxes(ctx, body)
	})
}

// Start starts a stopped or failed sandbox and returns at once (POST
// /boxes/{name}/start); see [Sandbox.WaitReady]. Errors: [ErrNotFound].
func (c *Client) Start(ctx context.Context, name string) (*Sandbox, error) {
	op, err := changing("start sandbox", name, sandboxRules)
	if err != nil {
		return nil, err
	}
	op.call.Repeat = transport.RepeatSafe
	info, err := fetch[Info](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return c.api.StartSandbox(ctx, name, gen.Empty{})
	})
	if err != nil {
		return nil, err
	}
	return c.FromInfo(*info), nil
}

// Stop stops a sandbox: its processes end, its files stay (POST
// /boxes/{name}/stop). Errors: [ErrNotFound].
func (c *Client) Stop(ctx context.Context, name string) error {
	op, err := changing("stop sandbox", name, sandboxRules)
	if err != nil {
		return err
	}
	op.call.Repeat = transport.RepeatSafe
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return c.api.StopSandbox(ctx, name, gen.Empty{})
	})
}
