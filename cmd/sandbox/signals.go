package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalError is the cause of a context that a signal ended.
type signalError struct{ syscall.Signal }

func (e signalError) Error() string { return e.String() }

// exitSignal is the exit code of a program that a signal ended, as shells and
// container tools have it.
func exitSignal(s syscall.Signal) int { return 128 + int(s) }

// patience is how long the end after a signal may take before the program says
// what it waits for.
const patience = time.Second

// echo is how soon after the first a signal is the same one again: timeout(1),
// for one, sends it to the program and then to its process group.
const echo = 300 * time.Millisecond

// withSignals returns a context that the first interrupt, termination or
// hangup ends. The second one calls giveUp.
func (a *app) withSignals(ctx context.Context, giveUp func(syscall.Signal)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	caught := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // by nohup, or by a shell for what it runs in the background
			signal.Notify(caught, s)
		}
	}
	a.remains.setInterrupt(func() {
		select {
		case caught <- os.Interrupt:
		default: // there are some already
		}
	})
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		var late <-chan time.Time
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-late:
				a.say("ending what runs and deleting what was made; once more to give up at once")
			case s := <-caught:
				number, ok := s.(syscall.Signal)
				switch {
				case !ok:
				case first.IsZero():
					first, late = time.Now(), time.After(patience)
					cancel(signalError{number})
				case time.Since(first) > echo:
					giveUp(number)
					return
				}
			}
		}
	})
	return ctx, func() {
		signal.Stop(caught)
		close(done)
		watching.Wait()
		cancel(nil)
	}
}

// giveUp ends the program without waiting for anything.
func (a *app) giveUp(s syscall.Signal) {
	a.remains.mu.Lock() // for good
	if a.remains.restore != nil {
		_ = a.remains.restore()
	}
	left := "what it made may be left"
	if a.remains.sandbox != "" {
		left = "sandbox " + a.remains.sandbox + " may be left, with its command running: delete it"
	}
	fmt.Fprintf(a.err, "sandbox: gave up at the second signal (%s): %s\n", s, left) // say might wait
	os.Exit(exitSignal(s))
}
