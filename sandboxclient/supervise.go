package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// deliver sets where the output goes, for as long as the writers have.
func (p *Process) deliver(to sink) {
	p.sink = to
	context.AfterFunc(p.delivery, to.drop)
}

// flushOutput has output that waits for more be delivered.
func (p *Process) flushOutput() {
	if f, ok := p.sink.(flusher); ok {
		f.flush()
	}
}

// supervise keeps a connection to the command until it ends or is given up,
// and is where all its output is read.
func (p *Process) supervise() {
	err := p.follow()
	p.mu.Lock()
	p.gone = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.quit(errOver)
	undelivered := p.sink.finish(p.delivery)
	p.tasks.Wait()
	p.unwatch()
	p.mu.Lock()
	p.over = true
	for _, t := range p.timers {
		t.Stop()
	}
	p.mu.Unlock()
	p.err = p.outcome(err, undelivered)
	p.abandon()
	close(p.done)
}

// follow makes connections until the command has ended.
func (p *Process) follow() error {
	for {
		l, err := p.open()
		if err != nil {
			return err
		}
		ended, err := p.serve(l)
		p.leave(l)
		if ended {
			return err
		}
		if err := p.judge(err); err != nil {
			return err
		}
	}
}

// open makes a connection and says what it is for.
func (p *Process) open() (*line, error) {
	for {
		if p.pace.failures > 0 {
			if err := p.rest(); err != nil {
				return nil, err
			}
		}
		l, err := p.attempt()
		switch {
		case err == nil:
			return l, nil
		case p.ctx.Err() != nil:
			return nil, context.Cause(p.ctx)
		case permanent(err):
			return nil, p.unreachable(err)
		}
		p.last = err
		p.pace.failed(retryAfter(err))
	}
}

// rest waits before the next attempt, if there is to be one.
func (p *Process) rest() error {
	if p.pace.spent() {
		return p.unreachable(p.last)
	}
	level := slog.LevelDebug
	if p.pace.failures == worthTelling {
		level = slog.LevelWarn
	}
	p.dialer.logger.LogAttrs(p.ctx, level, "sandbox command out of reach, trying again",
		slog.String("command", p.ID()), slog.Any("error", p.last), slog.Duration("pause", p.pace.pause))
	pause := p.pace.pause
	if p.stopping() {
		pause = min(pause, killPause)
	} else if pause > p.pace.left() && pause > p.policy.MaxDelay {
		return p.unreachable(p.last) // the server asks for more than there is
	}
	if pause > 0 {
		p.sleep(min(pause, p.pace.left()))
	}
	switch {
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case p.pace.left() <= 0:
		return p.unreachable(p.last)
	default:
		return nil
	}
}

// worthTelling is how many failures in a row are more than a hiccup.
const worthTelling = 3

// killPause is the longest pause between attempts to kill.
const killPause = time.Second

func (p *Process) stopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kill
}

// sleep waits, but not when there is something to kill.
func (p *Process) sleep(d time.Duration) {
	p.mu.Lock()
	wake := make(chan struct{})
	p.wake = wake
	if p.kill {
		wake = nil // the attempt it was cut short for has failed
	}
	p.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	p.wake = nil
	p.mu.Unlock()
}

// unreachable is the end of all attempts.
func (p *Process) unreachable(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != nil && !p.sent {
		return err // the command was never asked for
	}
	var refused *APIError
	if !p.reached && errors.As(err, &refused) && refused.is(ErrProtocol) {
		return err
	}
	return &DisconnectError{ID: p.id, From: p.at, Err: err}
}

// attempt makes one connection and sends its first frame.
func (p *Process) attempt() (*line, error) {
	ctx, cancel := context.WithCancel(p.ctx)
	if d := min(p.policy.OpenTimeout, p.pace.left()); d != forever {
		cancel()
		ctx, cancel = context.WithTimeoutCause(p.ctx, d, errOpenTimeout)
	}
	l, err := p.dialer.dial(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.close(context.Cause(ctx)) })
	l.disarm = func() { stop(); cancel() }
	hello, err := p.hello(l)
	if err == nil {
		err = l.send(hello)
	}
	if err != nil {
		l.disarm()
		l.close(err)
		return nil, err
	}
	if !l.starts {
		l.disarm()
	}
	if p.connected {
		p.reconnects.Add(1)
	}
	p.connected = true
	return l, nil
}

// hello is the first frame of a connection.
func (p *Process) hello(l *line) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.starts = p.first != nil && !p.reached && !p.kill
	if l.starts {
		p.sent = true
		return p.first, nil
	}
	if p.first != nil && !p.sent {
		return nil, errKillUnanswered
	}
	for i := range p.tracks {
		p.tracks[i].reconnect()
	}
	return wire.Encode(gen.ReconnectFrame{
		Type: gen.FrameReconnect, CommandID: p.id,
		StdoutOffset: p.tracks[0].resume(), StderrOffset: p.tracks[1].resume(), StdinID: p.stdin.id,
	})
}

// judge decides on a connection that was lost with err: nil to make another.
func (p *Process) judge(err error) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	lost, ok := errors.AsType[*lostError](err)
	switch {
	case !ok:
		return p.unreachable(err)
	case lost.code == websocket.StatusMessageTooBig, errors.Is(err, websocket.ErrMessageTooBig):
		return p.unreachable(fmt.Errorf("%w: a frame of more than %d bytes", ErrTooLarge, p.policy.FrameLimit))
	case lost.code == websocket.StatusPolicyViolation, lost.code >= firstPrivateCode:
		if p.pace.refused++; p.pace.refused > 1 {
			return p.unreachable(err)
		}
	}
	p.last = err
	if p.pace.start && p.wasReached() { // by a server that does not acknowledge
		p.pace = reconnecting(p.policy)
	}
	p.pace.dropped(lost.code == websocket.StatusGoingAway)
	return nil
}

func (p *Process) wasReached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached
}

// firstPrivateCode begins the close codes that applications define.
const firstPrivateCode websocket.StatusCode = 4000
