package sandboxserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

const (
	// defaultIdleTimeout and defaultKeep stand where a client leaves the choice
	// to the server.
	defaultIdleTimeout = time.Hour
	defaultKeep        = 5 * time.Minute
	// maxCommandID bounds an id, in bytes.
	maxCommandID = 1 << 10
)

// The size of a terminal until its client says which one it has.
const (
	defaultCols = 80
	defaultRows = 24
)

// open attaches to the command that a first frame asks for.
func (l *line) open(ctx context.Context, commands *session.Store, frame []byte) (*session.Attachment, error) {
	var head struct {
		Type gen.FrameType `json:"type"`
	}
	if err := json.Unmarshal(frame, &head); err != nil {
		return nil, invalid("the first frame is not a JSON object with a type")
	}
	switch head.Type {
	case gen.FrameExecute:
		var f gen.ExecuteFrame
		if err := l.contract.decodeFrame("ExecuteFrame", frame, &f); err != nil {
			return nil, err
		}
		spec, err := commandSpec(f)
		if err != nil {
			return nil, err
		}
		l.asked = spec.ID
		return commands.Execute(ctx, spec)
	case gen.FrameReconnect:
		var f gen.ReconnectFrame
		if err := l.contract.decodeFrame("ReconnectFrame", frame, &f); err != nil {
			return nil, err
		}
		l.asked = f.CommandID
		return commands.Reconnect(ctx, f.CommandID, session.Resume{Stdout: f.StdoutOffset, Stderr: f.StderrOffset, Writer: f.StdinID})
	default:
		return nil, invalid("the first frame must be execute or reconnect", "type")
	}
}

// decodeFrame decodes a frame that fits its schema.
func (c *contract) decodeFrame(schema string, frame []byte, into any) error {
	members := map[string]any{}
	if schema == "ReconnectFrame" { // whoever leaves an offset out wants all
		members["stdout_offset"], members["stderr_offset"] = 0.0, 0.0
	}
	if err := json.Unmarshal(frame, &members); err != nil {
		return invalid("the first frame is not a JSON object")
	}
	if err := c.doc.Components.Schemas[schema].Value.VisitJSON(members, openapi3.MultiErrors()); err != nil {
		return invalidFields(problems(err, []any{"frame"})...)
	}
	if err := json.Unmarshal(frame, into); err != nil {
		return undecodable(err)
	}
	return nil
}

// commandSpec says what an execute frame asks for.
func commandSpec(f gen.ExecuteFrame) (session.Spec, error) {
	if err := checkExecute(f); err != nil {
		return session.Spec{}, err
	}
	shell := cmp.Or(f.Shell, defaultShell)
	cmd := runtime.Command{
		Args: []string{shell, "-c", f.Command},
		Env:  environ(frameEnv(f)),
		Dir:  cmp.Or(f.Cwd, f.RunConfig.WorkDir),
	}
	if f.Pty {
		cmd.TTY = &runtime.WindowSize{Cols: defaultCols, Rows: defaultRows}
		if f.Command == "" {
			cmd.Args = []string{shell}
		}
	}
	return session.Spec{
		ID:               cmp.Or(f.CommandID, newID()),
		Command:          cmd,
		User:             f.RunConfig.User,
		Timeout:          seconds(valueOr(f.TimeoutSeconds, defaultTimeout)),
		Idle:             limitOr(f.IdleTimeoutSeconds, defaultIdleTimeout),
		Keep:             limitOr(f.TTLSeconds, defaultKeep),
		KillOnDisconnect: value(f.KillOnDisconnect),
		CloseInput:       f.CloseStdin,
	}, nil
}

// checkExecute finds what the schema does not.
func checkExecute(f gen.ExecuteFrame) error {
	switch {
	case f.Command == "" && !f.Pty:
		return invalid("command is required without pty", "command")
	case len(f.CommandID) > maxCommandID:
		return invalid("command_id is too long", "command_id")
	case strings.ContainsRune(f.Command+f.Shell+f.Cwd+f.RunConfig.WorkDir, 0):
		return invalid("command, shell and directory must not contain a zero byte", "command")
	case (f.Cwd != "" || len(f.Env) > 0) && hasRunConfig(f.RunConfig):
		return problem(http.StatusBadRequest, codeValidation, "run_config excludes env and cwd")
	case f.RunConfig.WorkDir != "" && !path.IsAbs(f.RunConfig.WorkDir):
		return invalid("work_dir must be an absolute path", "run_config", "work_dir")
	}
	return checkEnv(frameEnv(f))
}

func hasRunConfig(c gen.RunConfig) bool {
	return c.User != "" || c.WorkDir != "" || len(c.EnvVars) > 0
}

// frameEnv are the variables of either place.
func frameEnv(f gen.ExecuteFrame) map[string]string {
	if len(f.RunConfig.EnvVars) == 0 {
		return f.Env
	}
	env := maps.Clone(f.RunConfig.EnvVars)
	maps.Copy(env, f.Env)
	return env
}

func valueOr(n *int, fallback int) int {
	if n == nil {
		return fallback
	}
	return *n
}

// limitOr reads a limit of which -1 is never and 0 the server's choice.
func limitOr(n *int, fallback time.Duration) time.Duration {
	switch v := value(n); {
	case v < 0:
		return session.Never
	case v == 0:
		return fallback
	default:
		return seconds(v)
	}
}

// failureFrame tells a client why there is no exit code.
func failureFrame(err error, id string) gen.ErrorFrame {
	f := gen.ErrorFrame{Type: gen.FrameError}
	switch {
	case errors.Is(err, session.ErrTimeout):
		f.ErrorType, f.Error = codeCommandTimeout, err.Error()
	case errors.Is(err, session.ErrNotFound):
		f.ErrorType, f.Error = "CommandNotFound", "command not found: "+id
	case errors.Is(err, session.ErrExpired):
		f.ErrorType, f.Error = "SessionExpired", "session expired: "+id
	case errors.Is(err, session.ErrClosed):
		f.ErrorType, f.Error = codeCommand, "the sandbox ended, and the command with it"
	case errors.Is(err, session.ErrTooMany):
		f.ErrorType, f.Error = codeCommand, err.Error()+": wait for some to end"
	default:
		e := asAPIError(err)
		f.ErrorType, f.Error = cmp.Or(e.code, codeValidation), e.message
		if len(e.fields) > 0 {
			var all []string
			for _, field := range e.fields {
				all = append(all, field.Msg)
			}
			f.Error = strings.Join(all, "; ")
		}
	}
	return f
}
