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
	if p.stopped == nil && !p.gone {
		p.stopped = reason
	}
	if p.kill || p.over {
		return
	}
	p.kill = true
	p.timer(p.waitDelay, func() {
		p.quit(errKillUnanswered)
		p.abandon()
	})
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
	if l := p.line; l != nil {
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
	stalled := p.line == l && !p.killSent
	p.mu.Unlock()
	if stalled {
		l.close(errStalled)
	}
}

// detach ends the connections, and leaves the command alone.
func (p *Process) detach(reason error) {
	p.mu.Lock()
	if p.stopped == nil && !p.gone {
		p.stopped = reason
	}
	if !p.over {
		p.timer(p.waitDelay, p.abandon)
	}
	p.mu.Unlock()
	p.quit(ErrDetached)
}

// overrun is when the sandbox should have ended the command by itself.
func (p *Process) overrun() {
	p.stop(&CommandError{
		ID: p.ID(), Operation: "command", Code: "CommandTimeout", kinds: kinds(ErrCommandTimeout, ErrTimeout),
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
		if !p.ended {
			return p.stopped
		}
	case p.stopped != nil && p.first != nil && !p.sent:
		return fmt.Errorf("%s %q: %w", p.dialer.op.name, p.dialer.op.resource, p.stopped)
	case p.stopped != nil:
		return &stoppedError{id: p.id, cause: p.stopped, ended: p.ended, killed: p.kill}
	case undelivered != nil:
		return &stoppedError{id: p.id, cause: undelivered, ended: p.ended, killed: p.kill && !p.ended}
	case errors.Is(err, errKillUnanswered):
		err = &DisconnectError{ID: p.id, From: p.at, Err: err}
	}
	if lost := (Position{p.tracks[0].lost, p.tracks[1].lost}); lost != (Position{}) {
		return &GapError{Lost: lost, Err: err}
	}
	return err
}
