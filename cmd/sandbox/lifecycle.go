package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// eachSandbox is a command that does the same with every sandbox it is given,
// and goes on after one that fails.
func (a *app) eachSandbox(verb, short, doing string, f func(ctx context.Context, c *sandboxclient.Client, name string) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME...",
		Short:             short,
		Example:           "  sandbox " + verb + " my-sandbox",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeNames(a, sandboxes, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				var failures []error
				for _, name := range args {
					if cmd.Context().Err() != nil {
						break
					}
					stop := a.spin(doing + " " + name)
					failures = append(failures, f(cmd.Context(), c, name))
					stop()
				}
				return errors.Join(failures...)
			})
		},
	}
}

func (a *app) startCommand() *cobra.Command {
	return a.eachSandbox("start", "Start stopped sandboxes and wait until they are ready", "starting",
		func(ctx context.Context, c *sandboxclient.Client, name string) error {
			sb, err := c.Get(ctx, name)
			if err != nil {
				return err
			}
			return sb.Start(ctx, nil)
		})
}

func (a *app) stopCommand() *cobra.Command {
	return a.eachSandbox("stop", "Stop sandboxes, which keep their files", "stopping",
		func(ctx context.Context, c *sandboxclient.Client, name string) error { return c.Stop(ctx, name) })
}

func (a *app) waitCommand() *cobra.Command {
	var timeout time.Duration
	cmd := a.eachSandbox("wait", "Wait until sandboxes are ready", "waiting for",
		func(ctx context.Context, c *sandboxclient.Client, name string) error {
			sb, err := c.Get(ctx, name)
			if err != nil {
				return err
			}
			return sb.WaitReady(ctx, &sandboxclient.WaitOptions{Timeout: timeout})
		})
	cmd.Use = "wait [flags] NAME..."
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait for each; 0 is without end")
	return cmd
}

func (a *app) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rename NAME NEW",
		Short:             "Give a sandbox another name",
		Example:           "  sandbox rename my-sandbox yours",
		Args:              wantArgs(2, 2),
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				_, err := c.Update(cmd.Context(), args[0], &sandboxclient.SandboxUpdate{Name: args[1]})
				if err == nil {
					a.renameSandbox(c.Endpoint(), args[0], args[1])
				}
				return err
			})
		},
	}
}
