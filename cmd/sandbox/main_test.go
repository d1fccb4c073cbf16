package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestMain runs the command itself when a test starts this binary as one.
func TestMain(m *testing.M) {
	switch os.Getenv("SANDBOX_TEST_AS_COMMAND") {
	case "":
	case "panics":
		a := &app{in: os.Stdin, out: panics{os.Stdout}, err: os.Stderr, getenv: os.Getenv}
		os.Exit(a.main(os.Args[1:]))
	default:
		main()
		return
	}
	// Under nohup the commands of the tests would ignore it; what is caught here
	// is not ignored there.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	testscript.Main(m, map[string]func(){"sandbox": main})
}

// panics is a terminal that a certain word is too much for.
type panics struct{ io.Writer }

func (p panics) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic now")) {
		panic("as the test wants it")
	}
	return p.Writer.Write(b)
}

// command is this binary as the sandbox command, with an environment that has
// no key, and a temporary directory of its own.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no local runtime on Windows")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	if args[0] == "run" && !slices.Contains(args, "--min-isolation") {
		args = slices.Insert(args, 1, "--min-isolation", "process") // what this machine allows, whatever that is
	}
	cmd = exec.CommandContext(t.Context(), self, args...)
	cmd.Env = []string{"SANDBOX_TEST_AS_COMMAND=1", "TMPDIR=" + temp, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + temp, "XDG_STATE_HOME=" + t.TempDir()}
	return cmd, temp
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		stdout string
		stderr string // contained
		code   int
	}{
		"prints the output":        {args: []string{"--", "sh", "-c", "echo $((2+2))"}, stdout: "4\n"},
		"passes the exit code":     {args: []string{"--", "sh", "-c", "echo oops >&2; exit 7"}, stderr: "oops\n", code: 7},
		"quotes every argument":    {args: []string{"--", "printf", "%s|", "a b", "it's", "$HOME", "", "*", "\n"}, stdout: "a b|it's|$HOME||*|\n|"},
		"needs no separator":       {args: []string{"echo", "--template"}, stdout: "--template\n"},
		"sets the environment":     {args: []string{"-e", "A=1=2", "--env", "B=", "--", "sh", "-c", `echo "$A/$B"`}, stdout: "1=2/\n"},
		"reports a signal":         {args: []string{"--", "sh", "-c", "kill -9 $$"}, code: 137},
		"reports a missing one":    {args: []string{"--", "no-such-program"}, stderr: "no-such-program", code: 127},
		"wants a command":          {args: nil, stderr: "no command to run", code: exitFailed},
		"wants good variables":     {args: []string{"-e", "A", "--", "true"}, stderr: `--env "A": want NAME=value`, code: exitFailed},
		"has no templates":         {args: []string{"--template", "none", "--", "true"}, stderr: "--snapshot need a server that stays", code: exitFailed},
		"kills at the timeout":     {args: []string{"--timeout", "1s", "--", "sleep", "1000"}, stderr: "its time was over", code: exitFailed},
		"refuses weaker isolation": {args: []string{"--min-isolation", "vm", "--", "true"}, stderr: `unknown isolation "vm"`, code: exitFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, temp := command(t, append([]string{"run"}, tt.args...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d; stderr: %s", code, tt.code, stderr.String())
			}
			if got := stdout.String(); got != tt.stdout {
				t.Errorf("stdout %q, want %q", got, tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stderr %q does not contain %q", stderr.String(), tt.stderr)
			}
			mustBeEmpty(t, temp)
		})
	}
}

// TestRunInterrupted: what the first signal ends is gone when the program is.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "run", "--", "sleep", "1000")
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the sandbox", func() bool {
		dirs, _ := filepath.Glob(filepath.Join(temp, "*", "runtime", "sandboxes", "*"))
		return len(dirs) > 0
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGINT))
	}
	mustBeEmpty(t, temp)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// TestServe starts the server as a program would: it reads two lines, uses what
// they say, and terminates it.
func TestServe(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "serve", "--min-isolation", "process")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for len(env) < 2 && lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		env[key] = value
	}
	c, err := sandboxclient.New(sandboxclient.WithEnvironment(func(key string) string { return env[key] }))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Use(t.Context(), nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		res, err := sb.Execute(ctx, "echo $((2+2))", nil)
		if err == nil && res.Stdout != "4\n" {
			t.Errorf("stdout %q, want 4", res.Stdout)
		}
		return err
	})
	if err != nil {
		t.Errorf("with %v: %v", env, err)
	}
	if _, err := c.Create(t.Context(), nil); err != nil { // for the server to clean up
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	mustBeEmpty(t, temp)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"version", "--version"} {
		if code, out, _ := try(nil, word); code != 0 || out != version()+"\n" {
			t.Errorf("%s: exit code %d, output %q", word, code, out)
		}
	}
}

// TestRunOnLangSmith: with a key the command goes to the endpoint, and nothing
// starts here.
func TestRunOnLangSmith(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	env := map[string]string{"LANGSMITH_API_KEY": "k", "LANGSMITH_ENDPOINT": "http://127.0.0.1:1"}
	a := &app{out: io.Discard, err: &stderr, getenv: func(key string) string { return env[key] }}
	cmd := a.command()
	cmd.SetArgs([]string{"run", "--", "true"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	if !errors.Is(err, sandboxclient.ErrConnection) {
		t.Errorf("error %v, want a connection that failed", err)
	}
}
