package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/internal/quantity"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// snapshots have ids for names where there must be no doubt: several may have
// one name.
var snapshots = noun[sandboxclient.Snapshot]{
	one: "snapshot", many: "snapshots", prefix: "sandbox snapshot",
	ref: "SNAPSHOT", refHelp: "\nSNAPSHOT is NAME, which means its tag latest, NAME:TAG or an id.", ids: "ids",
	nameOf: func(s *sandboxclient.Snapshot) string { return s.ID },
	refOf:  snapshotRef,
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
		s, err := c.Snapshots.Get(ctx, id)
		return s, otherTags(ctx, c, id, err)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, id string) error {
		return otherTags(ctx, c, id, c.Snapshots.Delete(ctx, id))
	},
}

// snapshotRef is what a snapshot is called in a command line: by its name if
// it has a tag, which no other one of that name has.
func snapshotRef(s *sandboxclient.Snapshot) string {
	if len(s.Tags) == 0 {
		return s.ID
	}
	if slices.Contains(s.Tags, "latest") {
		return s.Name
	}
	return s.Name + ":" + s.Tags[0]
}

// otherTags says what to write for a snapshot that was named without a tag and
// has others than the one that is meant then.
func otherTags(ctx context.Context, c *sandboxclient.Client, name string, err error) error {
	if !errors.Is(err, sandboxclient.ErrNotFound) || strings.Contains(name, ":") || isID(name) {
		return err
	}
	there, e := c.Snapshots.ByName(ctx, name)
	if e != nil || len(there.Tags) == 0 {
		return err
	}
	var refs []string
	for _, tag := range there.Tags {
		refs = append(refs, name+":"+tag.Tag)
	}
	return fmt.Errorf("%w\nname a tag: there is %s", err, strings.Join(refs, ", "))
}

// bootFrom has a sandbox boot from a snapshot, by its name or its id.
func bootFrom(req *sandboxclient.CreateSandbox, snapshot string) {
	if isID(snapshot) {
		req.SnapshotID = snapshot
	} else {
		req.SnapshotName = snapshot
	}
}

// isID tells the id of a thing from its name.
func isID(text string) bool { return uuid.Validate(text) == nil }

func (a *app) snapshotCommand() *cobra.Command {
	return nounCommand(a, snapshots, a.snapshotCreateCommand(), a.snapshotCaptureCommand(), a.snapshotBuildCommand())
}

func (a *app) snapshotCreateCommand() *cobra.Command {
	var p printer
	var registry string
	req := sandboxclient.CreateSnapshot{FSCapacityBytes: 8 << 30}
	create := &cobra.Command{
		Use:     "create [flags] NAME IMAGE",
		Short:   "Make a snapshot of an image",
		Example: "  sandbox snapshot create team/python python:3.12-slim",
		Args:    wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name, req.DockerImage = args[0], args[1]
			return printed(a, &p, snapshots, func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
				defer a.spin("making the snapshot")()
				id, err := registryID(cmd.Context(), c, registry)
				if err != nil {
					return nil, err
				}
				req.RegistryID = id
				return c.Snapshots.Create(cmd.Context(), &req, nil)
			})
		},
	}
	create.Flags().StringVar(&req.Tag, "tag", "", "tag of the snapshot; the server's default if it is left out")
	create.Flags().StringVar(&req.Description, "description", "", "what it is for")
	create.Flags().StringVar(&registry, "registry", "", "registry whose login the image needs: NAME or an id")
	completeFlag(create, "registry", completeNames(a, registries, 0))
	create.Flags().Var(amount{&req.FSCapacityBytes, quantity.ParseBytes}, "size", "disk of sandboxes that boot from it, such as 16Gi")
	p.flags(create, formName, "ids")
	return create
}

func (a *app) snapshotCaptureCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CaptureSnapshot
	capture := &cobra.Command{
		Use:               "capture [flags] SANDBOX NAME",
		Short:             "Make a snapshot of a sandbox's files",
		Example:           "  sandbox snapshot capture my-sandbox team/ready",
		Args:              wantArgs(2, 2),
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
	p.flags(capture, formName, "ids")
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
		Args:    wantArgs(2, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 { // a new name
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return localDirectories(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, words []string) error {
			req.Name = words[1]
			values, err := parsePairs("arg", pairs)
			if err != nil {
				return err
			}
			return printed(a, &p, snapshots, func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
				log, stop := a.spinAround(a.err, "building "+req.Name)
				defer stop()
				return c.Snapshots.Build(cmd.Context(), words[0], &req,
					&sandboxclient.BuildOptions{Args: values, Dockerfile: args, Target: target, Log: log})
			})
		},
	}
	build.Flags().StringVar(&req.Tag, "tag", "", "tag of the snapshot; the server's default if it is left out")
	build.Flags().StringArrayVar(&pairs, "arg", nil, "argument of the build, as NAME=value; may be repeated")
	build.Flags().StringVarP(&args, "file", "f", "", "the Dockerfile, in the directory; Dockerfile by default")
	completeFlag(build, "file", localFiles)
	build.Flags().StringVar(&target, "target", "", "stage to build; the last by default")
	build.Flags().Var(amount{&req.FSCapacityBytes, quantity.ParseBytes}, "size", "disk of sandboxes that boot from it, such as 16Gi")
	p.flags(build, formName, "ids")
	return build
}
