package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// runInPipes connects a command to the files of this program, until it ends.
func (a *app) runInPipes(ctx context.Context, c *sandboxclient.Cmd, interactive bool) error {
	a.connectOutput(c)
	if interactive {
		c.Stdin = a.in
	}
	return c.Run(ctx)
}

// input is standard input that ends with the context, also while none comes.
func (a *app) input(ctx context.Context) io.Reader {
	out, in := io.Pipe()
	go func() { // until there is some at the latest: a read cannot be called off
		_, err := io.Copy(in, a.in)
		_ = in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Cause(ctx)) })
	return out
}

// connectOutput has the command's output written to that of this program. If
// that is one file, it is written in the order of its arrival.
func (a *app) connectOutput(c *sandboxclient.Cmd) {
	c.Stdout, c.Stderr = destination(a.out), destination(a.err)
	out, isFile := fileOf(a.out)
	errs, areFile := fileOf(a.err)
	if isFile && areFile && sameFile(out, errs) {
		c.Stderr = c.Stdout
	}
}

// fileOf is the file that is read or written, if it is one.
func fileOf(stream any) (*os.File, bool) {
	switch f := stream.(type) {
	case *os.File:
		return f, true
	case output:
		return f.file, true
	}
	return nil, false
}

func destination(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return output{f}
	}
	return w
}

func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	if err != nil {
		return false
	}
	second, err := b.Stat()
	return err == nil && os.SameFile(first, second)
}

// catchBrokenPipes makes a write to a pipe that nobody reads an error, which
// by itself would end the program at once, and leave the sandbox. To ignore
// the signal instead would have every program that is started here ignore it.
func catchBrokenPipes() (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}
