package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

type runFlags struct {
	template, snapshot string
	dir                string
	env                []string
	timeout            time.Duration
	local              bool
	minIsolation       string
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [argument...]",
		Short: "Run a command in a fresh sandbox",
		Long: `Run a command in a fresh sandbox, print what it prints, delete the sandbox, and
exit with the command's exit code.

With an API key in LANGSMITH_API_KEY the sandbox is on LangSmith, without one on
this machine. Interrupting the program deletes the sandbox too. Failures of
sandbox itself exit with code 125. The command has no standard input.`,
		Example: `  sandbox run -- python3 -c 'print(2+2)'
  sandbox run --env GREETING=hello -- sh -c 'echo $GREETING'
  sandbox run --template python-sandbox -- python --version`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no command to run: try sandbox run -- echo hello")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.template, "template", "", "make the sandbox from this template")
	flags.StringVar(&f.snapshot, "snapshot", "", "boot the sandbox from the snapshot of this name")
	flags.StringVarP(&f.dir, "dir", "C", "", "working directory in the sandbox")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "environment variable, as NAME=value; may be repeated")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "when to kill the command")
	flags.BoolVar(&f.local, "local", false, "run on this machine even if there is an API key")
	flags.StringVar(&f.minIsolation, "min-isolation", string(sandboxserver.IsolationProcess), "weakest isolation to accept on this machine: native or process")
	return cmd
}

func (a *app) run(ctx context.Context, f runFlags, args []string) (err error) {
	env, err := parseEnv(f.env)
	if err != nil {
		return err
	}
	client, stop, err := a.connect(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	request := &sandboxclient.CreateSandbox{TemplateName: f.template, SnapshotName: f.snapshot}
	return client.Use(ctx, request, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		result, err := sb.Execute(ctx, shellCommand(args), &sandboxclient.ExecuteOptions{
			Dir:       f.dir,
			ShellPath: "/bin/sh",
			Env:       env,
			Timeout:   f.timeout,
		})
		if err != nil {
			return err
		}
		return a.print(result)
	})
}

// print writes what the command wrote, and returns its exit code.
func (a *app) print(r *sandboxclient.Result) error {
	if _, err := io.WriteString(a.out, r.Stdout); err != nil {
		return fmt.Errorf("write the command's output: %w", err)
	}
	if _, err := io.WriteString(a.err, r.Stderr); err != nil {
		return fmt.Errorf("write the command's errors: %w", err)
	}
	switch {
	case r.ExitCode == 0:
		return nil
	case r.ExitCode < 0:
		return errors.New("the server did not say how the command ended")
	default:
		return exitError(r.ExitCode)
	}
}

// connect returns a client of LangSmith where there is a key, else of a server
// in this process, which stop ends.
func (a *app) connect(ctx context.Context, f runFlags) (client *sandboxclient.Client, stop func() error, err error) {
	key := strings.TrimSpace(a.getenv("LANGSMITH_API_KEY")) + strings.TrimSpace(a.getenv("LANGCHAIN_API_KEY"))
	if key == "" || f.local {
		return a.connectLocal(ctx, sandboxserver.Isolation(f.minIsolation))
	}
	client, err = sandboxclient.New(
		sandboxclient.WithEnvironment(a.getenv),
		sandboxclient.WithUserAgent("sandbox-cli", ""),
	)
	if err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

func parseEnv(list []string) (map[string]string, error) {
	env := make(map[string]string, len(list))
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--env %q: want NAME=value", item)
		}
		env[name] = value
	}
	return env, nil
}

// shellCommand quotes words so that a POSIX shell reads them as they are. The
// shell makes way for the command, so that signals and exit codes are its own.
func shellCommand(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return "exec " + strings.Join(quoted, " ")
}
