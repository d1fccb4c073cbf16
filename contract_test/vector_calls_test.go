package contract_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// errCaller is the error of the caller's own code.
var errCaller = errors.New("the caller's own error")

// vectorCall is one operation of the vectors on the facade. What it returns is
// compared by its JSON form.
type vectorCall func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error)

var vectorCalls = map[string]vectorCall{
	"NewClient": func(_ context.Context, c *sandboxclient.Client, _ *vector) (any, error) {
		return map[string]any{"endpoint": c.Endpoint()}, nil
	},

	"CreateVolume": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Volumes.Create(ctx, args[sandboxclient.CreateVolume](v))
	},
	"GetVolume": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Volumes.Get(ctx, arg[string](v, "name"))
	},
	"ListVolumes": func(ctx context.Context, c *sandboxclient.Client, _ *vector) (any, error) {
		return items(c.Volumes.List(ctx, nil))
	},
	"UpdateVolume": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Volumes.Update(ctx, arg[string](v, "name"), update[sandboxclient.VolumeUpdate](v))
	},
	"DeleteVolume": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return nil, c.Volumes.Delete(ctx, arg[string](v, "name"))
	},

	"CreateTemplate": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Templates.Create(ctx, args[sandboxclient.CreateTemplate](v))
	},
	"GetTemplate": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Templates.Get(ctx, arg[string](v, "name"))
	},
	"ListTemplates": func(ctx context.Context, c *sandboxclient.Client, _ *vector) (any, error) {
		return items(c.Templates.List(ctx, nil))
	},
	"UpdateTemplate": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Templates.Update(ctx, arg[string](v, "name"), update[sandboxclient.TemplateUpdate](v))
	},
	"DeleteTemplate": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return nil, c.Templates.Delete(ctx, arg[string](v, "name"))
	},

	"CreatePool": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Pools.Create(ctx, args[sandboxclient.CreatePool](v))
	},
	"GetPool": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Pools.Get(ctx, arg[string](v, "name"))
	},
	"ListPools": func(ctx context.Context, c *sandboxclient.Client, _ *vector) (any, error) {
		return items(c.Pools.List(ctx, nil))
	},
	"UpdatePool": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Pools.Update(ctx, arg[string](v, "name"), update[sandboxclient.PoolUpdate](v))
	},
	"DeletePool": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return nil, c.Pools.Delete(ctx, arg[string](v, "name"))
	},

	"Sandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		var info sandboxclient.Info
		err := c.Use(ctx, args[sandboxclient.CreateSandbox](v), func(_ context.Context, sb *sandboxclient.Sandbox) error {
			info = sb.Info()
			if v.Call.Scope.Body == "fail" {
				return errCaller
			}
			return nil
		})
		return info, err
	},
	"CreateSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return infoOf(c.Create(ctx, args[sandboxclient.CreateSandbox](v)))
	},
	"GetSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return infoOf(c.Get(ctx, arg[string](v, "name")))
	},
	"ListSandboxes": func(ctx context.Context, c *sandboxclient.Client, _ *vector) (any, error) {
		return items(func(yield func(*sandboxclient.Info, error) bool) {
			for sb, err := range c.List(ctx, nil) {
				info, err := infoOf(sb, err)
				if !yield(&info, err) {
					return
				}
			}
		})
	},
	"UpdateSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return infoOf(c.Update(ctx, arg[string](v, "name"), update[sandboxclient.SandboxUpdate](v)))
	},
	"DeleteSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return nil, target(c, v).Delete(ctx)
	},
	"GetSandboxStatus": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Status(ctx, arg[string](v, "name"))
	},
	"WaitForSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		sb := target(c, v)
		err := sb.WaitReady(ctx, waitOptions(v))
		return sb.Info(), err
	},
	"StartSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		sb := target(c, v)
		err := sb.Start(ctx, nil)
		return sb.Info(), err
	},
	"StopSandbox": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		sb := target(c, v)
		err := sb.Stop(ctx)
		return sb.Info(), err
	},

	"CreateSnapshot": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Snapshots.Create(ctx, args[sandboxclient.CreateSnapshot](v), waitOptions(v))
	},
	"CaptureSnapshot": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		sb := c.FromInfo(sandboxclient.Info{Name: arg[string](v, "sandbox_name")})
		if v.Call.On != nil {
			sb = target(c, v)
		}
		return sb.Capture(ctx, args[sandboxclient.CaptureSnapshot](v), waitOptions(v))
	},
	"GetSnapshot": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Snapshots.Get(ctx, arg[string](v, "snapshot_id"))
	},
	"ListSnapshots": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return items(c.Snapshots.List(ctx, args[sandboxclient.ListSnapshotsParams](v)))
	},
	"DeleteSnapshot": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return nil, c.Snapshots.Delete(ctx, arg[string](v, "snapshot_id"))
	},
	"WaitForSnapshot": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		return c.Snapshots.Wait(ctx, arg[string](v, "snapshot_id"), waitOptions(v))
	},

	"Run": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		r, err := target(c, v).Execute(ctx, arg[string](v, "command"), &sandboxclient.ExecuteOptions{
			Dir:       arg[string](v, "cwd"),
			ShellPath: arg[string](v, "shell"),
			Env:       arg[map[string]string](v, "env"),
			Timeout:   seconds(arg[float64](v, "timeout")),
		})
		if err != nil {
			return nil, err
		}
		return map[string]any{"stdout": r.Stdout, "stderr": r.Stderr, "exit_code": r.ExitCode, "success": r.Err() == nil}, nil
	},
	"Write": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		content := []byte(arg[string](v, "text"))
		if encoded := arg[string](v, "base64"); encoded != "" {
			var err error
			if content, err = base64.StdEncoding.DecodeString(encoded); err != nil {
				return nil, err
			}
		}
		return nil, target(c, v).WriteFile(ctx, arg[string](v, "path"), content)
	},
	"Read": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		content, err := target(c, v).ReadFile(ctx, arg[string](v, "path"))
		return map[string]any{"base64": base64.StdEncoding.EncodeToString(content)}, err
	},
}

// replay makes the call and returns what was wrong with it.
func (v *vector) replay(ctx context.Context) []string {
	s := &script{op: v.Call.Op, exchanges: v.Exchanges, last: time.Now()}
	for key, value := range arg[map[string]string](v, "headers") {
		ctx = sandboxclient.ContextWithHeader(ctx, key, value) //nolint:fatcontext // one layer a header
	}
	var got any
	c, err := sandboxclient.New(v.options(s)...)
	if err == nil {
		got, err = vectorCallOf(v.Call.Op)(ctx, c, v)
	}
	problems := slices.Concat(s.problems, v.judge(got, err))
	if s.next < len(s.exchanges) {
		problems = append(problems, fmt.Sprintf("%d requests, want %d", s.next, len(s.exchanges)))
	}
	return problems
}

func (v *vector) options(s *script) []sandboxclient.Option {
	opts := []sandboxclient.Option{
		sandboxclient.WithHTTPClient(&http.Client{Transport: s}),
		sandboxclient.WithEnvironment(func(key string) string { return v.Client.Env[key] }),
	}
	switch {
	case v.Client.Endpoint != nil:
		opts = append(opts, sandboxclient.WithEndpoint(*v.Client.Endpoint))
	case v.Client.Env == nil:
		opts = append(opts, sandboxclient.WithEndpoint(vectorServer+"/v2/sandboxes"))
	}
	if v.Client.APIKey != nil {
		opts = append(opts, sandboxclient.WithAPIKey(*v.Client.APIKey))
	}
	if v.Client.MaxRetries != nil {
		policy := sandboxclient.DefaultRetryPolicy()
		policy.MaxAttempts = *v.Client.MaxRetries + 1
		opts = append(opts, sandboxclient.WithRetry(policy))
	}
	for key, value := range v.Client.Headers {
		opts = append(opts, sandboxclient.WithHeader(key, value))
	}
	return opts
}

// target is the sandbox that the call is made on.
func target(c *sandboxclient.Client, v *vector) *sandboxclient.Sandbox {
	info := sandboxclient.Info{Name: arg[string](v, "name")}
	if v.Call.On != nil {
		must(json.Unmarshal(v.Call.On, &info))
	}
	return c.FromInfo(info)
}

// args is all arguments as one request; they have the names of the wire.
func args[T any](v *vector) *T {
	raw, err := json.Marshal(v.Call.Args)
	must(err)
	req := new(T)
	must(json.Unmarshal(raw, req))
	return req
}

// update is the arguments of a change, where name is the resource changed.
func update[T any](v *vector) *T {
	changed := *v
	changed.Call.Args = map[string]json.RawMessage{}
	for key, value := range v.Call.Args {
		switch key {
		case "name":
		case "new_name":
			changed.Call.Args["name"] = value
		default:
			changed.Call.Args[key] = value
		}
	}
	return args[T](&changed)
}

func arg[T any](v *vector, name string) T {
	var value T
	if raw, ok := v.Call.Args[name]; ok {
		must(json.Unmarshal(raw, &value))
	}
	return value
}

// waitOptions are how to wait; a timeout of 0 is to ask once, as -1 is here.
func waitOptions(v *vector) *sandboxclient.WaitOptions {
	o := &sandboxclient.WaitOptions{Timeout: seconds(arg[float64](v, "timeout")), Interval: seconds(arg[float64](v, "poll_interval"))}
	if o.Timeout == 0 && v.Call.Args["timeout"] != nil {
		o.Timeout = -1
	}
	return o
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func infoOf(sb *sandboxclient.Sandbox, err error) (sandboxclient.Info, error) {
	if err != nil {
		return sandboxclient.Info{}, err
	}
	return sb.Info(), nil
}

func items[T any](list iter.Seq2[*T, error]) (any, error) {
	all := []*T{}
	for item, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return map[string]any{"items": all}, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
