package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// errOutputClosed is output that nobody reads any more, as that of a pipe into
// head.
var errOutputClosed = errors.New("the output is closed")

// output is where output goes. Nothing but Write is to be found on it: all
// else would go past it.
type output struct{ file *os.File }

func (o output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = errOutputClosed
	}
	return n, err
}

// outcome is the exit of the program for the end of the command, after it has
// told what the command itself could not.
func (a *app) outcome(ctx context.Context, sandbox string, err error) error {
	if err == nil {
		return nil
	}
	code := exitFailed
	if exit, ok := errors.AsType[*sandboxclient.ExitError](err); ok && exit.Code > 0 && exit.Code < 256 {
		code = exit.Code
		if _, alone := err.(*sandboxclient.ExitError); alone { //nolint:errorlint // nothing else went wrong
			return exitError(code)
		}
	}
	switch {
	case errors.Is(err, errOutputClosed):
		return exitError(exitSignal(syscall.SIGPIPE))
	case interrupted(ctx) && !errors.Is(err, sandboxclient.ErrOutcomeUnknown):
		return exitError(exitFailed)
	}
	a.explain(err, cmp.Or(advice(sandbox, err), a.hint(err)))
	return exitError(code)
}

func interrupted(ctx context.Context) bool {
	_, ok := errors.AsType[signalError](context.Cause(ctx))
	return ok
}

// advice is what to do about an error of a command. The sandbox is named if it
// is deleted next.
func advice(sandbox string, err error) string {
	lost, isLost := errors.AsType[*sandboxclient.DisconnectError](err)
	argument, isArgument := errors.AsType[*sandboxclient.ArgumentError](err)
	stays := sandbox == ""
	switch {
	case isLost && stays:
		return fmt.Sprintf("it is not known what became of command %s: sandbox ps and sandbox attach find it again", lost.ID)
	case isLost:
		return fmt.Sprintf("it is not known what became of command %s; its end is that of sandbox %s, which is deleted next: "+
			"before you run it again, look at what it may have done elsewhere", lost.ID, sandbox)
	case errors.Is(err, sandboxclient.ErrCommandTimeout):
		return "give it more time with --timeout"
	case errors.Is(err, sandboxclient.ErrOutcomeUnknown) && stays:
		return "it is not known whether it has ended: look before you run it again"
	case errors.Is(err, sandboxclient.ErrOutcomeUnknown):
		return fmt.Sprintf("it is not known whether it had ended; sandbox %s is deleted next, and the command with it", sandbox)
	case isArgument && strings.Contains(argument.Argument, "standard input"):
		return "encode other input on the way, for instance: base64 file | sandbox run -i -- sh -c 'base64 -d >file'"
	default:
		return ""
	}
}
