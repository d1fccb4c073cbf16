package sandboxclient

import (
	"errors"
	"fmt"
	"time"
)

var errKillUnanswered = errors.New("the kill was not acknowledged in time")

// stallTimeout is how long a kill waits behind input that the server does not
// take. A new connection then carries it first.
const stallTimeout = 2 * time.Second

// stop kills the command, for a reason, if there is one, that Wait returns.
func (p *Process) stop(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halt(reason)
}

// halt is stop for who holds the lock.
func (p *Process) halt(reason error) {
	switch {
	case p.gone && p.late == nil:
		p.late = reason
	case !p.gone && p.stopped == nil:
		p.stopped = reason
	}
	if p.kill || p.over {
		return
	}
	p.kill = true
	p.timer(p.waitDelay, p.giveUp)
	if p.gone {
		return
	}
	if p.first != nil && !p.sent {
		p.quit(errKillUnanswered) // there is nothing to kill
		return
	}
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
	p.kick()
	p.hasten()
}

// giveUp is when WaitDelay is over. If nothing could be read because a writer
// does not return, the end may be behind what it was to take.
func (p *Process) giveUp() {
	p.mu.Lock()
	held := p.line != nil && p.line.held.Load() // no longer, once the writer is abandoned
	p.mu.Unlock()
	p.abandon()
	if !held {
		p.quit(errKillUnanswered)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer(lastWords, func() { p.quit(errKillUnanswered) })
	}
}

// lastWords is how long the end of a command may take that is read late.
const lastWords = time.Second

// hasten sees to it that a kill does not rest in a connection that carries it
// nowhere. The caller holds the lock.
func (p *Process) hasten() {
	if l := p.line; l != nil && p.kill {
		p.timer(stallTimeout, func() { p.unstall(l) })
	}
}

// timer runs f later, unless the process is done before. The caller holds the
// lock.
func (p *Process) timer(d time.Duration, f func()) {
	p.timers = append(p.timers, time.AfterFunc(d, f))
}

func (p *Process) unstall(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.line != l || p.gone:
	case !p.killSent:
		p.tasks.Go(func() { l.close(errStalled) })
	default:
		p.tasks.Go(func() { l.probe(p.ctx, stallTimeout) })
	}
}

// overrun is when the sandbox should have ended the command by itself.
func (p *Process) overrun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil && p.line.held.Load() {
		p.timer(max(p.policy.TimeoutGrace, time.Second), p.overrun) // the end may be behind what is not read
		return
	}
	p.halt(&CommandError{
		ID: p.id, Operation: "command", Code: "CommandTimeout", kinds: kinds(ErrCommandTimeout, ErrTimeout),
		Message: fmt.Sprintf("the sandbox did not end the command %s after its timeout of %s; given up on this side",
			p.policy.TimeoutGrace, p.timeout),
	})
}

// outcome is what Wait returns, after the connections ended with err, and the
// delivery of output with undelivered.
func (p *Process) outcome(err, undelivered error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(p.stopped, ErrDetached):
		if !p.ended && undelivered != nil {
			return fmt.Errorf("%w; %w", p.stopped, undelivered)
		}
		if !p.ended {
			return p.stopped
		}
	case p.stopped != nil && p.first != nil && !p.sent:
		return fmt.Errorf("%s %q: %w", p.dialer.op.name, p.dialer.op.resource, p.stopped)
	case p.stopped != nil:
		return &stoppedError{id: p.id, cause: p.stopped, ended: p.ended, killed: p.kill}
	case undelivered != nil:
		for _, more := range []error{err, p.late} {
			if more != nil {
				undelivered = fmt.Errorf("%w; %w", undelivered, more)
			}
		}
		return &stoppedError{id: p.id, cause: undelivered, ended: p.ended, killed: p.kill && !p.ended}
	case errors.Is(err, errKillUnanswered):
		err = &DisconnectError{ID: p.id, From: p.at, Err: err}
	}
	if lost := (Position{p.tracks[0].lost, p.tracks[1].lost}); lost != (Position{}) {
		return &GapError{Lost: lost, Err: err}
	}
	return err
}
