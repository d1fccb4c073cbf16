package sandboxserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	defaultShell   = "/bin/bash"
	fallbackShell  = "/bin/sh"
	defaultTimeout = 60 // seconds
	killGrace      = 5 * time.Second
)

// executeRequest tells an absent timeout from 0, and takes both names the
// field has had.
type executeRequest struct {
	gen.ExecuteRequest
	Timeout        *int `json:"timeout"`
	TimeoutSeconds *int `json:"timeout_seconds"`
}

// deadline is when the command is killed; 0 is never.
func (q executeRequest) deadline() time.Duration {
	n := new(int)
	*n = defaultTimeout
	return seconds(*cmp.Or(q.TimeoutSeconds, q.Timeout, n))
}

func (q executeRequest) check() error {
	switch {
	case q.TimeoutSeconds != nil && *q.TimeoutSeconds < 0:
		return invalid("timeout_seconds must be at least 0", "timeout_seconds")
	case strings.ContainsRune(q.Command, 0):
		return invalid("command must not contain a zero byte", "command")
	}
	return checkEnv(q.Env)
}

func checkEnv(env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return invalid("env must have names without = and no zero bytes", "env", name)
		}
	}
	return nil
}

// execute runs a command and answers when it has ended.
func (s *Server) execute(v visit, w http.ResponseWriter, r *http.Request) error {
	result, err := s.run(v, r)
	if err != nil {
		e := *asAPIError(err)
		e.final = true // whoever repeats the request runs the command twice
		return &e
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}

func (s *Server) run(v visit, r *http.Request) (*gen.ExecuteResult, error) {
	var q executeRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, undecodable(err)
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	out, err := s.engine.capture(s.cfg.MaxOutput, func() { cancel(errOutput(s.cfg.MaxOutput)) })
	if err != nil {
		return nil, err
	}
	process, err := startCommand(ctx, v.sb, q, out)
	out.started()
	if err != nil {
		out.finish(v.run) //nolint:contextcheck // what is left in the background lasts as long as the sandbox
		return nil, err
	}
	if limit := q.deadline(); limit > 0 {
		late := time.AfterFunc(limit, func() { cancel(errCommandTimeout(limit)) })
		defer late.Stop()
	}
	status, err := process.Wait(ctx)
	if err != nil {
		killAndWait(process) //nolint:contextcheck // the request may be over
	}
	stdout, stderr := out.finish(v.run) //nolint:contextcheck // as above
	switch {
	case context.Cause(ctx) != nil: // also when the command ended just then
		return nil, context.Cause(ctx)
	case errors.Is(err, runtime.ErrClosed):
		return nil, errGone
	case err != nil:
		return nil, err
	}
	return &gen.ExecuteResult{Stdout: string(stdout), Stderr: string(stderr), ExitCode: &status.Code}, nil
}

// startCommand starts the command line in its shell.
func startCommand(ctx context.Context, sb runtime.Sandbox, q executeRequest, out *capture) (runtime.Process, error) {
	return startShell(ctx, sb, runtime.Command{
		Args: []string{cmp.Or(q.Shell, defaultShell), "-c", q.Command}, Env: environ(q.Env), Dir: q.Cwd,
		Stdout: out.stdout.theirs, Stderr: out.stderr.theirs,
	})
}

func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

func isChdir(err error) bool {
	e, ok := errors.AsType[*fs.PathError](err)
	return ok && e.Op == "chdir"
}

// commandProblem says why a command did not start.
func commandProblem(ctx context.Context, err error, shell, dir string) error {
	var why string
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, runtime.ErrClosed):
		return errGone
	case isChdir(err):
		e, _ := errors.AsType[*fs.PathError](err)
		why = fmt.Sprintf("working directory %q: %v", dir, e.Err)
	case errors.Is(err, fs.ErrNotExist):
		why = fmt.Sprintf("shell %q does not exist in the sandbox", shell)
	case errors.Is(err, fs.ErrPermission):
		why = fmt.Sprintf("shell %q cannot be executed", shell)
	default:
		why = "the command could not be started: " + err.Error()
	}
	return &apiError{status: http.StatusBadRequest, code: codeCommand, message: why, cause: err}
}

// killAndWait ends a command with everything it started.
func killAndWait(p runtime.Process) {
	if p.Kill() != nil {
		return // the sandbox is gone, and the command with it
	}
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	_, _ = p.Wait(ctx)
}

func errCommandTimeout(limit time.Duration) error {
	return problem(http.StatusRequestTimeout, codeCommandTimeout, "the command was killed after %v", limit)
}

func errOutput(limit int64) error {
	return problem(http.StatusBadRequest, codeCommand,
		"the command was killed because it printed more than %d bytes: write to a file and download that", limit)
}
