package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// detachedResultIsKept is how long the output and the exit code of a detached
// command can be asked for after its end.
const detachedResultIsKept = 24 * time.Hour

// checkDetach finds what does not go together with --detach.
func (f *runFlags) checkDetach() error {
	switch {
	case !f.detach:
		return nil
	case f.tty || f.interactive:
		return errors.New("--detach excludes --interactive and --tty: nobody is there to type")
	case len(f.download) > 0:
		return errors.New("--detach excludes --download: copy the files with sandbox cp when the command has ended")
	}
	return nil
}

// runDetached starts a command, whose input is at its end, and leaves it
// running.
func (a *app) runDetached(ctx context.Context, c *sandboxclient.Client, sb *sandboxclient.Sandbox, f runFlags, env map[string]string, words []string) (id string, err error) {
	cmd := sb.Shell(shellCommand(words))
	cmd.Dir, cmd.ShellPath, cmd.Env, cmd.Timeout = f.dir, "/bin/sh", env, f.timeout
	cmd.IdleTimeout, cmd.KeepResult = -1, detachedResultIsKept
	if f.timeout == 0 {
		cmd.Timeout = -1
	}
	p, err := cmd.Start(ctx)
	if err != nil {
		return "", err
	}
	a.remember(c, sb.Info(), p.ID(), words)
	if err := p.Detach(); err != nil { //nolint:contextcheck // it has a time of its own
		return "", err
	}
	err = p.Wait()
	if _, lost := errors.AsType[*sandboxclient.DisconnectError](err); lost {
		return "", err
	}
	return p.ID(), nil // also of one that has ended, however it did
}

// leaveRunning leaves a command running in the sandbox that was made for it, and
// prints what other commands want as arguments.
func (a *app) leaveRunning(ctx context.Context, c *sandboxclient.Client, sb *sandboxclient.Sandbox, f runFlags, env map[string]string, words []string) error {
	id, err := a.runDetached(ctx, c, sb, f, env, words)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(a.out, map[string]string{"sandbox": sb.Name(), "id": id})
	}
	_, err = fmt.Fprintln(a.out, sb.Name(), id)
	return err
}

// remember keeps a record of a command. Without one it runs all the same.
func (a *app) remember(c *sandboxclient.Client, sb sandboxclient.Info, id string, words []string) {
	s, err := a.records()
	if err == nil {
		err = s.add(&record{
			Endpoint: c.Endpoint(), Sandbox: sb.Name, SandboxID: sb.ID,
			ID: id, Command: words, StartedAt: time.Now().UTC().Truncate(time.Second),
		})
	}
	if err != nil {
		a.say(fmt.Errorf("sandbox ps will not list the command: %w", err))
	}
}
