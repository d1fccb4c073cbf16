package sandboxserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

const (
	defaultShell   = "/bin/bash"
	fallbackShell  = "/bin/sh"
	defaultTimeout = 60              // seconds
	killGrace      = 5 * time.Second // for killed processes to be gone
)

// executeRequest tells an absent timeout from 0, takes both names the field has
// had, and what the contract's description leaves out.
type executeRequest struct {
	gen.ExecuteRequest
	Timeout        *int          `json:"timeout"`
	TimeoutSeconds *int          `json:"timeout_seconds"`
	RunConfig      gen.RunConfig `json:"run_config"`
}

// spec says what a request asks for, in the terms of the command stream. The
// command has no input, and no life beyond its request.
func (q executeRequest) spec() (session.Spec, error) {
	if q.TimeoutSeconds != nil && *q.TimeoutSeconds < 0 {
		return session.Spec{}, invalid("timeout_seconds must be at least 0", "timeout_seconds")
	}
	spec, err := commandSpec(gen.ExecuteFrame{
		Type: gen.FrameExecute, Command: q.Command, Shell: q.Shell, Cwd: q.Cwd, Env: q.Env,
		RunConfig: q.RunConfig, TimeoutSeconds: cmp.Or(q.TimeoutSeconds, q.Timeout), CloseStdin: true,
	})
	spec.Keep, spec.Idle, spec.KillOnDisconnect = 0, session.Never, true
	return spec, err
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
	switch {
	case errors.Is(err, session.ErrTooMany): // may be repeated, once some have ended
		return &apiError{
			status: http.StatusServiceUnavailable, code: codeUnavailable,
			message: session.ErrTooMany.Error(), retryAfter: 1, cause: err,
		}
	case err != nil:
		e := *asAPIError(err)
		e.final = true // whoever repeats the request runs the command twice
		return &e
	}
	result.write(w, r)
	return nil
}

func (s *Server) run(v visit, r *http.Request) (*result, error) {
	var q executeRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, undecodable(err)
	}
	spec, err := q.spec()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if spec.Timeout > 0 { // also for processes that do not die
		ctx, cancel = context.WithTimeoutCause(ctx, spec.Timeout+killGrace, errCommandTimeout(spec.Timeout))
		defer cancel()
	}
	command, err := v.commands.Execute(ctx, spec)
	if err != nil {
		return nil, executeProblem(ctx, err, spec.Timeout)
	}
	defer command.Detach()
	result := &result{left: s.cfg.MaxOutput}
	if err := result.collect(ctx, command); err != nil {
		killAndWait(ctx, command)
		if errors.Is(err, errFull) {
			return nil, errOutput(s.cfg.MaxOutput)
		}
		return nil, executeProblem(ctx, err, spec.Timeout)
	}
	outcome := command.Outcome()
	result.code = outcome.Code
	return result, executeProblem(ctx, outcome.Err, spec.Timeout)
}

// executeProblem says why there is no result.
func executeProblem(ctx context.Context, err error, limit time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, session.ErrTimeout):
		return errCommandTimeout(limit)
	case errors.Is(err, session.ErrClosed):
		return errGone
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	}
	return err
}

// killAndWait ends a command with everything it started, and waits for that as
// long as is reasonable. Its request may be over.
func killAndWait(ctx context.Context, command *session.Attachment) {
	command.Kill()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
	defer cancel()
	_ = (&result{left: math.MaxInt64, thrown: true}).collect(ctx, command)
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

func errCommandTimeout(limit time.Duration) error {
	return problem(http.StatusRequestTimeout, codeCommandTimeout, "the command was killed after %v", limit)
}

func errOutput(limit int64) error {
	return problem(http.StatusBadRequest, codeCommand,
		"the command was killed because it printed more than %d bytes: write to a file and download that", limit)
}
