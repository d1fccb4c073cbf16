package sandboxclient

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What callers branch on, with errors.Is.
var (
	// ErrInvalid is an argument or request that cannot be: refused here, as an
	// [ArgumentError], or by the server, as an [APIError] that names fields.
	ErrInvalid = errors.New("invalid argument")
	// ErrUnauthorized is a missing or wrong API key (401).
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden is a key that does not allow this (403).
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound is a resource or file that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict is any 409: the names below say which.
	ErrConflict = errors.New("conflict")
	// ErrExists is a create under a name in use.
	ErrExists = errors.New("already exists")
	// ErrNameConflict is a rename to a name in use.
	ErrNameConflict = errors.New("name in use")
	// ErrInUse is a delete of something that others use.
	ErrInUse = errors.New("in use")
	// ErrQuota is a quota that is used up (429); see APIError.QuotaType.
	ErrQuota = errors.New("quota exceeded")
	// ErrNotReady is a sandbox that cannot take commands now.
	ErrNotReady = errors.New("not ready")
	// ErrNoDataplane is a sandbox without a data-plane address.
	ErrNoDataplane = errors.New("no data-plane address")
	// ErrProvision is a resource that could not be made or started.
	ErrProvision = errors.New("provisioning failed")
	// ErrTimeout is something that was not ready or done in time.
	ErrTimeout = errors.New("timed out")
	// ErrConnection is a server or sandbox that could not be reached.
	ErrConnection = errors.New("connection failed")
	// ErrUnavailable is a server that cannot serve now (502, 503, 504).
	ErrUnavailable = errors.New("unavailable")
	// ErrServer is a server that failed (500), or is none of this API (404 on
	// a list).
	ErrServer = errors.New("server error")
	// ErrProtocol is an answer that cannot be understood.
	ErrProtocol = errors.New("unexpected answer")
	// ErrOperation is a command or file access that the sandbox refused or
	// could not carry out; see APIError.Operation.
	ErrOperation = errors.New("operation failed")
	// ErrCommandTimeout is a command that was killed at its timeout.
	ErrCommandTimeout = errors.New("command timed out")
	// ErrOutcomeUnknown is a request that was sent and whose answer is
	// missing: it may have had its effect.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrPortNotAllowed is a port that the sandbox lets no tunnel to; see
	// [TunnelError].
	ErrPortNotAllowed = errors.New("port not allowed")
	// ErrUnsupported is something that this server does not offer (501). It is
	// the standard library's error of that name.
	ErrUnsupported = errors.ErrUnsupported
	// ErrChanged is a file that changed while it was read.
	ErrChanged = errors.New("file changed")
	// ErrUnsafe is a part of a tree that is not copied, because it would lead
	// out of the tree or is no file.
	ErrUnsafe = errors.New("not copied")
	// ErrTooLarge is an answer beyond the bound of a buffered call, or a file
	// beyond what the server takes (413).
	ErrTooLarge = errors.New("answer too large")
)

// APIError is a request that failed after it left [New]'s checks: an answer
// that is no success, or none at all (StatusCode 0). It matches the Err...
// values that apply, and its cause.
type APIError struct {
	// Op is what was asked for, such as "create sandbox".
	Op string
	// ResourceType is what the error is about: sandbox, template, volume,
	// pool, registry or file; empty if that is not known.
	ResourceType string
	// Name is the resource or path that was asked for; empty for lists.
	Name string
	// StatusCode is the HTTP status; 0 without an answer.
	StatusCode int
	// Code is the server's own machine-readable code, verbatim.
	Code string
	// ErrorType is Code, or the documented name where the server sends none:
	// VolumeProvisioning, VolumeResize, Unschedulable, PermissionDenied.
	ErrorType string
	// Operation is the part of the sandbox that failed: command, read or
	// write; empty for all else.
	Operation string
	// Message is the server's text for people.
	Message string
	// Fields are the problems of an invalid request.
	Fields []FieldError
	// QuotaType is the quota used up: sandbox_count, cpu, memory,
	// volume_count or storage; empty if the server did not say.
	QuotaType string
	// RetryAfter is the pause the server asks for; 0 if it does not.
	RetryAfter time.Duration
	// RequestID is the server's reference for support (error_id).
	RequestID string

	kinds []error
	cause error
}

// FieldError is a problem with one field of a request.
type FieldError struct {
	// Path is where the field is, such as body, resources, cpu.
	Path []string
	// Message is the server's text for people.
	Message string
	// Type is the server's kind of problem, such as value_error.
	Type string
}

// Field is the last element of the path, the field itself.
func (f FieldError) Field() string {
	if len(f.Path) == 0 {
		return ""
	}
	return f.Path[len(f.Path)-1]
}

// Error is the operation, the status, what the server said, and its reference.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Name != "" {
		b.WriteString(" " + strconv.Quote(e.Name))
	}
	b.WriteString(": ")
	if e.StatusCode != 0 {
		fmt.Fprintf(&b, "%d ", e.StatusCode)
	}
	b.WriteString(e.Message)
	if e.ErrorType != "" {
		b.WriteString(" [" + e.ErrorType + "]")
	}
	if e.RequestID != "" {
		b.WriteString(" (error_id " + e.RequestID + ")")
	}
	return b.String()
}

// Is reports whether target is one of the Err... values that apply, or the
// file error that corresponds.
func (e *APIError) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.ResourceType == resourceFile && e.is(ErrNotFound)
	case fs.ErrPermission:
		return e.is(ErrForbidden)
	}
	return e.is(target)
}

func (e *APIError) is(kind error) bool { return slices.Contains(e.kinds, kind) }

// Unwrap returns the cause: a network, context or decoding error, or nil.
func (e *APIError) Unwrap() error { return e.cause }

// LogValue has the fields one by one.
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op), slog.String("name", e.Name), slog.Int("status", e.StatusCode),
		slog.String("code", e.ErrorType), slog.String("message", e.Message), slog.String("error_id", e.RequestID),
	)
}

// unanswered reports whether the request may have had an effect that its
// answer does not tell.
func (e *APIError) unanswered() bool {
	switch e.StatusCode {
	case 0:
		return e.is(ErrOutcomeUnknown)
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	default:
		return e.StatusCode < http.StatusMultipleChoices
	}
}

// WaitError reports a sandbox or a snapshot that did not become ready. It
// matches [ErrProvision] when that failed, and [ErrTimeout] and the context's
// error when time ran out.
type WaitError struct {
	ResourceType  string // sandbox or snapshot
	Name          string // of the sandbox, or the id of the snapshot
	LastStatus    Status // or SnapshotStatus; empty if the server was never asked
	StatusMessage string // the server's reason of a failure

	kind  error
	cause error
}

// Error names what was waited for and its last state.
func (e *WaitError) Error() string {
	msg := fmt.Sprintf("wait for %s %q: %s", e.ResourceType, e.Name, e.kind)
	if e.StatusMessage != "" {
		msg += ": " + e.StatusMessage
	}
	if e.LastStatus != "" && e.LastStatus != StatusFailed {
		msg += fmt.Sprintf(" (last status %s)", e.LastStatus)
	}
	return msg
}

// Is reports whether target is the kind of failure.
func (e *WaitError) Is(target error) bool { return target == e.kind }

// Unwrap returns the context's error, or nil.
func (e *WaitError) Unwrap() error { return e.cause }

// ExitError reports a command that ended, but not with exit code 0.
type ExitError struct {
	Code int
	// Stderr is the end of the command's standard error.
	Stderr string
}

// Error names the exit code and the last line of standard error.
func (e *ExitError) Error() string {
	msg := fmt.Sprintf("exit status %d", e.Code)
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		msg += ": " + last
	}
	return msg
}
