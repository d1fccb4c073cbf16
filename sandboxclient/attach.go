package sandboxclient

import (
	"context"
	"fmt"
	"io"
	"time"
)

// AttachOptions says how to attach to a command. A nil pointer is the zero
// value.
type AttachOptions struct {
	// From is where the output is to begin; zero is the beginning. Of an older
	// place the sandbox may no longer have all: what is missing is a
	// [GapError].
	From Position
	// Stdout and Stderr take the output, as those of [Cmd] do, but one that
	// fails only detaches; nil discards it.
	Stdout, Stderr io.Writer
	// TTY says that the command has a terminal, and which size to give it; nil
	// is that it has none, or that this side is only to watch.
	TTY *WindowSize
	// WaitDelay is how long, after a kill or the end of the context, the
	// command and its writers may take to end; 0 is 10 seconds.
	WaitDelay time.Duration
}

// Attach joins a command that runs or has ended not long ago, started by any
// program. The process it returns may be written to if its standard input is
// open. The context only detaches: when it ends, Wait returns its error, and
// [ErrDetached], and the command runs on. Errors: [ErrCommandNotFound],
// [ErrSessionExpired], [ErrInvalid], [ErrNoDataplane], [DisconnectError].
func (s *Sandbox) Attach(ctx context.Context, id string, opts *AttachOptions) (*Process, error) {
	o := pointed(opts)
	op := operation{name: "attach to command in sandbox"}
	ck := checks{op: op.name}
	ck.required("id", id)
	ck.text("id", id)
	ck.atLeastZero("From", min(o.From.Stdout, o.From.Stderr))
	ck.atLeastZero("WaitDelay", int64(o.WaitDelay))
	if o.TTY != nil && ck.err == nil {
		ck.err = o.TTY.check(op.name, "TTY")
	}
	if ck.err != nil {
		return nil, ck.err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", op.name, contextError(ctx))
	}
	d, err := s.dialer(ctx, op, commandStream)
	if err != nil {
		return nil, err
	}
	p := newProcess(d, id, orDefault(o.WaitDelay, defaultWaitDelay))
	p.pace = starting(p.policy)
	p.stdin.open = true
	p.terminal(o.TTY)
	p.at = o.From
	p.tracks = [2]track{newTrack(o.From.Stdout), newTrack(o.From.Stderr)}
	p.deliver(p.writers(o.Stdout, o.Stderr, func(err error) { p.detach(fmt.Errorf("%w: %w", ErrDetached, err)) }))
	p.unwatch = context.AfterFunc(ctx, func() { p.detach(fmt.Errorf("%w: %w", ErrDetached, contextError(ctx))) })
	go p.supervise() //nolint:contextcheck // the process outlives the call
	if err := p.await(); err != nil {
		return nil, err
	}
	return p, nil
}
