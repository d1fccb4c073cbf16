package contract_test

import (
	"context"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var volumeRows = []contractRow{
	{op: "createVolume", method: "Volumes.Create", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: f.fresh("volume"), Size: "1Gi"})
		return keep(f, v, err)
	}},
	{op: "createVolume", method: "Volumes.Create in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: f.fresh("volume"), Size: "1Gi", WaitForReady: new(true), Timeout: 5})
		return keep(f, v, err)
	}},
	{op: "createVolume", method: "Volumes.Create without waiting", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: f.fresh("volume"), Size: "1Gi", WaitForReady: new(false)})
		return keep(f, v, err)
	}},
	{op: "createVolume", method: "Volumes.Create of generation 2", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Create(ctx, &sandboxclient.CreateVolume{
			Name: f.fresh("volume"), SizeBytes: 1 << 30, Description: "data", Labels: map[string]string{"team": "a"},
		})
		return keep(f, v, err)
	}},
	{op: "getVolume", method: "Volumes.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Get(ctx, f.volume)
		return keep(f, v, err)
	}},
	{op: "getVolume", method: "Volumes.Update of nothing", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Update(ctx, f.volume, nil)
		return keep(f, v, err)
	}},
	{op: "listVolumes", method: "Volumes.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Volumes.List(ctx, nil))
	}},
	{op: "listVolumes", method: "Volumes.List in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Volumes.List(ctx, &sandboxclient.ListVolumesParams{
			Limit: new(10), Offset: new(0), PageSize: new(10), NameContains: new("v"),
		}))
	}},
	{op: "listVolumes", method: "Volumes.List from a cursor", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Volumes.List(ctx, &sandboxclient.ListVolumesParams{Cursor: new("c")}))
	}},
	{op: "updateVolume", method: "Volumes.Update", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Update(ctx, f.volume, &sandboxclient.VolumeUpdate{Name: f.fresh("volume")})
		return keep(f, v, err)
	}},
	{op: "updateVolume", method: "Volumes.Update in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Update(ctx, f.volume, &sandboxclient.VolumeUpdate{
			Name: f.fresh("volume"), Size: "2Gi", Description: new("data"), Labels: map[string]string{"team": "a"},
		})
		return keep(f, v, err)
	}},
	{op: "updateVolume", method: "Volumes.Update of generation 2", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Volumes.Update(ctx, f.volume, &sandboxclient.VolumeUpdate{Description: new("data"), Labels: map[string]string{"team": "a"}})
		return keep(f, v, err)
	}},
	{op: "deleteVolume", method: "Volumes.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Volumes.Delete(ctx, f.volume)
	}},
}

var templateRows = []contractRow{
	{op: "createTemplate", method: "Templates.Create", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: f.fresh("template"), Image: "python:3.12-slim"})
		return keep(f, v, err)
	}},
	{op: "createTemplate", method: "Templates.Create in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.Create(ctx, &sandboxclient.CreateTemplate{
			Name: f.fresh("template"), Image: "python:3.12-slim", RegistryName: "registry", ProxyConfig: fullProxy(),
			Resources:    sandboxclient.ResourceSpec{CPU: "1", Memory: "1Gi", Storage: "2Gi"},
			VolumeMounts: []sandboxclient.VolumeMount{{VolumeName: f.volume, MountPath: "/data"}},
		})
		return keep(f, v, err)
	}},
	{op: "createTemplate", method: "Templates.Create with denied hosts", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: f.fresh("template"), Image: "i", ProxyConfig: denyingProxy()})
		return keep(f, v, err)
	}},
	{op: "getTemplate", method: "Templates.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.Get(ctx, f.template)
		return keep(f, v, err)
	}},
	{op: "listTemplates", method: "Templates.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Templates.List(ctx, nil))
	}},
	{op: "listTemplates", method: "Templates.List in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Templates.List(ctx, &sandboxclient.ListTemplatesParams{
			Limit: new(10), Offset: new(0), NameContains: new("t"),
			SortBy: new(sandboxclient.TemplateSortByImage), SortDirection: new(sandboxclient.SortAscending),
		}))
	}},
	{op: "updateTemplate", method: "Templates.Update", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.Update(ctx, f.template, &sandboxclient.TemplateUpdate{Name: f.fresh("template")})
		return keep(f, v, err)
	}},
	{op: "deleteTemplate", method: "Templates.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Templates.Delete(ctx, f.template)
	}},
	{op: "batchDeleteTemplates", method: "Templates.DeleteBatch", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Templates.DeleteBatch(ctx, f.template, f.none)
		return keep(f, v, err)
	}},
}

var poolRows = []contractRow{
	{op: "createPool", method: "Pools.Create", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: f.fresh("pool"), TemplateName: f.template, Replicas: 1})
		return keep(f, v, err)
	}},
	{op: "createPool", method: "Pools.Create in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: f.fresh("pool"), TemplateName: f.template, Replicas: 1, WaitForReady: new(true), Timeout: 10})
		return keep(f, v, err)
	}},
	{op: "createPool", method: "Pools.Create without waiting", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: f.fresh("pool"), TemplateName: f.template, Replicas: 1, WaitForReady: new(false)})
		return keep(f, v, err)
	}},
	{op: "getPool", method: "Pools.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Get(ctx, f.pool)
		return keep(f, v, err)
	}},
	{op: "getPool", method: "Pools.Update of nothing", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Update(ctx, f.pool, nil)
		return keep(f, v, err)
	}},
	{op: "listPools", method: "Pools.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Pools.List(ctx, nil))
	}},
	{op: "listPools", method: "Pools.List in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Pools.List(ctx, &sandboxclient.ListPoolsParams{Limit: new(10), Offset: new(0), NameContains: new("p")}))
	}},
	{op: "updatePool", method: "Pools.Update to pause", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Update(ctx, f.pool, &sandboxclient.PoolUpdate{Replicas: new(0)})
		return keep(f, v, err)
	}},
	{op: "updatePool", method: "Pools.Update in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Pools.Update(ctx, f.pool, &sandboxclient.PoolUpdate{Name: f.fresh("pool"), Replicas: new(1)})
		return keep(f, v, err)
	}},
	{op: "deletePool", method: "Pools.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Pools.Delete(ctx, f.pool)
	}},
}
