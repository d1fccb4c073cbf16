package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const logsHelp = `Print what a command has printed so far, from the beginning, its standard error
on standard error. With --follow, go on until it ends; the exit code is 0 all the
same: sandbox attach passes on that of the command. Ctrl-C leaves the command
alone.

Of much output the server keeps the end only; what is missing is told of. The id
is what sandbox exec --detach printed; sandbox ps lists it.`

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [flags] NAME ID",
		Short: "Print the output of a command",
		Long:  logsHelp,
		Example: `  sandbox logs my-sandbox 0f1e2d3c
  sandbox logs --follow my-sandbox 0f1e2d3c`,
		Args:              wantCommand("logs"),
		ValidArgsFunction: a.completeCommands(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				return a.logs(cmd.Context(), c, args[0], args[1], follow)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print what comes, until the command ends")
	return cmd
}

const (
	// quiet is how long nothing comes when all there is has come.
	quiet = 300 * time.Millisecond
	// longest is how long a command that does not pause is listened to.
	longest = 10 * time.Second
)

func (a *app) logs(ctx context.Context, c *sandboxclient.Client, name, id string, follow bool) error {
	sb, err := c.Get(ctx, name)
	if err != nil {
		return err
	}
	var at atomic.Int64 // bytes that were printed
	p, err := sb.Attach(ctx, id, &sandboxclient.AttachOptions{
		Stdout: counted{destination(a.out), &at}, Stderr: counted{destination(a.err), &at},
	})
	if err != nil {
		return missing(name, err)
	}
	if !follow {
		a.untilQuiet(p, id, &at) //nolint:contextcheck // Detach has a time of its own
	}
	err = p.Wait()
	if lost := p.Stats().Lost; lost > 0 {
		a.say(fmt.Sprintf("%d bytes of the output are no longer there", lost))
	}
	switch {
	case errors.Is(err, errOutputClosed):
		return err
	case p.ExitCode() >= 0, !follow && errors.Is(err, sandboxclient.ErrDetached) && ctx.Err() == nil,
		errors.Is(err, sandboxclient.ErrCommandTimeout):
		return nil
	case ctx.Err() != nil:
		return exitError(exitFailed)
	}
	return err
}

// untilQuiet detaches from a command when it has printed what there was.
func (a *app) untilQuiet(p *sandboxclient.Process, id string, at *atomic.Int64) {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	over := time.After(longest)
	for before := int64(-1); before != at.Load(); {
		before = at.Load()
		select {
		case <-p.Done():
			return
		case <-tick.C:
		case <-over:
			a.say(fmt.Sprintf("command %s prints on and on: follow it with --follow", id))
			_ = p.Detach()
			return
		}
	}
	_ = p.Detach() // which Wait returns
}

// counted counts what is written.
type counted struct {
	io.Writer

	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// missing says where ids are, for one that is none.
func missing(sandbox string, err error) error {
	if errors.Is(err, sandboxclient.ErrCommandNotFound) || errors.Is(err, sandboxclient.ErrSessionExpired) {
		return fmt.Errorf("%w: sandbox ps %s lists those that there are", err, sandbox)
	}
	return err
}

// wantCommand wants a sandbox and the id of a command.
func wantCommand(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 2 {
			return fmt.Errorf("want a sandbox and the id of a command: try sandbox %s my-sandbox ID; sandbox ps lists ids", verb)
		}
		return nil
	}
}

// completeCommands offers sandboxes, and then the ids of commands that are in
// the record for that sandbox, up to so many arguments; 0 is all.
func (a *app) completeCommands(most int) cobra.CompletionFunc {
	names := completeNames(a, sandboxes, 1)
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 || most > 0 && len(args) >= most {
			return names(cmd, args, prefix)
		}
		var ids []cobra.Completion
		_ = a.withClient(func(c *sandboxclient.Client) error {
			a.eachRecord(c.Endpoint(), args[0], func(_ records, r *record) {
				if slices.Contains(args[1:], r.ID) {
					return
				}
				ids = append(ids, cobra.CompletionWithDesc(r.ID, clip(r.line(), 48)))
			})
			return nil
		})
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
