// Command sandbox runs commands in sandboxes, on LangSmith or on this machine,
// copies files to and from them, and serves the LangSmith Sandbox Server API on this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func main() {
	a := &app{in: os.Stdin, out: output{os.Stdout}, err: os.Stderr, getenv: os.Getenv}
	os.Exit(a.main(os.Args[1:]))
}

// app is the program's surroundings.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string

	where    surroundings
	noColour bool

	raw     atomic.Bool // the terminal is, and takes line ends as they are
	remains remains
	status  status
}

// exitFailed is the exit code of everything but the command's own: as docker
// and env have it, out of the way of most programs' codes.
const exitFailed = 125

// exitError ends the program with a code, and nothing more to say.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func (a *app) main(args []string) int {
	ctx, stop := a.withSignals(context.Background(), a.giveUp)
	defer stop()
	defer catchBrokenPipes()()
	root := a.command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code, silent := errors.AsType[exitError](err)
	switch {
	case silent:
	case errors.Is(err, errOutputClosed):
		code = exitError(exitSignal(syscall.SIGPIPE))
	case !interrupted(ctx):
		a.explain(err, a.hint(err))
		code = exitFailed
	case errors.Is(err, sandboxclient.ErrOutcomeUnknown): // else there is no more to say
		a.say(err)
	}
	if sig, ok := errors.AsType[signalError](context.Cause(ctx)); ok {
		return exitSignal(sig.Signal)
	}
	return int(code)
}

// say tells the user of something.
func (a *app) say(what any) {
	end := "\n"
	if a.raw.Load() {
		end = "\r\n"
	}
	const who = "sandbox: "
	lines := strings.ReplaceAll(fmt.Sprint(what), "\n", end+who)
	a.instead(func() { fmt.Fprint(a.err, who, lines, end) })
}

// explain tells the user of an error, and what to do about it.
func (a *app) explain(err error, hint string) {
	a.say(err)
	if hint != "" {
		a.say(hint)
	}
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "sandbox",
		Short: "Run code in sandboxes, on LangSmith or on this machine",
		Long: `Run code in sandboxes, on LangSmith or on this machine.

LANGSMITH_API_KEY and LANGSMITH_ENDPOINT say where they are. Without a key, and
with --local, they are on this machine: on the server that sandbox serve runs
for this user, while it runs. sandbox run needs none: it starts one of its own,
which ends with it, unless --keep, --template, --snapshot or --endpoint wants one
that stays.

Commands that run a command exit with its code. 125 is the exit code of all else
that fails, 128+n that of an end by signal n.`,
		Example: `  sandbox run -- echo hello
  sandbox create --name work && sandbox shell work`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          wantCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().StringVar(&a.where.endpoint, "endpoint", "", "address of the server; LANGSMITH_ENDPOINT by default")
	root.PersistentFlags().BoolVar(&a.where.local, "local", false, "use this machine, whatever LANGSMITH_API_KEY and LANGSMITH_ENDPOINT say")
	root.PersistentFlags().BoolVar(&a.noColour, "no-color", false, "print no colours, as NO_COLOR does")
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	root.SetOut(a.out)
	root.SetErr(a.err)
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"run", "Run commands:", []*cobra.Command{
			a.runCommand(), a.execCommand(), a.shellCommand(), a.psCommand(), a.logsCommand(), a.attachCommand(), a.killCommand(),
		}},
		{"sandboxes", "Sandboxes:", []*cobra.Command{
			a.createCommand(), lsCommand(a, sandboxes), getCommand(a, sandboxes), a.startCommand(), a.stopCommand(), a.waitCommand(),
			a.renameCommand(), rmCommand(a, sandboxes),
		}},
		{"contents", "Files and ports:", []*cobra.Command{
			a.cpCommand(), a.catCommand(), a.writeCommand(), a.openCommand(), a.tunnelCommand(),
		}},
		{"kinds", "What sandboxes are made of:", []*cobra.Command{
			a.snapshotCommand(), a.templateCommand(), a.poolCommand(), a.volumeCommand(), a.registryCommand(), a.usageCommand(),
		}},
		{"machine", "This machine:", []*cobra.Command{a.serveCommand(), a.doctorCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
		}
		root.AddCommand(g.commands...)
	}
	root.SetHelpCommandGroupID("machine")
	root.SetCompletionCommandGroupID("machine")
	return root
}
