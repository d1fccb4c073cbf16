package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var sandboxes = noun[sandboxclient.Info]{
	one: "sandbox", many: "sandboxes", prefix: "sandbox",
	nameOf: func(s *sandboxclient.Info) string { return s.Name },
	columns: []column[sandboxclient.Info]{
		{"NAME", func(s *sandboxclient.Info) string { return s.Name }},
		{"STATUS", func(s *sandboxclient.Info) string { return string(s.Status) }},
		{"TEMPLATE", func(s *sandboxclient.Info) string { return s.TemplateName }},
		{"AGE", func(s *sandboxclient.Info) string { return age(s.CreatedAt) }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Info, error] {
		return func(yield func(*sandboxclient.Info, error) bool) {
			for sb, err := range c.List(ctx, nil) {
				if err != nil {
					yield(nil, err)
					return
				}
				if info := sb.Info(); !yield(&info, nil) {
					return
				}
			}
		}
	},
	get: func(ctx context.Context, c *sandboxclient.Client, name string) (*sandboxclient.Info, error) {
		return infoOf(c.Get(ctx, name))
	},
	remove:  func(ctx context.Context, c *sandboxclient.Client, name string) error { return c.Delete(ctx, name) },
	removed: func(a *app, c *sandboxclient.Client, name string) { a.forgetSandbox(c.Endpoint(), name) },
}

func infoOf(sb *sandboxclient.Sandbox, err error) (*sandboxclient.Info, error) {
	if err != nil {
		return nil, err
	}
	info := sb.Info()
	return &info, nil
}

type createFlags struct {
	name, template, snapshot string
	env, labels              []string
	ttl, idle                time.Duration
	noWait                   bool
}

func (a *app) createCommand() *cobra.Command {
	var f createFlags
	var p printer
	cmd := &cobra.Command{
		Use:   "create [flags]",
		Short: "Create a sandbox that stays",
		Long: `Create a sandbox from a template, a snapshot or the server's default, wait until
it is ready, and print its name. It stays until it is deleted or its time is over.`,
		Example: `  sandbox create --name work --template python-sandbox
  sandbox create --snapshot team/python --ttl 2h
  name=$(sandbox create)`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, err := f.request()
			if err != nil {
				return err
			}
			return printed(a, &p, sandboxes, func(c *sandboxclient.Client) (*sandboxclient.Info, error) {
				return a.create(cmd.Context(), c, req, f.noWait)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the sandbox; the server chooses one if it is left out")
	flags.StringVar(&f.template, "template", "", "make it from this template")
	flags.StringVar(&f.snapshot, "snapshot", "", "boot it from this snapshot: NAME, NAME:TAG or an id")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "environment variable of all its commands, as NAME=value; may be repeated")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "label, as NAME=value; may be repeated")
	flags.DurationVar(&f.ttl, "ttl", 0, "when to delete it, in whole minutes; 0 is never")
	flags.DurationVar(&f.idle, "idle", 0, "how long it may be idle before it is stopped or deleted, in whole minutes; 0 is the server's choice")
	flags.BoolVar(&f.noWait, "no-wait", false, "do not wait until it is ready")
	p.flags(cmd, formName, "names")
	completeFlag(cmd, "template", completeNames(a, templates, 0))
	completeFlag(cmd, "snapshot", completeNames(a, snapshots, 0))
	return cmd
}

func (f createFlags) request() (*sandboxclient.CreateSandbox, error) {
	env, err := pairs("env", f.env)
	if err != nil {
		return nil, err
	}
	labels, err := pairs("label", f.labels)
	if err != nil {
		return nil, err
	}
	req := &sandboxclient.CreateSandbox{Name: f.name, TemplateName: f.template, Labels: labels}
	bootFrom(req, f.snapshot)
	req.EnvVars = env
	for _, d := range []struct {
		flag string
		d    time.Duration
		to   **int
	}{{"ttl", f.ttl, &req.TTLSeconds}, {"idle", f.idle, &req.IdleTTLSeconds}} {
		switch {
		case d.d == 0:
		case d.d < 0 || d.d%time.Minute != 0:
			return nil, fmt.Errorf("--%s %s: want whole minutes", d.flag, d.d)
		default:
			*d.to = new(int(d.d.Seconds()))
		}
	}
	return req, nil
}

func (a *app) create(ctx context.Context, c *sandboxclient.Client, req *sandboxclient.CreateSandbox, noWait bool) (*sandboxclient.Info, error) {
	defer a.spin("creating a sandbox")()
	if noWait {
		req.WaitForReady = new(false)
	}
	sb, err := c.Create(ctx, req)
	if err == nil && !noWait {
		err = sb.WaitReady(ctx, nil)
	}
	return infoOf(sb, err)
}

// pairs reads values of a flag that are NAME=value.
func pairs(flag string, list []string) (map[string]string, error) {
	out, err := parsePairs(flag, list)
	if len(out) == 0 {
		return nil, err
	}
	return out, err
}
