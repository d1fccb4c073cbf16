package main

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/internal/quantity"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// Snapshots are shown by name and deleted by id or name: a name may have
// several, of which the newest counts.
var snapshots = noun[sandboxclient.Snapshot]{
	one: "snapshot", many: "snapshots", prefix: "sandbox snapshot",
	nameOf: func(s *sandboxclient.Snapshot) string { return s.ID },
	columns: []column[sandboxclient.Snapshot]{
		{"NAME", func(s *sandboxclient.Snapshot) string { return s.Name }},
		{"TAGS", func(s *sandboxclient.Snapshot) string { return strings.Join(s.Tags, ",") }},
		{"STATUS", func(s *sandboxclient.Snapshot) string { return string(s.Status) }},
		{"SIZE", func(s *sandboxclient.Snapshot) string { return amountOf(s.FSUsedBytes) }},
		{"AGE", func(s *sandboxclient.Snapshot) string { return age(s.CreatedAt) }},
		{"ID", func(s *sandboxclient.Snapshot) string { return s.ID }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Snapshot, error] {
		return c.Snapshots.List(ctx, nil)
	},
	get: func(ctx context.Context, c *sandboxclient.Client, id string) (*sandboxclient.Snapshot, error) {
		return c.Snapshots.Get(ctx, id)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, id string) error {
		return c.Snapshots.Delete(ctx, id)
	},
}

func (a *app) snapshotCommand() *cobra.Command {
	return nounCommand(a, snapshots, a.snapshotCreateCommand(), a.snapshotCaptureCommand(), a.snapshotBuildCommand())
}

func (a *app) snapshotCreateCommand() *cobra.Command {
	var p printer
	req := sandboxclient.CreateSnapshot{FSCapacityBytes: 8 << 30}
	create := &cobra.Command{
		Use:     "create [flags] NAME IMAGE",
		Short:   "Make a snapshot of an image",
		Example: "  sandbox snapshot create team/python python:3.12-slim",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name, req.DockerImage = args[0], args[1]
			return printed(a, &p, snapshots, func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
				defer a.spin("making the snapshot")()
				return c.Snapshots.Create(cmd.Context(), &req, nil)
			})
		},
	}
	create.Flags().StringVar(&req.Tag, "tag", "", "tag of the snapshot; the server's default if it is left out")
	create.Flags().StringVar(&req.Description, "description", "", "what it is for")
	create.Flags().StringVar(&req.RegistryID, "registry-id", "", "registry whose login the image needs")
	create.Flags().Var(amount{&req.FSCapacityBytes, quantity.ParseBytes}, "size", "disk of sandboxes that boot from it")
	p.flags(create, formName)
	return create
}

func (a *app) snapshotCaptureCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CaptureSnapshot
	capture := &cobra.Command{
		Use:               "capture [flags] SANDBOX NAME",
		Short:             "Make a snapshot of a sandbox's files",
		Example:           "  sandbox snapshot capture my-sandbox team/ready",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[1]
			return printed(a, &p, snapshots, func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
				sb, err := c.Get(cmd.Context(), args[0])
				if err != nil {
					return nil, err
				}
				defer a.spin("capturing " + args[0])()
				return sb.Capture(cmd.Context(), &req, nil)
			})
		},
	}
	capture.Flags().StringVar(&req.Tag, "tag", "", "tag of the snapshot; the server's default if it is left out")
	capture.Flags().StringVar(&req.Description, "description", "", "what it is for")
	p.flags(capture, formName)
	return capture
}

func (a *app) snapshotBuildCommand() *cobra.Command {
	var p printer
	req := sandboxclient.CaptureSnapshot{FSCapacityBytes: 8 << 30}
	var args, target string
	var pairs []string
	build := &cobra.Command{
		Use:   "build [flags] DIR NAME",
		Short: "Make a snapshot of a Dockerfile",
		Long: `Send a directory to a sandbox that has BuildKit, build its Dockerfile there, and
make a snapshot of the result. The log comes on standard error.`,
		Example: "  sandbox snapshot build . team/app --arg VERSION=1.2",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, words []string) error {
			req.Name = words[1]
			values, err := parsePairs("arg", pairs)
			if err != nil {
				return err
			}
			return printed(a, &p, snapshots, func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
				return c.Snapshots.Build(cmd.Context(), words[0], &req,
					&sandboxclient.BuildOptions{Args: values, Dockerfile: args, Target: target, Log: a.err})
			})
		},
	}
	build.Flags().StringVar(&req.Tag, "tag", "", "tag of the snapshot; the server's default if it is left out")
	build.Flags().StringArrayVar(&pairs, "arg", nil, "argument of the build, as NAME=value; may be repeated")
	build.Flags().StringVarP(&args, "file", "f", "", "the Dockerfile, in the directory; Dockerfile by default")
	build.Flags().StringVar(&target, "target", "", "stage to build; the last by default")
	build.Flags().Var(amount{&req.FSCapacityBytes, quantity.ParseBytes}, "size", "disk of sandboxes that boot from it")
	p.flags(build, formName)
	return build
}
