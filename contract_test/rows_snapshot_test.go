package contract_test

import (
	"context"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var snapshotRows = []contractRow{
	{op: "createSnapshot", method: "Snapshots.Create without waiting", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Snapshots.Create(ctx, &sandboxclient.CreateSnapshot{
			Name: f.fresh("snapshot"), DockerImage: f.image, FSCapacityBytes: 1 << 30,
		}, &sandboxclient.WaitOptions{NoWait: true})
		return keep(f, v, err)
	}},
	{op: "createSnapshot", method: "Snapshots.Create in full", also: []string{"getSnapshot"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := c.Snapshots.Create(ctx, &sandboxclient.CreateSnapshot{
			Name: f.fresh("team/snapshot"), DockerImage: f.image, FSCapacityBytes: 1 << 30, RegistryID: "r", Tag: "v1", Description: "d",
			Labels: map[string]string{"l": "v"}, RunConfig: sandboxclient.RunConfig{User: "0", WorkDir: "/w", EnvVars: map[string]string{"A": "b"}},
		}, nil)
		return err
	}},
	{op: "getSnapshot", method: "Snapshots.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Snapshots.Get(ctx, f.snapshot)
		return keep(f, v, err)
	}},
	{op: "getSnapshot", method: "Snapshots.Wait", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Snapshots.Wait(ctx, f.snapshot, nil)
		return keep(f, v, err)
	}},
	{op: "getSnapshotTags", method: "Snapshots.ByName", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Snapshots.ByName(ctx, f.snapshotName)
		return keep(f, v, err)
	}},
	{op: "listSnapshots", method: "Snapshots.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Snapshots.List(ctx, nil))
	}},
	{op: "listSnapshots", method: "Snapshots.List in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Snapshots.List(ctx, &sandboxclient.ListSnapshotsParams{
			Limit: new(500), Offset: new(0), NameContains: new("s"), Status: new(sandboxclient.SnapshotReady),
			SortBy: new(sandboxclient.SnapshotSortByName), SortDirection: new(sandboxclient.SortAscending),
		}))
	}},
	{op: "listSnapshots", method: "Snapshots.List in full, second generation", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Snapshots.List(ctx, &sandboxclient.ListSnapshotsParams{
			PageSize: new(10), Cursor: new("c"), CreatedBy: new(sandboxclient.CreatedByMe), Labels: []string{"a", "b=c"},
			SortBy: new(sandboxclient.SnapshotSortByStatus), SortOrder: new(sandboxclient.SortDescending),
		}))
	}},
	{op: "deleteSnapshot", method: "Snapshots.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Snapshots.Delete(ctx, f.snapshot)
	}},
	{op: "captureSandbox", method: "Sandbox.Capture without waiting", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Capture(ctx, &sandboxclient.CaptureSnapshot{Name: f.fresh("snapshot")}, &sandboxclient.WaitOptions{NoWait: true})
		return keep(f, v, err)
	}},
	{op: "captureSandbox", method: "Sandbox.Capture in full", also: []string{"getSnapshot"}, drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).Capture(ctx, &sandboxclient.CaptureSnapshot{
			Name: f.fresh("team/snapshot"), DockerImage: "built", FSCapacityBytes: 1 << 30, IncludeMemory: true, Tag: "v1", Description: "d",
			Labels: map[string]string{"l": "v"}, RunConfig: sandboxclient.RunConfig{User: "0", WorkDir: "/w", EnvVars: map[string]string{"A": "b"}},
			ImageConfig: sandboxclient.ImageConfig{Cmd: []string{}, Entrypoint: []string{"/bin/sh"}, ExposedPorts: []int{80}},
			Include:     []sandboxclient.SnapshotSetting{sandboxclient.SnapshotAllSettings}, ConfirmAllowSnapshotSecretValues: true,
		}, nil)
		return err
	}},
	{op: "captureSandbox", method: "Sandbox.Capture of a checkpoint", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Capture(ctx, &sandboxclient.CaptureSnapshot{Name: f.fresh("snapshot"), Checkpoint: "c"}, &sandboxclient.WaitOptions{NoWait: true})
		return keep(f, v, err)
	}},
}
