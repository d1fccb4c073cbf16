package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
)

// What callers of commands branch on, with errors.Is.
var (
	// ErrCommandNotFound is a command that the sandbox does not know, or no
	// longer.
	ErrCommandNotFound = errors.New("command not found")
	// ErrSessionExpired is a command that ended too long ago.
	ErrSessionExpired = errors.New("session expired")
	// ErrDetached is what Wait returns after [Process.Detach]: the command
	// runs on.
	ErrDetached = errors.New("detached")
	// ErrOutputLost is a command of whose output a part is missing.
	ErrOutputLost = errors.New("output lost")
)

// CommandError is a command that the sandbox refused, lost or ended. It
// matches [ErrOperation] and, by its code, [ErrCommandTimeout],
// [ErrCommandNotFound] or [ErrSessionExpired].
type CommandError struct {
	// ID is the command.
	ID string
	// Operation is command, or reconnect for a command that ran before.
	Operation string
	// Code is the server's machine-readable code, verbatim, such as
	// CommandTimeout; CommandError if it sends none.
	Code string
	// Message is the server's text for people.
	Message string

	kinds []error
}

// Error is the message and the code.
func (e *CommandError) Error() string { return e.Message + " [" + e.Code + "]" }

// Is reports whether target is one of the Err... values that apply.
func (e *CommandError) Is(target error) bool {
	return target == ErrOperation || slices.Contains(e.kinds, target)
}

const codeCommandNotFound = "CommandNotFound"

// maxErrorText is how much of a server's text an error keeps.
const maxErrorText = 4 << 10

// commandError makes an error of an error frame; known is the id of a command
// that was attached to before, or empty.
func commandError(f gen.ErrorFrame, id, operation string, known bool) *CommandError {
	e := &CommandError{ID: id, Operation: operation, Code: clipped(f.ErrorType), Message: clipped(f.Error)}
	if e.Code == "" {
		e.Code = "CommandError"
	}
	if e.Message == "" {
		e.Message = "the server gave no reason"
	}
	switch e.Code {
	case "CommandTimeout":
		e.kinds = kinds(ErrCommandTimeout, ErrTimeout)
	case codeCommandNotFound:
		e.kinds = kinds(ErrCommandNotFound, ErrNotFound)
		if known {
			e.Message = "command not found: " + id
		}
	case "SessionExpired":
		e.kinds = kinds(ErrSessionExpired, ErrNotFound)
		if known {
			e.Message = "session expired: " + id
		}
	}
	return e
}

func clipped(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "..."
}

// DisconnectError is a connection to a command that was lost and could not be
// made again. What became of the command is not known: it matches
// [ErrOutcomeUnknown], and [Sandbox.Attach] may find it.
type DisconnectError struct {
	// ID is the command, for Attach.
	ID string
	// From is where its output goes on, for Attach.
	From Position
	// Err is why the last attempt failed.
	Err error
}

// Error names the command and the last reason.
func (e *DisconnectError) Error() string {
	return "lost the connection to command " + e.ID + ": " + e.Err.Error()
}

// Is reports whether target is [ErrOutcomeUnknown] or [ErrConnection].
func (e *DisconnectError) Is(target error) bool {
	return target == ErrOutcomeUnknown || target == ErrConnection
}

// Unwrap returns the last reason.
func (e *DisconnectError) Unwrap() error { return e.Err }

// stoppedError is a command that this side had killed.
type stoppedError struct {
	id     string
	cause  error
	ended  bool // the sandbox said so
	killed bool // it was asked to
}

// contextError is the end of a context, and what ended it.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func (e *stoppedError) Error() string {
	end := "; the kill was not acknowledged"
	switch {
	case e.ended && e.killed:
		end = "; the kill was acknowledged"
	case e.ended:
		end = "; the command has ended"
	}
	return "command " + e.id + ": " + e.cause.Error() + end
}

func (e *stoppedError) Is(target error) bool { return target == ErrOutcomeUnknown && !e.ended }

func (e *stoppedError) Unwrap() error { return e.cause }

// GapError is a command of whose output a part is missing, because the sandbox
// no longer had it. It matches [ErrOutputLost], and how the command ended.
type GapError struct {
	// Lost is how many bytes are missing of each stream.
	Lost Position
	// Err is how the command ended, nil for exit code 0.
	Err error
}

// Error says how much is missing.
func (e *GapError) Error() string {
	msg := strconv.FormatInt(e.Lost.Stdout+e.Lost.Stderr, 10) + " bytes of output are missing: the sandbox no longer had them"
	if e.Err != nil {
		msg = e.Err.Error() + "; " + msg
	}
	return msg
}

// Is reports whether target is [ErrOutputLost].
func (e *GapError) Is(target error) bool { return target == ErrOutputLost }

// Unwrap returns how the command ended.
func (e *GapError) Unwrap() error { return e.Err }
