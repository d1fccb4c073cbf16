package session

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// Session is one command. It is safe for concurrent use.
type Session struct {
	store *Store
	opts  *Options
	spec  Spec

	started chan struct{} // closed when the start is over
	err     error         // of the start; set before
	run     *Running      // set before
	input   *input
	exited  chan struct{}  // closed when the process has ended
	pumps   sync.WaitGroup // one for each stream

	mu       sync.Mutex
	out      [streams]output
	attached map[*Attachment]struct{}
	writers  map[string]*writer
	// lastWriter is the name of the newest.
	lastWriter int
	joining    int       // attachments on their way
	readAt     time.Time // when somebody last read
	timedOut   bool
	killing    bool
	outcome    *Outcome // set when the command and its output have ended
	gone       bool     // no longer kept
	deadline   *time.Timer
	idle       *time.Timer
	keep       *time.Timer
}

func newSession(st *Store, spec Spec) *Session {
	s := &Session{
		store: st, opts: &st.opts, spec: spec,
		started:  make(chan struct{}),
		exited:   make(chan struct{}),
		attached: make(map[*Attachment]struct{}),
		writers:  make(map[string]*writer),
		readAt:   time.Now(),
	}
	for i := range s.out {
		s.out[i] = newOutput(s.opts)
	}
	return s
}

// ID is the id of the command.
func (s *Session) ID() string { return s.spec.ID }

// PID is its process id, as seen from inside the sandbox.
func (s *Session) PID() int { return s.run.Process.PID() }

// begin starts the command. Whoever waits for that may have gone meanwhile.
func (s *Session) begin() {
	defer close(s.started)
	ctx, cancel := context.WithTimeout(s.store.ctx, s.opts.StartTimeout)
	defer cancel()
	run, err := s.launch(ctx)
	if err != nil {
		s.err = err
		return
	}
	s.run = run
	s.input = newInput(run.Stdin, s.opts.Input)
	s.store.tasks.Go(s.input.write)
	if s.spec.CloseInput {
		s.closeInput()
	}
	for i, out := range []Output{run.Stdout, run.Stderr} {
		if out == nil {
			s.out[i].closed = true
			continue
		}
		s.pumps.Go(func() { s.pump(Stream(i), out) })
	}
	s.store.tasks.Go(s.wait)
	if s.spec.Timeout > 0 {
		s.mu.Lock()
		s.deadline = time.AfterFunc(s.spec.Timeout, s.expire)
		s.mu.Unlock()
	}
}

// launch starts the command. A panic is an error here, where nobody else would
// catch it.
func (s *Session) launch(ctx context.Context) (run *Running, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.opts.Start(ctx, s.spec)
}

// wait waits for the end of the process and then of its output.
func (s *Session) wait() {
	status, err := s.run.Process.Wait(s.store.ctx)
	close(s.exited)
	s.input.stop()
	for _, out := range []Output{s.run.Stdout, s.run.Stderr} {
		if out != nil {
			_ = out.SetReadDeadline(time.Now().Add(s.opts.Drain))
		}
	}
	s.wakePumps()
	s.pumps.Wait()
	s.settle(status, err)
}

// settle enters the outcome.
func (s *Session) settle(status runtime.ExitStatus, err error) {
	s.mu.Lock()
	outcome := Outcome{Code: status.Code}
	switch {
	case s.timedOut && err == nil:
		outcome = Outcome{Err: ErrTimeout}
	case errors.Is(err, runtime.ErrClosed), s.store.ctx.Err() != nil:
		outcome = Outcome{Err: ErrClosed}
	case err != nil:
		outcome = Outcome{Err: err}
	}
	s.outcome = &outcome
	stopTimer(s.deadline)
	stopTimer(s.idle)
	for i := range s.out {
		s.out[i].shrink()
	}
	for a := range s.attached {
		a.signal()
	}
	s.mu.Unlock()
	if s.run.Ended != nil {
		s.run.Ended()
	}
	s.store.ended(s)
}

// killPause is how long a kill that did not get everything rests.
const killPause = 2 * time.Second

// expire kills the command because its time is over.
func (s *Session) expire() {
	s.mu.Lock()
	over := s.outcome == nil && !s.hasExited()
	s.timedOut = s.timedOut || over
	s.mu.Unlock()
	if over {
		s.Kill()
	}
}

func (s *Session) hasExited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// Kill kills the command with all its descendants, and does not wait until
// they are gone. Killing an ended command does nothing.
func (s *Session) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killing || s.hasExited() {
		return
	}
	s.killing = s.store.begin(func() {
		err := s.run.Process.Kill()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.killing = false
		if err != nil && s.outcome == nil { // processes are left
			stopTimer(s.deadline)
			s.deadline = time.AfterFunc(killPause, s.Kill)
		}
	})
}

// Resize changes the size of the terminal; without one it does nothing.
func (s *Session) Resize(cols, rows int) error {
	if s.run.Resize == nil || s.hasExited() {
		return nil
	}
	return s.run.Resize(cols, rows)
}

// closeInput ends the standard input after what was written so far. It does
// nothing with a terminal.
func (s *Session) closeInput() {
	if s.run.Resize == nil {
		s.input.end()
	}
}

// arm sets the timer for the end of the result.
func (s *Session) arm(remove func()) {
	if s.spec.Keep < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = time.AfterFunc(s.spec.Keep, remove)
}

// drop ends the keeping. What is kept is given back when the attachments that
// are left have read it.
func (s *Session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	stopTimer(s.keep)
	s.freeIfUnread()
}

// parkFrom is how much of a stream is kept in memory of an ended command that
// nobody reads.
const parkFrom = 256 << 10

// park moves what is kept of an ended command out of memory: there can be
// thousands of them. mu is held.
func (s *Session) park() {
	if s.gone || s.spec.Keep == 0 {
		return
	}
	for i := range s.out {
		out := &s.out[i]
		if held := int(out.end - out.start); held > parkFrom && out.save(held) {
			out.shrink()
		}
	}
}

// freeIfUnread gives back what is kept for nobody any more. mu is held.
func (s *Session) freeIfUnread() {
	if !s.gone || len(s.attached) > 0 {
		return
	}
	for i := range s.out {
		s.out[i].spill.close()
		s.out[i].ring = nil
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
