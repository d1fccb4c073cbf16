package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func (a *app) killCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kill NAME ID...",
		Short: "Kill commands of a sandbox",
		Long: `Kill commands of a sandbox, with all that they started, and wait until they have
ended. One that has ended is no error. What they printed is still there for
sandbox logs.`,
		Example:           "  sandbox kill my-sandbox 0f1e2d3c",
		ValidArgsFunction: a.completeCommands(0),
		Args: func(_ *cobra.Command, args []string) error {
			return wantCommand("kill")(nil, args[:min(len(args), 2)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				sb, err := c.Get(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				var failures []error
				for _, id := range args[1:] {
					if cmd.Context().Err() != nil {
						break
					}
					stop := a.spin("killing " + id)
					failures = append(failures, kill(cmd.Context(), sb, id))
					stop()
				}
				return errors.Join(failures...)
			})
		},
	}
}

func kill(ctx context.Context, sb *sandboxclient.Sandbox, id string) error {
	p, err := sb.Attach(ctx, id, &sandboxclient.AttachOptions{From: sandboxclient.Position{Stdout: theEnd, Stderr: theEnd}})
	if err != nil {
		return missing(sb.Name(), err)
	}
	if err := p.Kill(ctx); err != nil {
		return fmt.Errorf("kill command %s: %w", id, err)
	}
	if err := p.Wait(); p.ExitCode() < 0 && !errors.Is(err, sandboxclient.ErrOperation) {
		return fmt.Errorf("kill command %s: %w", id, err)
	}
	return nil
}
