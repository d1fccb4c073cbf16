package contract_test

import (
	"context"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var sandboxRows = []contractRow{
	{op: "createSandbox", method: "Client.Create", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, nil)
		return keepInfo(f, sb, err)
	}},
	{op: "createSandbox", method: "Client.Create in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, &sandboxclient.CreateSandbox{
			Name: f.fresh("box"), TemplateName: f.template, WaitForReady: new(true), Timeout: 60, TTLSeconds: new(600), IdleTTLSeconds: new(0),
			VCPUs: 1, MemBytes: 1 << 30, FSCapacityBytes: 1 << 30, ProxyConfig: fullProxy(),
		})
		return keepInfo(f, sb, err)
	}},
	{op: "createSandbox", method: "Client.Create in full, second generation", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, &sandboxclient.CreateSandbox{
			Name: f.fresh("box"), IdleTTLSeconds: new(60), DeleteAfterStopSeconds: new(0), CPUMillicores: 500,
			EnvVars: map[string]string{"A": "b"}, Labels: map[string]string{"l": "v"}, TagValueIDs: []string{"t"},
			RunConfig:  sandboxclient.RunConfig{User: "u:g", WorkDir: "/w", EnvVars: map[string]string{"A": "b"}},
			Persistent: new(true), PreserveMemoryOnStop: true, RestoreMemory: new(true),
			AccessDelegation: sandboxclient.AccessDelegation{Mode: sandboxclient.DelegateExplicit, Permissions: []string{"p"}},
			Volumes:          []sandboxclient.AttachVolume{{Volume: f.volume, MountPath: "/data", ReadOnly: true}},
		})
		return keepInfo(f, sb, err)
	}},
	{op: "createSandbox", method: "Client.Create without waiting", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, &sandboxclient.CreateSandbox{Name: f.fresh("box"), WaitForReady: new(false), ProxyConfig: denyingProxy()})
		return keepInfo(f, sb, err)
	}},
	{op: "createSandbox", method: "Client.Create from a snapshot by id", drive: createFrom(sandboxclient.CreateSandbox{SnapshotID: "i"})},
	{op: "createSandbox", method: "Client.Create from a snapshot by name", drive: createFrom(sandboxclient.CreateSandbox{SnapshotName: "s"})},
	{op: "createSandbox", method: "Client.Create from a snapshot by name and tag", drive: createFrom(sandboxclient.CreateSandbox{Snapshot: "team/s:v1"})},
	{op: "createSandbox", method: "Client.Create with mounts", drive: createWithMounts(0)},
	{op: "createSandbox", method: "Client.Create with mounts and identities", drive: createWithMounts(1)},
	{op: "createSandbox", method: "Client.Create with mounts and a token", drive: createWithMounts(2)},
	{op: "createSandbox", method: "Client.Ephemeral", also: []string{"deleteSandbox"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		e, err := c.Ephemeral(ctx, &sandboxclient.CreateSandbox{Name: f.fresh("box")})
		if err != nil {
			return err
		}
		return keep(f, e.Info(), e.Close())
	}},
	{op: "createSandbox", method: "Client.Use", also: []string{"deleteSandbox"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Use(ctx, &sandboxclient.CreateSandbox{Name: f.fresh("box")}, func(_ context.Context, sb *sandboxclient.Sandbox) error {
			return keepInfo(f, sb, nil)
		})
	}},
	{op: "getSandbox", method: "Client.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Get(ctx, f.box)
		return keepInfo(f, sb, err)
	}},
	{op: "getSandbox", method: "Sandbox.Refresh", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		info, err := f.sandbox(c).Refresh(ctx)
		return keep(f, info, err)
	}},
	{op: "listSandboxes", method: "Client.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, infos(c.List(ctx, nil)))
	}},
	{op: "listSandboxes", method: "Client.List in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, infos(c.List(ctx, &sandboxclient.ListSandboxesParams{
			Limit: new(10), Offset: new(0), NameContains: new("b"), Status: new(sandboxclient.StatusReady), TemplateName: new(f.template),
			SortBy: new(sandboxclient.SandboxSortByTemplateName), SortDirection: new(sandboxclient.SortDescending),
		})))
	}},
	{op: "listSandboxes", method: "Client.List in full, second generation", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, infos(c.List(ctx, &sandboxclient.ListSandboxesParams{
			PageSize: new(10), Cursor: new("c"), CreatedBy: new(sandboxclient.CreatedByMe), Labels: []string{"a", "b=c"}, TagValueIDs: []string{"t"},
			SortBy: new(sandboxclient.SandboxSortByStoppedAt), SortOrder: new(sandboxclient.SortAscending),
		})))
	}},
	{op: "updateSandbox", method: "Client.Update of nothing", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Update(ctx, f.box, nil)
		return keepInfo(f, sb, err)
	}},
	{op: "updateSandbox", method: "Client.Update in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Update(ctx, f.box, &sandboxclient.SandboxUpdate{
			Name: f.fresh("box"), TTLSeconds: new(0), IdleTTLSeconds: new(60), VCPUs: 2, MemBytes: 1 << 31, FSCapacityBytes: 1 << 31, ProxyConfig: fullProxy(),
			DeleteAfterStopSeconds: new(60), CPUMillicores: 1500, TagValueIDs: []string{"t"},
			RunConfig: sandboxclient.RunConfig{User: "u", WorkDir: "/w", EnvVars: map[string]string{"A": "b"}},
		})
		return keepInfo(f, sb, err)
	}},
	{op: "updateSandbox", method: "Sandbox.Update", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		info, err := f.sandbox(c).Update(ctx, &sandboxclient.SandboxUpdate{ProxyConfig: denyingProxy()})
		return keep(f, info, err)
	}},
	{op: "deleteSandbox", method: "Client.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Delete(ctx, f.box)
	}},
	{op: "deleteSandbox", method: "Sandbox.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).Delete(ctx)
	}},
	{op: "batchDeleteSandboxes", method: "Client.DeleteBatch", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.DeleteBatch(ctx, f.box, f.none)
		return keep(f, v, err)
	}},
}

func createWithMounts(auth int) driver {
	return func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, &sandboxclient.CreateSandbox{MountConfig: fullMounts(mountAuths[auth])})
		return keepInfo(f, sb, err)
	}
}

// lifecycleRows need a sandbox in the state that their method starts from.
var lifecycleRows = []contractRow{
	{op: "getSandboxStatus", method: "Client.Status", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Status(ctx, f.box)
		return keep(f, v, err)
	}},
	{op: "getSandboxStatus", method: "Sandbox.Status", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Status(ctx)
		return keep(f, v, err)
	}},
	{op: "getSandboxStatus", method: "Sandbox.WaitReady", also: []string{"getSandbox"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).WaitReady(ctx, &sandboxclient.WaitOptions{Timeout: time.Minute})
	}},
	{op: "stopSandbox", method: "Client.Stop", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Stop(ctx, f.box)
	}},
	{op: "stopSandbox", method: "Sandbox.Stop", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).Stop(ctx)
	}},
	{op: "startSandbox", method: "Client.Start", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Start(ctx, f.box)
		return keepInfo(f, sb, err)
	}},
	{op: "startSandbox", method: "Sandbox.Start", also: []string{"getSandboxStatus", "getSandbox"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).Start(ctx, nil)
	}},
	{op: "listUsageCosts", method: "UsageService.Costs", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		end := time.Date(2026, time.February, 1, 0, 0, 0, 0, time.UTC)
		return keepAll(f, c.Usage.Costs(ctx, &sandboxclient.ListUsageCostsParams{StartTime: end.AddDate(0, 0, -31), EndTime: end}))
	}},
	{op: "listUsageCosts", method: "UsageService.Costs in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		end := time.Date(2026, time.February, 1, 0, 0, 0, 0, time.UTC)
		return keepAll(f, c.Usage.Costs(ctx, &sandboxclient.ListUsageCostsParams{
			StartTime: end.Add(-time.Hour), EndTime: end, Granularity: new(sandboxclient.CostsByResource), ResourceType: new(sandboxclient.CostOfSandbox),
			ResourceIDs: []string{"a", "b"}, IncludeTotals: new(true), IncludeDaily: new(true), PageSize: new(10), Cursor: new("c"),
		}))
	}},
	{op: "getUsage", method: "UsageService.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Usage.Get(ctx)
		return keep(f, v, err)
	}},
}

var dataplaneRows = []contractRow{
	{op: "execute", method: "Sandbox.Execute", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Execute(ctx, "true", nil)
		return keep(f, v, err)
	}},
	{op: "execute", method: "Sandbox.Execute in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Execute(ctx, "true", &sandboxclient.ExecuteOptions{
			Dir: "/", ShellPath: "/bin/sh", Env: map[string]string{"A": "b"}, Timeout: 5 * time.Second,
		})
		return keep(f, v, err)
	}},
}

func createFrom(req sandboxclient.CreateSandbox) driver {
	return func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb, err := c.Create(ctx, &req)
		return keepInfo(f, sb, err)
	}
}
