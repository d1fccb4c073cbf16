package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
	"golang.org/x/text/encoding/unicode"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var errNoTerminal = errors.New("--tty needs a terminal as standard input: leave it out, and pass other input with --interactive")

// terminalInput is the terminal of this program.
func (a *app) terminalInput() (*os.File, error) {
	in, ok := fileOf(a.in)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errNoTerminal
	}
	return in, nil
}

// runInTerminal connects a command to the terminal of this program, all of
// whose keys are the command's until it ends.
func (a *app) runInTerminal(ctx context.Context, c *sandboxclient.Cmd) error {
	in, err := a.terminalInput()
	if err != nil {
		return err
	}
	size := terminalSize(in, a.out)
	raw := make(chan struct{})
	c.Stdout, c.TTY, c.OpenStdin = &held{destination(a.out), raw, &a.remains}, &size, true
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Until the command takes the keys, an interrupt is this program's.
	p, err := c.Start(ctx)
	if err != nil {
		close(raw)
		return err
	}
	restore, err := a.makeRaw(ctx, in)
	close(raw)
	if err != nil {
		cancel(fmt.Errorf("set up the terminal: %w", err))
		return p.Wait()
	}
	defer restore()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		var returned bool
		defer a.remains.saneUnless(&returned)
		watchSize(p.Done(), func() {
			if now := terminalSize(in, a.out); now != size {
				size = now
				_ = p.Resize(ctx, now) // a command that has ended has no use for it
			}
		})
		returned = true
	})
	keys := newKeys(p, func() int64 { return p.Stats().Reconnects }, a.remains.interrupted)
	a.remains.setLost(keys.lost)
	defer a.remains.setLost(nil)
	watching.Go(keys.pass)
	defer keys.close()
	go func() { // until the next key at the latest: a read cannot be called off
		var returned bool
		defer a.remains.saneUnless(&returned)
		_, err := io.Copy(keys, unicode.UTF8.NewDecoder().Reader(in)) // what is no text must not end the command
		if err == nil {
			err = errHungUp
		}
		cancel(fmt.Errorf("pass on the keys: %w", err))
		returned = true
	}()
	return p.Wait()
}

var errHungUp = errors.New("the terminal has hung up")

// held is output that waits for the terminal to be ready for it.
type held struct {
	io.Writer

	until   <-chan struct{}
	remains *remains
}

func (h *held) Write(p []byte) (n int, err error) {
	<-h.until
	var returned bool
	defer h.remains.saneUnless(&returned)
	n, err = h.Writer.Write(p)
	returned = true
	return n, err
}

// makeRaw has the terminal pass on all keys, until restore is called, the
// context ends, so that keys can end this program again, or it gives up.
func (a *app) makeRaw(ctx context.Context, in *os.File) (restore func(), err error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	a.raw.Store(true)
	once := sync.OnceValue(func() error {
		defer a.raw.Store(false)
		return term.Restore(int(in.Fd()), before)
	})
	a.remains.setTerminal(once)
	context.AfterFunc(ctx, func() { _ = once() })
	release := saneAtQuit(once)
	return func() {
		defer release()
		if err := once(); err != nil {
			a.say(fmt.Errorf("restore the terminal: %w; try stty sane", err))
		}
	}, nil
}

// terminalSize is the size of the terminal that is written to, or else of the
// one that is read from.
func terminalSize(in *os.File, out io.Writer) sandboxclient.WindowSize {
	files := []*os.File{in}
	if f, ok := fileOf(out); ok {
		files = []*os.File{f, in}
	}
	for _, f := range files {
		cols, rows, err := term.GetSize(int(f.Fd()))
		if err == nil && cols > 0 && rows > 0 && cols < 1<<16 && rows < 1<<16 {
			return sandboxclient.WindowSize{Cols: uint16(cols), Rows: uint16(rows)}
		}
	}
	return sandboxclient.WindowSize{Cols: 80, Rows: 24}
}
