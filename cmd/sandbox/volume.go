package main

import (
	"context"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var volumes = noun[sandboxclient.Volume]{
	one: "volume", many: "volumes", prefix: "sandbox volume",
	nameOf: func(v *sandboxclient.Volume) string { return v.Name },
	columns: []column[sandboxclient.Volume]{
		{"NAME", func(v *sandboxclient.Volume) string { return v.Name }},
		{"SIZE", func(v *sandboxclient.Volume) string {
			if v.Size != "" {
				return v.Size
			}
			return amountOf(v.SizeBytes)
		}},
		{"ATTACHED", func(v *sandboxclient.Volume) string { return strconv.Itoa(len(v.Attachments)) }},
		{"AGE", func(v *sandboxclient.Volume) string { return age(v.CreatedAt) }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Volume, error] {
		return c.Volumes.List(ctx, nil)
	},
	get: func(ctx context.Context, c *sandboxclient.Client, name string) (*sandboxclient.Volume, error) {
		return c.Volumes.Get(ctx, name)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Volumes.Delete(ctx, name)
	},
}

func (a *app) volumeCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CreateVolume
	create := &cobra.Command{
		Use:     "create [flags] NAME",
		Short:   "Create a volume",
		Example: "  sandbox volume create data --size 10Gi",
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return printed(a, &p, volumes, func(c *sandboxclient.Client) (*sandboxclient.Volume, error) {
				defer a.spin("creating a volume")()
				return c.Volumes.Create(cmd.Context(), &req)
			})
		},
	}
	create.Flags().StringVar(&req.Size, "size", "1Gi", "size of the volume")
	p.flags(create, formName, "names")

	var change sandboxclient.VolumeUpdate
	update := &cobra.Command{
		Use:               "update [flags] NAME",
		Short:             "Change the name or size of a volume",
		Example:           "  sandbox volume update --size 20Gi data",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, volumes, 1),
		PreRunE:           changes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				_, err := c.Volumes.Update(cmd.Context(), args[0], &change)
				return err
			})
		},
	}
	update.Flags().StringVar(&change.Name, "name", "", "the new name")
	update.Flags().StringVar(&change.Size, "size", "", "the new size, no smaller than it is")
	return nounCommand(a, volumes, create, update)
}
