package main

import (
	"io"
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
	_, stop = a.spinAround(nil, what)
	return stop
}

// spinAround is spin for what writes something meanwhile, which has the
// terminal for itself as long as it goes on writing.
func (a *app) spinAround(log io.Writer, what string) (out io.Writer, stop func()) {
	if !a.showsProgress() {
		return log, func() {}
	}
	s := &spinner{app: a, what: what, log: log, after: time.Now().Add(spinnerDelay)}
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(spinnerPace)
		defer tick.Stop()
		for {
			select {
			case <-done:
				a.wipe()
				return
			case now := <-tick.C:
				s.turn(now)
			}
		}
	})
	return s, sync.OnceFunc(func() { close(done); drawing.Wait() })
}

// spinner is a line that moves.
type spinner struct {
	app  *app
	what string
	log  io.Writer

	mu    sync.Mutex
	frame int
	after time.Time // when it shows itself
	mid   bool      // the log has written part of a line
}

func (s *spinner) turn(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mid || now.Before(s.after) {
		return
	}
	const frames = `|/-\`
	s.frame = (s.frame + 1) % len(frames)
	s.app.draw(frames[s.frame:s.frame+1] + " " + fitted(s.app.columns()-2, s.what, ""))
}

// Write passes on what the log says.
func (s *spinner) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) > 0 {
		s.mid = p[len(p)-1] != '\n'
	}
	s.after = time.Now().Add(spinnerDelay)
	s.app.instead(func() { n, err = s.log.Write(p) })
	return n, err
}
