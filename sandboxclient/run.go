package sandboxclient

import (
	"context"
	"io"
	"strings"
	"time"
)

// RunOptions says how a command runs. A nil pointer is the zero value.
type RunOptions struct {
	// Dir is the working directory; empty is the sandbox's own.
	Dir string
	// ShellPath is the shell that runs the command; empty is /bin/bash.
	ShellPath string
	// Env is added to the environment of the sandbox.
	Env map[string]string
	// Stdin is copied to standard input, as UTF-8 text; nil is the end of the
	// file at once.
	Stdin io.Reader
	// Timeout is when the sandbox kills the command; see [Cmd].
	Timeout time.Duration
	// MaxOutput bounds the output that is held, in bytes; 0 is 64 MiB. More is
	// [ErrTooLarge], and the command is killed.
	MaxOutput int64
}

// Run runs a script in the sandbox's shell, over the command stream (WebSocket
// /execute/ws), and returns its output. It runs exactly once: a connection
// that is lost is made anew, and the output goes on where it was. A script that
// fails is a result, not an error; see [Result.Err]. Errors are those of
// [Cmd.Start] and [Process.Wait]; if the script was started, the result has
// what was received until then.
func (s *Sandbox) Run(ctx context.Context, script string, opts *RunOptions) (*Result, error) {
	o := pointed(opts)
	c := s.Shell(script)
	c.Dir, c.ShellPath, c.Env, c.Stdin = o.Dir, o.ShellPath, o.Env, o.Stdin
	c.Timeout, c.MaxOutput = o.Timeout, o.MaxOutput
	var out, errs strings.Builder
	p, err := c.start(ctx, func(*Process) sink {
		return &collector{stdout: &out, stderr: &errs, limit: c.limit()}
	})
	if err != nil {
		return nil, err
	}
	err = p.Wait()
	result := &Result{Stdout: out.String(), Stderr: errs.String(), ExitCode: p.ExitCode()}
	if _, failed := err.(*ExitError); failed { //nolint:errorlint // nothing else went wrong
		err = nil
	}
	return result, err
}
