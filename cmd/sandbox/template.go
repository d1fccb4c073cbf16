package main

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var templates = noun[sandboxclient.Template]{
	one: "template", many: "templates", prefix: "sandbox template",
	nameOf: func(t *sandboxclient.Template) string { return t.Name },
	columns: []column[sandboxclient.Template]{
		{"NAME", func(t *sandboxclient.Template) string { return t.Name }},
		{"IMAGE", func(t *sandboxclient.Template) string { return t.Image }},
		{"CPU", func(t *sandboxclient.Template) string { return t.Resources.CPU }},
		{"MEMORY", func(t *sandboxclient.Template) string { return t.Resources.Memory }},
		{"AGE", func(t *sandboxclient.Template) string { return age(t.CreatedAt) }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Template, error] {
		return c.Templates.List(ctx, nil)
	},
	get: func(ctx context.Context, c *sandboxclient.Client, name string) (*sandboxclient.Template, error) {
		return c.Templates.Get(ctx, name)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Templates.Delete(ctx, name)
	},
}

func (a *app) templateCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CreateTemplate
	create := &cobra.Command{
		Use:     "create [flags] NAME IMAGE",
		Short:   "Create a template",
		Example: "  sandbox template create python-sandbox python:3.12-slim --cpu 500m --memory 1Gi",
		Args:    wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name, req.Image = args[0], args[1]
			return printed(a, &p, templates, func(c *sandboxclient.Client) (*sandboxclient.Template, error) {
				return c.Templates.Create(cmd.Context(), &req)
			})
		},
	}
	flags := create.Flags()
	flags.StringVar(&req.Resources.CPU, "cpu", "", "CPU of a sandbox, such as 500m; the server chooses by default")
	flags.StringVar(&req.Resources.Memory, "memory", "", "memory of a sandbox, such as 512Mi")
	flags.StringVar(&req.Resources.Storage, "storage", "", "disk of a sandbox, such as 10Gi")
	flags.StringVar(&req.RegistryName, "registry", "", "registry whose login the image needs")
	p.flags(create, formName, "names")
	completeFlag(create, "registry", completeNames(a, registries, 0))

	var name string
	update := &cobra.Command{
		Use:               "update [flags] NAME",
		Short:             "Give a template another name",
		Example:           "  sandbox template update --name python python-sandbox",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, templates, 1),
		PreRunE:           changes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				_, err := c.Templates.Update(cmd.Context(), args[0], &sandboxclient.TemplateUpdate{Name: name})
				return err
			})
		},
	}
	update.Flags().StringVar(&name, "name", "", "the new name")
	return nounCommand(a, templates, create, update)
}
