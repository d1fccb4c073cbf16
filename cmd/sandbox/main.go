// Command sandbox runs commands in sandboxes, on LangSmith or on this machine,
// and serves the LangSmith Sandbox Server API on this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	a := &app{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	os.Exit(a.main(os.Args[1:]))
}

// app is the program's surroundings.
type app struct {
	out, err io.Writer
	getenv   func(string) string
}

// exitFailed is the exit code of everything but the command's own: as docker
// and env have it, out of the way of most programs' codes.
const exitFailed = 125

// exitError ends the program with a code, and nothing more to say.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func (a *app) main(args []string) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	root := a.command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitError
	var sig signalError
	switch {
	case err == nil:
		return 0
	case errors.As(context.Cause(ctx), &sig):
		return 128 + int(sig.Signal)
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(a.err, "sandbox:", err)
		return exitFailed
	}
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ syscall.Signal }

func (e signalError) Error() string { return e.String() }

// withSignals returns a context that the first interrupt or termination ends.
// A second one ends the program as if it were not caught.
func withSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-caught:
			signal.Stop(caught)
			if s, ok := s.(syscall.Signal); ok {
				cancel(signalError{s})
			}
		case <-ctx.Done():
			signal.Stop(caught)
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "sandbox",
		Short:         "Run code in sandboxes, on LangSmith or on this machine",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(a.runCommand(), a.serveCommand(), a.versionCommand())
	return root
}
