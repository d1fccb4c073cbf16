package main

import (
	"fmt"
	"sync"
	"time"
)

const (
	spinnerDelay = 300 * time.Millisecond // what is faster shows nothing
	spinnerPace  = 100 * time.Millisecond
)

// spin shows that something takes its time, on a terminal only, until the
// function is called that it returns.
func (a *app) spin(what string) (stop func()) {
	if !isTerminal(a.err) {
		return func() {}
	}
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		frames := []rune("|/-\\")
		timer := time.NewTimer(spinnerDelay)
		defer timer.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				if i > 0 {
					fmt.Fprint(a.err, "\r\x1b[K")
				}
				return
			case <-timer.C:
				fmt.Fprintf(a.err, "\r%c %s", frames[i%len(frames)], what)
				timer.Reset(spinnerPace)
			}
		}
	})
	return sync.OnceFunc(func() { close(done); drawing.Wait() })
}
