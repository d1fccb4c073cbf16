package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

type runFlags struct {
	template, snapshot string
	image              string
	upload, download   []string
	keep, json         bool
	dir                string
	env                []string
	interactive, tty   bool
	detach             bool
	timeout            time.Duration
	minIsolation       string
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [argument...]",
		Short: "Run a command in a fresh sandbox",
		Long:  runHelp,
		Example: `  sandbox run -- python3 -c 'print(2+2)'
  sandbox run --env GREETING=hello -- sh -c 'echo $GREETING'
  sandbox run --template python-sandbox -- python --version
  sort names | sandbox run -i -- uniq -c
  sandbox run --upload .:src --download src/report.txt:report.txt --cwd src -- make report.txt
  sandbox run -it -- bash
  sandbox run --keep --detach -- make test`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no command to run: try sandbox run -- echo hello")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.tty || f.detach) && !cmd.Flags().Changed("timeout") {
				f.timeout = 0
			}
			return a.run(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	f.commandFlags(cmd)
	flags.StringVar(&f.template, "template", "", "make the sandbox from this template")
	flags.StringVar(&f.snapshot, "snapshot", "", "boot the sandbox from this snapshot: NAME, NAME:TAG or an id")
	flags.StringVar(&f.image, "image", "", "boot the sandbox from this image, of which a snapshot is made for the while")
	flags.StringArrayVar(&f.upload, "upload", nil, "copy a file or tree in before, as LOCAL:REMOTE; may be repeated")
	flags.StringArrayVar(&f.download, "download", nil, "copy a file or tree out afterwards, as REMOTE:LOCAL, if the command has run; may be repeated")
	flags.BoolVar(&f.keep, "keep", false, "keep the sandbox, and print its name on standard error")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON when the command has ended: exit_code, stdout, stderr, sandbox")
	flags.StringVar(&f.minIsolation, "min-isolation", string(sandboxserver.IsolationLandlock), "weakest isolation to accept on this machine: see sandbox doctor; process is none")
	completeFlag(cmd, "template", completeNames(a, templates, 0))
	completeFlag(cmd, "snapshot", completeNames(a, snapshots, 0))
	completeFlag(cmd, "min-isolation", oneOf(isolations()...))
	completeFlag(cmd, "upload", localFiles)
	return cmd
}

// check finds what is wrong with the flags before anything is made.
func (a *app) check(f runFlags) (env map[string]string, err error) {
	if env, err = parseEnv(f.env); err != nil {
		return nil, err
	}
	switch {
	case f.json && f.tty:
		return nil, errors.New("--json and --tty exclude each other: a terminal has its output at once")
	case f.image != "" && f.template+f.snapshot != "", f.template != "" && f.snapshot != "":
		return nil, errors.New("--template, --snapshot and --image exclude each other")
	}
	if err := f.checkDetach(); err != nil {
		return nil, err
	}
	if f.timeout < 0 {
		return nil, fmt.Errorf("--timeout %s: want 0 for never, or more", f.timeout)
	}
	if f.tty {
		if _, err := a.terminalInput(); err != nil {
			return nil, err
		}
		if name := a.getenv("TERM"); name != "" && env["TERM"] == "" {
			env["TERM"] = name
		}
	}
	return env, nil
}

func (a *app) run(ctx context.Context, f runFlags, args []string) (err error) {
	env, err := a.check(f)
	if err != nil {
		return err
	}
	if f.detach && !f.keep {
		return errors.New("--detach needs --keep: else the sandbox is deleted, and the command with it")
	}
	files, err := parseTransfers(f.upload, f.download)
	if err != nil {
		return err
	}
	client, stop, err := a.connect(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	req := &sandboxclient.CreateSandbox{TemplateName: f.template}
	bootFrom(req, f.snapshot)
	if f.image != "" {
		snapshot, err := a.snapshotOf(ctx, client, f.image)
		if err != nil {
			return err
		}
		defer a.removeSnapshot(client, snapshot) //nolint:contextcheck // the deletion outlives the context
		req.SnapshotID = snapshot.ID
	}
	created := a.spin("creating a sandbox")
	sb, err := client.Ephemeral(ctx, req)
	created()
	if err != nil {
		return err
	}
	a.remains.setSandbox(sb.Name())
	defer func() { err = a.remove(sb, f.keep, err) }() //nolint:contextcheck // the deletion outlives the context
	if err := files.in(ctx, a, sb.Sandbox); err != nil {
		return err
	}
	if f.detach {
		return a.outcome(ctx, "", a.leaveRunning(ctx, client, sb.Sandbox, f, env, args))
	}
	outcome := a.outcome(ctx, sb.Name(), a.runAs(ctx, sb.Sandbox, f, env, shellCommand(args)))
	if code, ran := errors.AsType[exitError](outcome); outcome == nil || ran && code != exitFailed && !interrupted(ctx) {
		if err := files.out(ctx, a, sb.Sandbox); err != nil {
			a.say(err)
			return cmp.Or(outcome, error(exitError(exitFailed)))
		}
	}
	return outcome
}

// runAs runs the command and has its output printed as it comes, or as JSON at
// the end.
func (a *app) runAs(ctx context.Context, sb *sandboxclient.Sandbox, f runFlags, env map[string]string, script string) error {
	if !f.json {
		return a.runScript(ctx, sb, f, env, script)
	}
	opts := &sandboxclient.RunOptions{Dir: f.dir, ShellPath: "/bin/sh", Env: env, Timeout: f.timeout}
	if f.timeout == 0 {
		opts.Timeout = -1
	}
	if f.interactive {
		opts.Stdin = a.in
	}
	res, err := sb.Run(ctx, script, opts)
	if err != nil {
		return err
	}
	if err := printJSON(a.out, map[string]any{
		"sandbox": sb.Name(), "exit_code": res.ExitCode, "stdout": res.Stdout, "stderr": res.Stderr,
	}); err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return &sandboxclient.ExitError{Code: res.ExitCode}
	}
	return nil
}

// snapshotOf makes a snapshot of an image, for one sandbox.
func (a *app) snapshotOf(ctx context.Context, c *sandboxclient.Client, image string) (*sandboxclient.Snapshot, error) {
	defer a.spin("pulling " + image)()
	const disk = 8 << 30
	name := "sandbox-run/" + strings.ToLower(rand.Text())
	return c.Snapshots.Create(ctx, &sandboxclient.CreateSnapshot{Name: name, DockerImage: image, FSCapacityBytes: disk}, nil)
}

// cleanUpTime bounds the deletion of what a run has made.
const cleanUpTime = 30 * time.Second

func (a *app) removeSnapshot(c *sandboxclient.Client, s *sandboxclient.Snapshot) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	if err := c.Snapshots.Delete(ctx, s.ID); err != nil {
		a.say(fmt.Sprintf("snapshot %s may be left: delete it: %v", s.Name, err))
	}
}

// remove deletes the sandbox. A command that failed keeps its exit code
// whatever becomes of that.
func (a *app) remove(sb *sandboxclient.Ephemeral, keep bool, outcome error) error {
	if keep {
		sb.Keep()
		a.remains.setSandbox("")
		a.say(fmt.Sprintf("sandbox %s is kept", sb.Name()))
		return outcome
	}
	deleted := a.spin("deleting sandbox " + sb.Name())
	err := sb.Close()
	deleted()
	if err == nil {
		a.remains.setSandbox("")
		return outcome
	}
	a.say(fmt.Sprintf("sandbox %s may be left, with its command running: delete it: %v", sb.Name(), err))
	if outcome == nil {
		return exitError(exitFailed)
	}
	return outcome
}

func parseEnv(list []string) (map[string]string, error) { return parsePairs("env", list) }

// parsePairs reads the values of a flag, which are NAME=value.
func parsePairs(flag string, list []string) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: want NAME=value", flag, item)
		}
		out[name] = value
	}
	return out, nil
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
