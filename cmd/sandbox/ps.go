package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// detached is one of the record, and what the server says of it.
type detached struct {
	*record

	Status   string `json:"status"`
	ExitCode *int   `json:"exit_code,omitempty"` // of one that has exited
	Reason   string `json:"reason,omitempty"`    // why its state is not known, or how it ended otherwise
}

// States of commands.
const (
	stateRunning  = "running"
	stateExited   = "exited"
	stateTimedOut = "timed out"
	stateFailed   = "failed"  // the sandbox ended or lost it
	stateStopped  = "stopped" // with its sandbox
	stateUnknown  = "unknown"
)

var commands = noun[detached]{
	one: "command", many: "commands", prefix: "sandbox",
	nameOf: func(c *detached) string { return c.ID },
	columns: []column[detached]{
		{"ID", func(c *detached) string { return c.ID }},
		{"SANDBOX", func(c *detached) string { return c.Sandbox }},
		{"STATUS", func(c *detached) string { return c.Status }},
		{"EXIT", func(c *detached) string {
			if c.ExitCode == nil {
				return ""
			}
			return strconv.Itoa(*c.ExitCode)
		}},
		{"AGE", func(c *detached) string { return age(c.StartedAt) }},
		{"COMMAND", func(c *detached) string { return clip(c.line(), 48) }},
	},
}

// clip takes the beginning of a line that is too long.
func clip(line string, most int) string {
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return line
}

const psHelp = `List the commands that sandbox exec --detach and sandbox run --detach left
running, and those whose connection was lost for good, and ask the server what
became of them.

The server has no list of commands: this one is of what was started from here,
by this user, on the endpoint in use. It has command lines, but no variables, and
is kept below $XDG_STATE_HOME or ~/.local/state. A command leaves it when its
sandbox is deleted, or when the server no longer knows it, a day after its end.`

func (a *app) psCommand() *cobra.Command {
	var p printer
	cmd := &cobra.Command{
		Use:   "ps [flags] [NAME]",
		Short: "List the commands that you left running",
		Long:  psHelp,
		Example: `  sandbox ps
  sandbox ps my-sandbox --output json`,
		Args:              wantArgs(0, 1),
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.check(); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				list, err := a.commands(cmd.Context(), c, args)
				if err != nil {
					return err
				}
				return printAll(a, p, commands, list)
			})
		},
	}
	p.flags(cmd, formTable, "ids")
	return cmd
}

// askedAtOnce bounds the connections of one ps.
const askedAtOnce = 16

// commands are those of the record, of one sandbox if it is named.
func (a *app) commands(ctx context.Context, c *sandboxclient.Client, sandbox []string) ([]*detached, error) {
	s, err := a.records()
	if err != nil {
		return nil, err
	}
	known, err := s.of(c.Endpoint())
	if err != nil {
		return nil, err
	}
	if len(sandbox) == 1 {
		if _, err := c.Get(ctx, sandbox[0]); err != nil {
			return nil, err
		}
	}
	boxes := map[string]func() (*sandboxclient.Sandbox, error){}
	asked := make([]*detached, len(known))
	var asking sync.WaitGroup
	free := make(chan struct{}, askedAtOnce)
	for i, r := range known {
		if len(sandbox) == 1 && r.Sandbox != sandbox[0] {
			continue
		}
		if boxes[r.Sandbox] == nil {
			boxes[r.Sandbox] = sync.OnceValues(func() (*sandboxclient.Sandbox, error) { return c.Get(ctx, r.Sandbox) })
		}
		get := boxes[r.Sandbox]
		free <- struct{}{}
		asking.Go(func() {
			defer func() { <-free }()
			asked[i] = s.ask(ctx, get, r)
		})
	}
	asking.Wait()
	var list []*detached
	for _, one := range asked {
		if one != nil {
			list = append(list, one)
		}
	}
	return list, ctx.Err()
}

// ask finds out what became of a command. nil is one that nobody knows any
// more, which is forgotten.
func (s records) ask(ctx context.Context, get func() (*sandboxclient.Sandbox, error), r *record) *detached {
	sb, err := get()
	if errors.Is(err, sandboxclient.ErrNotFound) || err == nil && !r.is(sb.Info()) {
		if time.Since(r.StartedAt) > vanished { // till then it may be that of another key
			s.forget(r)
		}
		return nil
	}
	if err != nil {
		return &detached{record: r, Status: stateUnknown, Reason: err.Error()}
	}
	if status := sb.Info().Status; status == sandboxclient.StatusStopped {
		return &detached{record: r, Status: stateStopped, Reason: "its sandbox is stopped"}
	}
	ended, err := peek(ctx, sb, r.ID)
	switch {
	case errors.Is(err, sandboxclient.ErrCommandNotFound), errors.Is(err, sandboxclient.ErrSessionExpired):
		s.forget(r)
		return nil
	case err != nil:
		return &detached{record: r, Status: stateUnknown, Reason: err.Error()}
	}
	ended.record = r
	return ended
}

const (
	// theEnd is behind all output.
	theEnd = 1 << 50
	// peekTime is how long the end of a command may be under way that has one.
	peekTime = time.Second / 2
)

// peek asks for the state of a command, and for none of its output.
func peek(ctx context.Context, sb *sandboxclient.Sandbox, id string) (*detached, error) {
	p, err := sb.Attach(ctx, id, &sandboxclient.AttachOptions{From: sandboxclient.Position{Stdout: theEnd, Stderr: theEnd}})
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(peekTime)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		_ = p.Detach() //nolint:contextcheck // which Wait returns
	}
	switch err := p.Wait(); {
	case p.ExitCode() >= 0:
		return &detached{Status: stateExited, ExitCode: new(p.ExitCode())}, nil
	case errors.Is(err, sandboxclient.ErrDetached) && ctx.Err() == nil:
		return &detached{Status: stateRunning}, nil
	case errors.Is(err, sandboxclient.ErrCommandTimeout):
		return &detached{Status: stateTimedOut, Reason: err.Error()}, nil
	case errors.Is(err, sandboxclient.ErrOperation) && !errors.Is(err, sandboxclient.ErrNotFound):
		return &detached{Status: stateFailed, Reason: err.Error()}, nil
	default:
		return nil, err
	}
}
