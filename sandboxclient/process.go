package sandboxclient

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Process is a running command, from [Cmd.Start] or [Sandbox.Attach]. It keeps
// its connection to the sandbox, and makes it anew when it is lost. All
// methods may be called at the same time; what several goroutines write may
// arrive in any order.
//
// When the command has ended, or is given up, all goroutines of the process
// end, but for one that is blocked in the Stdin or a writer of the caller.
type Process struct {
	dialer    *dialer
	policy    CommandPolicy
	first     []byte // the frame that starts the command; nil for Attach
	timeout   time.Duration
	waitDelay time.Duration
	sink      sink
	unwatch   func() bool // the caller's context

	ctx      context.Context         //nolint:containedctx // the life of the connections, which outlasts the caller's
	quit     context.CancelCauseFunc // ends the connections
	delivery context.Context         //nolint:containedctx // how long the writers have
	abandon  context.CancelFunc
	known    chan struct{} // closed when the sandbox has the command
	done     chan struct{}
	err      error // once done is closed

	// The supervisor's own.
	tracks     [2]track
	pace       *backoff
	last       error // why the last attempt failed
	full       bool  // the sink takes no more
	connected  bool  // there was a connection before
	stderrTail tail

	mu       sync.Mutex
	changed  sync.Cond // of all below
	id       string
	pid      int
	exitCode int
	at       Position
	sent     bool // the frame that starts the command
	reached  bool // known is closed
	ended    bool // an exit or error frame came
	gone     bool // ended, or given up
	over     bool // and its output is delivered
	line     *line
	ready    bool // the present line takes input
	sending  bool
	buffer   []byte // of what is sent
	kill     bool   // asked for
	killSent bool   // on the present line
	killTold bool   // on some line
	size     *WindowSize
	sizeSent bool // on the present line
	stdin    stdin
	stopped  error // why this side ended it
	late     error // as stopped, but when it had ended
	feeding  bool  // the reader of the caller has more
	timers   []*time.Timer
	wake     chan struct{} // closed to cut a pause short
	tasks    sync.WaitGroup

	confirming *line // whose answer to a ping will say what input arrived

	reconnects, lost, repeated atomic.Int64
}

// Position is a place in each output stream, in bytes as the command wrote
// them.
type Position struct {
	Stdout, Stderr int64
}

// WindowSize is the size of a terminal in characters.
type WindowSize struct {
	Rows, Cols uint16
}

func (s WindowSize) check(op, argument string) error {
	if s.Rows == 0 || s.Cols == 0 {
		return &ArgumentError{Op: op, Argument: argument, Reason: "has no rows or no columns"}
	}
	return nil
}

// ID is the command's name in the sandbox, with which [Sandbox.Attach] finds
// it.
func (p *Process) ID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// PID is the process id inside the sandbox, 0 if the server did not say.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Done is closed when the command has ended, or is given up, and its output is
// delivered.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the exit code, or -1 if the command runs or its end is not
// known.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exitCode
}

// Position is how much of the output was received, which is more than a slow
// writer has got, and than one ever gets where Wait says so. Output from here
// on is what Attach asks for. After a
// chunk that holds U+FFFD, which may stand for other bytes, it is the place of
// that chunk, which would then come again.
func (p *Process) Position() Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// StreamStats counts what happened to a connection.
type StreamStats struct {
	Reconnects int64 // connections made after the first
	Repeated   int64 // bytes of output that came again, and were dropped
	Lost       int64 // bytes of output that the sandbox no longer had
}

// Stats counts what happened to the connection so far.
func (p *Process) Stats() StreamStats {
	return StreamStats{Reconnects: p.reconnects.Load(), Repeated: p.repeated.Load(), Lost: p.lost.Load()}
}

// Wait waits for the end and returns nil for exit code 0, else an error:
// [ExitError] for another code, [CommandError] if the sandbox ended or lost the
// command, [DisconnectError] if it was out of reach for too long, [GapError]
// if output is missing. When this side had it killed the error matches the
// reason: the context's error, or that of a writer. It says whether the kill
// was acknowledged, and matches [ErrOutcomeUnknown] if not. Any number of
// goroutines may wait.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Kill kills the command and all that it started, with SIGKILL, and returns
// when the sandbox was told; see Wait for the end. Without a connection it is
// the first thing that a new one carries. If the command does not end within
// WaitDelay it is given up, with a [DisconnectError] if the sandbox could not
// be told. Killing what has ended is no error. The end of the context ends the
// waiting, not the kill.
func (p *Process) Kill(ctx context.Context) error {
	p.stop(nil)
	if err := p.until(ctx, func() bool { return p.killSent }); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone && !p.ended && !p.killSent {
		return &DisconnectError{ID: p.id, From: p.at, Err: errKillUnanswered}
	}
	return nil
}

// Resize sets the size of the terminal. It returns when the sandbox was told;
// without a connection, a new one begins with the last size. It fails with
// [ErrInvalid] if there is no terminal.
func (p *Process) Resize(ctx context.Context, size WindowSize) error {
	if err := size.check("resize terminal", "size"); err != nil {
		return err
	}
	p.mu.Lock()
	if !p.stdin.terminal {
		p.mu.Unlock()
		return &ArgumentError{Op: "resize terminal", Argument: "terminal", Reason: "is none; set TTY"}
	}
	p.size, p.sizeSent = &size, false
	p.kick()
	p.mu.Unlock()
	return p.until(ctx, func() bool { return p.sizeSent })
}

// until waits until something is so, or the command has ended.
func (p *Process) until(ctx context.Context, so func() bool) error {
	wake := context.AfterFunc(ctx, p.announce)
	defer wake()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !so() && !p.gone {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.changed.Wait()
	}
	return nil
}

// announce wakes all who wait for a change.
func (p *Process) announce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}
