package sandboxclient

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

const (
	defaultShell          = "/bin/bash"
	defaultCommandTimeout = 60 * time.Second
	commandMargin         = 10 * time.Second
)

// ExecuteOptions says how a command runs. A nil pointer is the zero value.
type ExecuteOptions struct {
	// Dir is the working directory; empty is the sandbox's own.
	Dir string
	// ShellPath is the shell that runs the command; empty is /bin/bash.
	ShellPath string
	// Env is added to the environment of the sandbox.
	Env map[string]string
	// Timeout, in whole seconds, rounded up, is when the sandbox kills the
	// command. 0 is as long as the context allows, 60 seconds without a
	// deadline. The hosted service gives up on a request after about 310
	// seconds.
	Timeout time.Duration
}

// Result is how a command ended.
type Result struct {
	// Stdout and Stderr are what it wrote, as text: bytes that are not UTF-8
	// do not survive.
	Stdout, Stderr string
	// ExitCode is 128 plus the signal number after a signal, and -1 if the
	// server did not say.
	ExitCode int
}

// Err is nil if the exit code is 0, else an [ExitError].
func (r *Result) Err() error {
	if r.ExitCode == 0 {
		return nil
	}
	return &ExitError{Code: r.ExitCode, Stderr: r.Stderr}
}

// Execute runs a command line in the sandbox's shell with one request and
// waits for it (POST /execute). A command that fails is a result, not an
// error. It is repeated only when the server says that the sandbox was starting
// and did not get it, never otherwise once it was sent: if the answer is lost,
// the error matches [ErrOutcomeUnknown]. When the context ends, the request is
// given up and the server kills the command when it notices. Output of more
// than 64 MiB is [ErrTooLarge]. Errors: [ErrInvalid], [ErrNoDataplane],
// [ErrNotReady], [ErrOperation], [ErrCommandTimeout].
func (s *Sandbox) Execute(ctx context.Context, command string, opts *ExecuteOptions) (*Result, error) {
	o := pointed(opts)
	op := operation{name: "execute in sandbox", effect: true, rules: [][]rule{dataplane}}
	if err := checkExecute(op.name, command, o); err != nil {
		return nil, err
	}
	seconds := waitSeconds(ctx, wholeSeconds(o.Timeout), int(defaultCommandTimeout/time.Second), 1, 300)
	body := gen.ExecuteRequest{
		Command: command,
		Timeout: seconds,
		Shell:   o.ShellPath,
		Env:     maps.Clone(o.Env),
		Cwd:     o.Dir,
	}
	if body.Shell == "" {
		body.Shell = defaultShell
	}
	api, err := s.dataplane(&op)
	if err != nil {
		return nil, err
	}
	op.call.Repeat = transport.RepeatStarting
	op.call.Timeout = time.Duration(seconds)*time.Second + commandMargin
	answer, err := fetch[gen.ExecuteResult](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return api.Execute(ctx, body)
	})
	if err != nil {
		return nil, err
	}
	result := &Result{Stdout: answer.Stdout, Stderr: answer.Stderr, ExitCode: -1}
	if answer.ExitCode != nil {
		result.ExitCode = *answer.ExitCode
	}
	return result, nil
}

// wholeSeconds rounds up; what is as good as for ever stays a number that all
// platforms have.
func wholeSeconds(d time.Duration) int {
	s := d / time.Second
	if d%time.Second > 0 {
		s++
	}
	return int(min(s, math.MaxInt32))
}

func checkExecute(op, command string, o ExecuteOptions) error {
	ck := checks{op: op}
	ck.required("command", command)
	ck.atLeastZero("timeout", int64(o.Timeout))
	for _, text := range []string{command, o.Dir, o.ShellPath} {
		if strings.ContainsRune(text, 0) {
			ck.fail("command", "holds a zero byte")
		}
	}
	for key, value := range o.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			ck.fail("environment variable", "is %q", key)
		}
	}
	return ck.err
}

// dataplane returns a client of the sandbox's data plane and completes op with
// what the transport must know of it.
func (s *Sandbox) dataplane(op *operation) (*gen.Client, error) {
	info := s.Info()
	op.resource = info.Name
	if info.DataplaneURL == "" {
		return nil, fmt.Errorf("%s %q: %w", op.name, info.Name, ErrNoDataplane)
	}
	base, err := s.c.dataplaneBase(info.DataplaneURL)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", op.name, info.Name, err)
	}
	op.call.Dataplane = base
	return &gen.Client{Server: base.String() + "/", Client: s.c.doer}, nil
}

// dataplaneBase parses a data-plane address. One that is that of its WebSocket
// is that of its HTTP as well.
func (c *Client) dataplaneBase(raw string) (*url.URL, error) {
	if rest, ok := strings.CutPrefix(raw, "ws"); ok && (strings.HasPrefix(rest, "://") || strings.HasPrefix(rest, "s://")) {
		raw = "http" + rest
	}
	return c.safeBase("data-plane URL", raw)
}

// safeBase parses an address that a secret is sent to. One that is less safe
// than the endpoint is refused.
func (c *Client) safeBase(argument, raw string) (*url.URL, error) {
	base, err := parseBase(argument, raw)
	if err != nil {
		return nil, err
	}
	if transport.Plaintext(base) && c.endpoint.Scheme == "https" && !c.plaintext {
		return nil, &ArgumentError{Argument: argument, Reason: "is not encrypted although the endpoint is"}
	}
	return base, nil
}
