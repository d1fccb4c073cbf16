package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// namedCalls are all calls on something that exists, by the name it has.
var namedCalls = map[string]func(ctx context.Context, c *sandboxclient.Client, name string) error{
	"GET /volumes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Volumes.Get(ctx, name))
	},
	"GET /volumes/%s (nothing to change)": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Volumes.Update(ctx, name, nil))
	},
	"PATCH /volumes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Volumes.Update(ctx, name, &sandboxclient.VolumeUpdate{Size: "1Gi"}))
	},
	"DELETE /volumes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Volumes.Delete(ctx, name)
	},
	"GET /templates/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Templates.Get(ctx, name))
	},
	"PATCH /templates/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Templates.Update(ctx, name, &sandboxclient.TemplateUpdate{Name: "b"}))
	},
	"DELETE /templates/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Templates.Delete(ctx, name)
	},
	"GET /pools/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Pools.Get(ctx, name))
	},
	"GET /pools/%s (nothing to change)": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Pools.Update(ctx, name, &sandboxclient.PoolUpdate{}))
	},
	"PATCH /pools/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Pools.Update(ctx, name, &sandboxclient.PoolUpdate{Replicas: new(0)}))
	},
	"DELETE /pools/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Pools.Delete(ctx, name)
	},
	"GET /registries/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Registries.Get(ctx, name))
	},
	"GET /registries/%s (nothing to change)": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Registries.Update(ctx, name, nil))
	},
	"PATCH /registries/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Registries.Update(ctx, name, &sandboxclient.RegistryUpdate{URL: "ghcr.io"}))
	},
	"DELETE /registries/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Registries.Delete(ctx, name)
	},
	"GET /boxes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error { return second(c.Get(ctx, name)) },
	"PATCH /boxes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Update(ctx, name, nil))
	},
	"DELETE /boxes/%s": func(ctx context.Context, c *sandboxclient.Client, name string) error { return c.Delete(ctx, name) },
	"GET /boxes/%s/status": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Status(ctx, name))
	},
	"POST /boxes/%s/start": func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return second(c.Start(ctx, name))
	},
	"POST /boxes/%s/stop": func(ctx context.Context, c *sandboxclient.Client, name string) error { return c.Stop(ctx, name) },
}

// TestNamesInPaths: a name is one segment, whatever is in it; what would be
// none is refused.
func TestNamesInPaths(t *testing.T) {
	t.Parallel()
	for route, do := range namedCalls {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"", " ", "\t\n", ".", ".."} {
				f := &fake{answer: always(200, "{}")}
				err := do(t.Context(), client(t, f), name)
				if _, ok := errors.AsType[*sandboxclient.ArgumentError](err); !ok || len(f.requests()) != 0 {
					t.Errorf("%q: %d requests, error %v", name, len(f.requests()), err)
				}
			}
			method, path, _ := strings.Cut(strings.TrimSuffix(route, " (nothing to change)"), " ")
			for name, escaped := range map[string]string{
				"a": "a", "a/b": "a%2Fb", "../b": "..%2Fb", "a b": "a%20b", "a?b=c#d": "a%3Fb=c%23d", "a%2Fb": "a%252Fb", "ü": "%C3%BC", "...": "...",
			} {
				f := &fake{answer: always(200, "{}")}
				if err := do(t.Context(), client(t, f), name); err != nil {
					t.Errorf("%q: %v", name, err)
					continue
				}
				if got, want := f.requests()[0], "/v2/sandboxes"+fmt.Sprintf(path, escaped); got.method != method || got.path != want || got.query != "" {
					t.Errorf("%q: %s %s?%s, want %s %s", name, got.method, got.path, got.query, method, want)
				}
			}
		})
	}
}

// TestNewNames: what all clients must be able to use in a path is checked when
// it is given.
func TestNewNames(t *testing.T) {
	t.Parallel()
	calls := map[string]func(context.Context, *sandboxclient.Client, string) error{
		"create volume": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: name, Size: "1Gi"}))
		},
		"update volume": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Volumes.Update(ctx, "a", &sandboxclient.VolumeUpdate{Name: name, Size: "1Gi"}))
		},
		"create template": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: name, Image: "i"}))
		},
		"update template": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Templates.Update(ctx, "a", &sandboxclient.TemplateUpdate{Name: name}))
		},
		"create pool": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: name, TemplateName: "t", Replicas: 1}))
		},
		"update pool": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Pools.Update(ctx, "a", &sandboxclient.PoolUpdate{Name: name, Replicas: new(1)}))
		},
		"create registry": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Registries.Create(ctx, &sandboxclient.CreateRegistry{Name: name, URL: "ghcr.io"}))
		},
		"update registry": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Registries.Update(ctx, "a", &sandboxclient.RegistryUpdate{Name: name, URL: "ghcr.io"}))
		},
		"create sandbox": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Create(ctx, &sandboxclient.CreateSandbox{Name: name}))
		},
		"update sandbox": func(ctx context.Context, c *sandboxclient.Client, name string) error {
			return second(c.Update(ctx, "a", &sandboxclient.SandboxUpdate{Name: name}))
		},
	}
	optional := []string{"update volume", "update pool", "update registry", "create sandbox", "update sandbox"}
	bad := []string{"", " ", ".", "..", "a/b", "/", "a\nb", "a\x00", "\x7f"}
	badForPools := []string{"A", "a_b", "a.b", "ü", "a b", strings.Repeat("a", 64)}
	for op, do := range calls {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			refused := slices.Clone(bad)
			accepted := append(slices.Clone(badForPools), "a-1", strings.Repeat("a", 63))
			if strings.HasSuffix(op, "pool") {
				refused, accepted = append(refused, badForPools...), []string{"a-1", "0", strings.Repeat("a", 63)}
			}
			if slices.Contains(optional, op) {
				refused, accepted = refused[1:], append(accepted, "")
			}
			for _, name := range refused {
				f := &fake{answer: always(200, "{}")}
				err := do(t.Context(), client(t, f), name)
				arg, ok := errors.AsType[*sandboxclient.ArgumentError](err)
				if !ok || arg.Op != op || !strings.HasSuffix(arg.Argument, "name") || len(f.requests()) != 0 {
					t.Errorf("%q: %d requests, error %v", name, len(f.requests()), err)
				}
			}
			for _, name := range accepted {
				f := &fake{answer: always(200, "{}")}
				if err := do(t.Context(), client(t, f), name); err != nil || len(f.requests()) != 1 {
					t.Errorf("%q: %d requests, error %v", name, len(f.requests()), err)
				}
			}
		})
	}
}
