package contract_test

import (
	"context"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var registryRows = []contractRow{
	{op: "createRegistry", method: "Registries.Create", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Create(ctx, &sandboxclient.CreateRegistry{Name: f.fresh("registry"), URL: "ghcr.io"})
		return keep(f, v, err)
	}},
	{op: "createRegistry", method: "Registries.Create with a password", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Create(ctx, &sandboxclient.CreateRegistry{
			Name: f.fresh("registry"), URL: "https://ghcr.io", Username: "user", Password: "secret", AuthType: sandboxclient.RegistryAuthDockerConfig,
		})
		return keep(f, v, err)
	}},
	{op: "createRegistry", method: "Registries.Create with a role", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Create(ctx, &sandboxclient.CreateRegistry{
			Name: f.fresh("registry"), URL: "1.dkr.ecr.us-east-1.amazonaws.com", AuthType: sandboxclient.RegistryAuthAWSRole, AWSRoleARN: "arn",
		})
		return keep(f, v, err)
	}},
	{op: "getRegistry", method: "Registries.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Get(ctx, f.registry)
		return keep(f, v, err)
	}},
	{op: "getRegistry", method: "Registries.Update of nothing", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Update(ctx, f.registry, nil)
		return keep(f, v, err)
	}},
	{op: "listRegistries", method: "Registries.List", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Registries.List(ctx, nil))
	}},
	{op: "listRegistries", method: "Registries.List from an offset", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Registries.List(ctx, &sandboxclient.ListRegistriesParams{Limit: new(10), Offset: new(0), NameContains: new("r")}))
	}},
	{op: "listRegistries", method: "Registries.List from a cursor", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, c.Registries.List(ctx, &sandboxclient.ListRegistriesParams{PageSize: new(10), Cursor: new("c")}))
	}},
	{op: "updateRegistry", method: "Registries.Update", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Update(ctx, f.registry, &sandboxclient.RegistryUpdate{Name: f.fresh("registry")})
		return keep(f, v, err)
	}},
	{op: "updateRegistry", method: "Registries.Update of the password", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Update(ctx, f.registry, &sandboxclient.RegistryUpdate{URL: "ghcr.io", Username: "user", Password: "secret"})
		return keep(f, v, err)
	}},
	{op: "updateRegistry", method: "Registries.Update of the role", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := c.Registries.Update(ctx, f.registry, &sandboxclient.RegistryUpdate{AuthType: sandboxclient.RegistryAuthAWSRole, AWSRoleARN: "arn"})
		return keep(f, v, err)
	}},
	{op: "deleteRegistry", method: "Registries.Delete", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return c.Registries.Delete(ctx, f.registry)
	}},
}
