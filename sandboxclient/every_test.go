package sandboxclient_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// call is one call of the facade that sends one request.
type call struct {
	op     string // as in its errors
	name   string // likewise
	effect bool   // a lost answer leaves its outcome unknown
	do     func(context.Context, *sandboxclient.Client) error
}

// every has all calls that send a request, each with good arguments.
var every = slices.Concat(storageCalls, sandboxCalls, dataplaneCalls)

var storageCalls = []call{
	{"create volume", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "a", Size: "1Gi"}))
	}},
	{"get volume", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Volumes.Get(ctx, "a")) }},
	{"list volumes", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return last(c.Volumes.List(ctx, nil)) }},
	{"update volume", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Volumes.Update(ctx, "a", &sandboxclient.VolumeUpdate{Size: "2Gi"}))
	}},
	{"delete volume", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Volumes.Delete(ctx, "a") }},

	{"create template", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: "a", Image: "i"}))
	}},
	{"get template", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Templates.Get(ctx, "a")) }},
	{"list templates", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return last(c.Templates.List(ctx, nil)) }},
	{"update template", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Templates.Update(ctx, "a", &sandboxclient.TemplateUpdate{Name: "b"}))
	}},
	{"delete template", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Templates.Delete(ctx, "a") }},
	{"delete templates", "", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Templates.DeleteBatch(ctx, "a"))
	}},

	{"create pool", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "a", TemplateName: "t", Replicas: 1}))
	}},
	{"get pool", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Pools.Get(ctx, "a")) }},
	{"list pools", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return last(c.Pools.List(ctx, nil)) }},
	{"update pool", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Pools.Update(ctx, "a", &sandboxclient.PoolUpdate{Replicas: new(2)}))
	}},
	{"delete pool", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Pools.Delete(ctx, "a") }},

	{"create registry", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Registries.Create(ctx, &sandboxclient.CreateRegistry{Name: "a", URL: "ghcr.io"}))
	}},
	{"get registry", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Registries.Get(ctx, "a")) }},
	{"list registries", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return last(c.Registries.List(ctx, nil)) }},
	{"update registry", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Registries.Update(ctx, "a", &sandboxclient.RegistryUpdate{URL: "ghcr.io"}))
	}},
	{"delete registry", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Registries.Delete(ctx, "a") }},
}

var sandboxCalls = []call{
	{"create sandbox", "a", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(c.Create(ctx, &sandboxclient.CreateSandbox{Name: "a"}))
	}},
	{"get sandbox", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Get(ctx, "a")) }},
	{"list sandboxes", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return last(c.List(ctx, nil)) }},
	{"get status of sandbox", "a", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Status(ctx, "a")) }},
	{"update sandbox", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Update(ctx, "a", nil)) }},
	{"delete sandbox", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Delete(ctx, "a") }},
	{"delete sandboxes", "", true, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.DeleteBatch(ctx, "a")) }},
	{"start sandbox", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Start(ctx, "a")) }},
	{"stop sandbox", "a", true, func(ctx context.Context, c *sandboxclient.Client) error { return c.Stop(ctx, "a") }},
	{"get usage", "", false, func(ctx context.Context, c *sandboxclient.Client) error { return second(c.Usage.Get(ctx)) }},
	{"list usage costs", "", false, func(ctx context.Context, c *sandboxclient.Client) error {
		return last(c.Usage.Costs(ctx, january(0)))
	}},
}

var dataplaneCalls = []call{
	{"execute in sandbox", "box1", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(box(c).Execute(ctx, "true", nil))
	}},
	{"write file", "box1", true, func(ctx context.Context, c *sandboxclient.Client) error {
		return box(c).WriteFile(ctx, "/a", []byte("x"))
	}},
	{"read file", "box1", false, func(ctx context.Context, c *sandboxclient.Client) error {
		return second(box(c).ReadFile(ctx, "/a"))
	}},
}

// january is a period that is so many days longer than it may be.
func january(more int) *sandboxclient.ListUsageCostsParams {
	begin := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return &sandboxclient.ListUsageCostsParams{StartTime: begin, EndTime: begin.AddDate(0, 0, 31+more)}
}

// second is the error of a call that returns something else too.
func second[T any](_ T, err error) error { return err }

// last is the error of a list, if there is one.
func last[T any](list iter.Seq2[*T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// callTo is the call of that operation.
func callTo(t *testing.T, op string) call {
	t.Helper()
	i := slices.IndexFunc(every, func(c call) bool { return c.op == op })
	if i < 0 {
		t.Fatalf("there is no call to %s", op)
	}
	return every[i]
}
