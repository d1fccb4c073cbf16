package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var errInputCut = errors.New("not all of the standard input was sent")

// Detach lets go of the command, which runs on, until its Timeout, or until
// nobody was attached for IdleTimeout. It returns when what was written has
// been sent, Stdin to its end, and what was received is delivered, or after
// WaitDelay with an error that says what was not. Wait returns the same, with
// [ErrDetached]; if the command had ended, it returns how.
func (p *Process) Detach() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.waitDelay)
	defer cancel()
	reason := ErrDetached
	if !p.sendRest(ctx) {
		reason = fmt.Errorf("%w: %w", ErrDetached, errInputCut)
	}
	p.detach(reason)
	<-p.done
	if err := p.err; errors.Is(err, ErrDetached) && err != ErrDetached { //nolint:errorlint // if that is not all
		return err
	}
	return nil
}

// sendRest waits until all input is sent and has arrived.
func (p *Process) sendRest(ctx context.Context) bool {
	_ = p.until(ctx, func() bool { return !p.feeding && !p.unsent() })
	p.mu.Lock()
	l, sent := p.line, !p.feeding && !p.unsent()
	asked := p.stdin.sent > 0 || p.stdin.eofSent
	gone := p.gone
	p.mu.Unlock()
	if gone || !asked {
		return gone || sent
	}
	// To close a connection can destroy what is under way on it.
	return sent && l != nil && (l.held.Load() || l.conn.Ping(ctx) == nil)
}

// unsent reports whether there is input to send. The caller holds the lock.
func (p *Process) unsent() bool {
	return p.stdin.err == nil && (p.stdin.sent < p.stdin.end() || p.stdin.eof && !p.stdin.eofSent)
}

// detach ends the connections, and leaves the command alone.
func (p *Process) detach(reason error) {
	p.mu.Lock()
	if p.stopped == nil && !p.gone {
		p.stopped = reason
	}
	if !p.over {
		p.timer(max(p.waitDelay, time.Millisecond), p.abandon)
	}
	p.mu.Unlock()
	p.quit(ErrDetached)
}
