package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const execHelp = `Run a command in a sandbox that is there, print what it prints as it comes, and
exit with its code. Standard input, --tty, signals and exit codes are those of
"sandbox run"; the sandbox stays. With --detach it prints the command's id once the
command runs, and leaves it running: see sandbox ps, logs, attach and kill.`

func (a *app) execCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] NAME -- command [argument...]",
		Short: "Run a command in a sandbox",
		Long:  execHelp,
		Example: `  sandbox exec my-sandbox -- ls -l
  sort names | sandbox exec -i my-sandbox -- uniq -c
  sandbox exec -it my-sandbox -- bash
  id=$(sandbox exec --detach my-sandbox -- make test)`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) == 2 && args[1] == "--" {
				return errors.New("want a sandbox and a command: try sandbox exec my-sandbox -- echo hello")
			}
			return wantFlagsFirst(cmd, args[1:])
		},
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.tty || f.detach) && !cmd.Flags().Changed("timeout") {
				f.timeout = 0
			}
			words := args[1:]
			if words[0] == "--" {
				words = words[1:]
			}
			return a.exec(cmd.Context(), f, args[0], shellCommand(words), words)
		},
	}
	f.commandFlags(cmd)
	return cmd
}

func (a *app) shellCommand() *cobra.Command {
	f := runFlags{tty: true}
	var program string
	cmd := &cobra.Command{
		Use:   "shell [flags] NAME",
		Short: "Open a shell in a sandbox, on this terminal",
		Long: `Open a shell in a sandbox, on this terminal: all keys are its own. A connection
that is lost is made anew while the shell runs on, and what is typed meanwhile
waits; once it takes long, Ctrl-C gives up. Leave the shell with exit or Ctrl-D.`,
		Example: `  sandbox shell my-sandbox
  sandbox shell --shell zsh my-sandbox`,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.terminalInput(); err != nil {
				return errors.New("a shell needs a terminal as standard input: sandbox exec -i my-sandbox -- sh reads other input")
			}
			words := []string{program}
			script := "if command -v bash >/dev/null; then exec bash; fi; exec sh"
			if program != "" {
				script = shellCommand(words)
			} else {
				words = []string{"sh"}
			}
			return a.exec(cmd.Context(), f, args[0], script, words)
		},
	}
	cmd.Flags().StringVar(&program, "shell", "", "the shell; bash if it is there, else sh")
	cmd.Flags().StringVarP(&f.dir, "cwd", "C", "", "working directory in the sandbox")
	cmd.Flags().StringArrayVarP(&f.env, "env", "e", nil, "environment variable, as NAME=value; may be repeated")
	return cmd
}

// commandFlags are those of commands that run a command.
func (f *runFlags) commandFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVarP(&f.dir, "cwd", "C", "", "working directory in the sandbox")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "environment variable, as NAME=value; may be repeated")
	flags.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input to the command; without it, it reads the end of the file")
	flags.BoolVarP(&f.tty, "tty", "t", false, "give the command this terminal; --interactive is then implied")
	flags.BoolVarP(&f.detach, "detach", "d", false, "leave the command running, and print its id")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "when to kill the command; 0 is never, as it is by default with --tty and --detach")
}

// exec runs a script in a sandbox that is there. words are the command as the
// user gave it.
func (a *app) exec(ctx context.Context, f runFlags, name, script string, words []string) error {
	env, err := a.check(f)
	if err != nil {
		return err
	}
	return a.withClient(func(c *sandboxclient.Client) error {
		sb, err := c.Get(ctx, name)
		if err != nil {
			return err
		}
		if f.detach {
			id, err := a.runDetached(ctx, c, sb, f, env, words)
			if err != nil {
				return a.outcome(ctx, "", err)
			}
			_, err = fmt.Fprintln(a.out, id)
			return err
		}
		err = a.runScript(ctx, sb, f, env, script)
		if lost, ok := errors.AsType[*sandboxclient.DisconnectError](err); ok {
			a.remember(c, sb.Info(), lost.ID, words)
		}
		return a.outcome(ctx, "", err)
	})
}

// runScript runs a script of a POSIX shell with the streams that were asked for.
func (a *app) runScript(ctx context.Context, sb *sandboxclient.Sandbox, f runFlags, env map[string]string, script string) error {
	c := sb.Shell(script)
	c.Dir, c.ShellPath, c.Env, c.Timeout = f.dir, "/bin/sh", env, f.timeout
	if f.timeout == 0 {
		c.Timeout = -1
	}
	if f.tty {
		return a.runInTerminal(ctx, c)
	}
	return a.runInPipes(ctx, c, f.interactive)
}

func (a *app) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attach NAME ID",
		Short: "Follow a command that runs already",
		Long: `Print what a command of a sandbox has printed and goes on to print, and exit with
its code. The id is what sandbox exec --detach printed, that under which a program
started it, or which an error has named; sandbox ps lists those of this user.
Ctrl-C leaves the command alone.`,
		Example:           "  sandbox attach my-sandbox the-job",
		Args:              wantCommand("attach"),
		ValidArgsFunction: a.completeCommands(2),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.attach(cmd.Context(), args[0], args[1]) },
	}
}

func (a *app) attach(ctx context.Context, name, id string) error {
	return a.withClient(func(c *sandboxclient.Client) error {
		sb, err := c.Get(ctx, name)
		if err != nil {
			return err
		}
		kept := context.WithoutCancel(ctx) // its end would kill the command
		p, err := sb.Attach(kept, id, &sandboxclient.AttachOptions{Stdout: destination(a.out), Stderr: destination(a.err)})
		if err != nil {
			return missing(name, err)
		}
		defer context.AfterFunc(ctx, func() { _ = p.Detach() })() //nolint:contextcheck // when it has ended
		err = p.Wait()
		if errors.Is(err, sandboxclient.ErrDetached) && ctx.Err() != nil {
			return exitError(exitFailed)
		}
		return a.outcome(ctx, "", err)
	})
}
