package main

import (
	"context"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var pools = noun[sandboxclient.Pool]{
	one: "pool", many: "pools", prefix: "sandbox pool",
	nameOf: func(p *sandboxclient.Pool) string { return p.Name },
	columns: []column[sandboxclient.Pool]{
		{"NAME", func(p *sandboxclient.Pool) string { return p.Name }},
		{"TEMPLATE", func(p *sandboxclient.Pool) string { return p.TemplateName }},
		{"REPLICAS", func(p *sandboxclient.Pool) string { return strconv.Itoa(p.Replicas) }},
		{"AGE", func(p *sandboxclient.Pool) string { return age(p.CreatedAt) }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Pool, error] {
		return c.Pools.List(ctx, nil)
	},
	get: func(ctx context.Context, c *sandboxclient.Client, name string) (*sandboxclient.Pool, error) {
		return c.Pools.Get(ctx, name)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Pools.Delete(ctx, name)
	},
}

func (a *app) poolCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CreatePool
	create := &cobra.Command{
		Use:     "create [flags] NAME TEMPLATE",
		Short:   "Keep sandboxes of a template ready",
		Example: "  sandbox pool create warm python-sandbox --replicas 3",
		Args:    wantArgs(2, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) != 1 { // a new name
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeNames(a, templates, 0)(cmd, nil, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name, req.TemplateName = args[0], args[1]
			return printed(a, &p, pools, func(c *sandboxclient.Client) (*sandboxclient.Pool, error) {
				defer a.spin("filling the pool")()
				return c.Pools.Create(cmd.Context(), &req)
			})
		},
	}
	create.Flags().IntVar(&req.Replicas, "replicas", 1, "how many to keep ready")
	p.flags(create, formName, "names")

	var change sandboxclient.PoolUpdate
	var replicas int
	update := &cobra.Command{
		Use:               "update [flags] NAME",
		Short:             "Change the name or size of a pool",
		Example:           "  sandbox pool update --replicas 5 warm",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, pools, 1),
		PreRunE:           changes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("replicas") {
				change.Replicas = &replicas
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				_, err := c.Pools.Update(cmd.Context(), args[0], &change)
				return err
			})
		},
	}
	update.Flags().StringVar(&change.Name, "name", "", "the new name")
	update.Flags().IntVar(&replicas, "replicas", 0, "how many to keep ready")
	return nounCommand(a, pools, create, update)
}
