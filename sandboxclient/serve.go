package sandboxclient

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// ackPatience is how long input waits for the server to acknowledge a new
// connection, which older servers do not.
const ackPatience = 5 * time.Second

// serve reads a connection until the command ends or the connection is lost.
func (p *Process) serve(l *line) (ended bool, err error) {
	defer context.AfterFunc(p.ctx, func() { l.close(context.Cause(p.ctx)) })()
	l.from.idle = p.flushOutput
	p.enter(l)
	if !l.starts {
		defer time.AfterFunc(ackPatience, func() { p.presume(l) }).Stop()
	}
	for waiting := l.starts; ; {
		f, err := l.read()
		if err != nil {
			return false, p.misread(err)
		}
		if waiting {
			switch f.Type {
			case gen.FrameStarted, gen.FrameError:
			case gen.FrameStdout, gen.FrameStderr, gen.FrameExit:
				return false, p.dialer.protocolError("expected started, got " + string(f.Type))
			default:
				continue
			}
			waiting = false
			l.disarm()
		}
		switch f.Type {
		case gen.FrameStdout, gen.FrameStderr:
			if err := p.output(l, &f); err != nil {
				return false, err
			}
		case gen.FrameStarted:
			if err := p.started(l, &f); err != nil {
				return false, err
			}
		case gen.FrameExit:
			return p.exited(&f)
		case gen.FrameError:
			return p.failed(l, &f)
		default: // agents are not served, and what is not known is skipped
		}
	}
}

// misread tells a connection that was lost from a frame that makes no sense.
func (p *Process) misread(err error) error {
	if _, ok := err.(*lostError); ok { //nolint:errorlint // as read returns it
		return err
	}
	e := p.dialer.protocolError(err.Error())
	e.cause = err
	return e
}

// enter makes a connection the present one. A kill that is due is the first
// thing it carries; the rest waits for the server.
func (p *Process) enter(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line, p.ready, p.confirming = l, false, nil
	p.killSent, p.sizeSent = false, false
	p.kick()
	p.hasten()
}

// leave ends a connection.
func (p *Process) leave(l *line) {
	p.flushOutput()
	p.mu.Lock()
	if p.line == l {
		p.line = nil
	}
	p.mu.Unlock()
	l.disarm()
	l.close(errOver)
	l.tasks.Wait()
}

// attached lets input go to a connection, once the server acknowledged it, or
// is not expected to.
func (p *Process) attached(l *line, s *gen.StartedFrame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != l || p.ready {
		return
	}
	p.ready = true
	first := !p.reached
	p.stdin.attach(s)
	if p.stdin.err != nil && (p.stdin.eof || !p.stdin.open) {
		p.halt(p.stdin.err) // nobody will write, and be told
	}
	if first {
		p.reached = true
		if p.timeout > 0 && p.policy.TimeoutGrace != forever {
			p.timer(p.timeout+p.policy.TimeoutGrace, p.overrun)
		}
		close(p.known)
	}
	p.kick()
	p.changed.Broadcast()
}

// presume takes the silence of a server for an acknowledgement: but not of a
// command that it was never heard of, nor of one that counts input, which
// acknowledges, and whose count must not be missed.
func (p *Process) presume(l *line) {
	p.mu.Lock()
	older := (p.first == nil || p.reached) && p.stdin.id == ""
	p.mu.Unlock()
	if older {
		p.attached(l, nil)
	}
}

// started is the server's acknowledgement.
func (p *Process) started(l *line, f *wire.Frame) error {
	var s gen.StartedFrame
	if err := f.As(&s); err != nil {
		return p.misread(err)
	}
	p.mu.Lock()
	if l.starts && !p.reached && s.CommandID != "" {
		p.id = s.CommandID
	}
	own := s.CommandID == p.id || s.CommandID == ""
	if own {
		p.pid = s.Pid
	}
	p.mu.Unlock()
	if !own {
		p.dialer.logger.LogAttrs(p.ctx, slog.LevelWarn, "sandbox acknowledged another command",
			slog.String("command", p.ID()), slog.String("other", s.CommandID))
		return nil
	}
	p.attached(l, &s)
	p.progress()
	return nil
}

// progress is a sign of life of the command.
func (p *Process) progress() {
	if p.pace.start {
		p.pace = reconnecting(p.policy)
	} else if p.pace.failures > 0 {
		p.pace.progress()
	}
}

// maxOffset is as far as numbers go that every decoder of JSON knows exactly.
const maxOffset = 1 << 53

// output passes on a piece of output.
func (p *Process) output(l *line, f *wire.Frame) error {
	if f.Offset < 0 || f.Offset > maxOffset {
		return p.dialer.protocolError("output at offset " + strconv.FormatInt(f.Offset, 10))
	}
	stream, t := Stdout, &p.tracks[0]
	if f.Type == gen.FrameStderr {
		stream, t = Stderr, &p.tracks[1]
	}
	data, at := t.accept(f.Data, f.Offset, f.HasOffset)
	p.mu.Lock()
	p.at = Position{p.tracks[0].resume(), p.tracks[1].resume()}
	ready := p.ready
	p.mu.Unlock()
	if !ready {
		p.attached(l, nil)
	}
	p.lost.Store(p.tracks[0].lost + p.tracks[1].lost)
	p.repeated.Store(p.tracks[0].repeated + p.tracks[1].repeated)
	if len(data) == 0 {
		return nil
	}
	p.progress()
	p.pace.refused = 0
	if p.full {
		return nil
	}
	l.held.Store(true)
	err := p.sink.put(stream, data, at)
	l.held.Store(false)
	if err != nil {
		p.full = true
		p.stop(err)
	}
	return nil
}

// exited is the end of the command.
func (p *Process) exited(f *wire.Frame) (ended bool, err error) {
	var e gen.ExitFrame
	if err := f.As(&e); err != nil {
		return false, p.misread(err)
	}
	code := -1
	if e.ExitCode != nil {
		code = *e.ExitCode
	}
	p.end()
	p.mu.Lock()
	p.exitCode = code
	p.mu.Unlock()
	if code == 0 {
		return true, nil
	}
	return true, &ExitError{Code: code, Stderr: p.stderrTail.String()}
}

// failed is the end of the command, or of what the sandbox knows of it.
func (p *Process) failed(l *line, f *wire.Frame) (ended bool, err error) {
	var e gen.ErrorFrame
	if err := f.As(&e); err != nil {
		return false, p.misread(err)
	}
	p.end()
	operation := "command"
	if !l.starts {
		operation = "reconnect"
	}
	if e.ErrorType == codeCommandNotFound && p.wasKilled() {
		return true, &ExitError{Code: -1, Stderr: p.stderrTail.String()}
	}
	return true, fmt.Errorf("%s %q: %w", p.dialer.op.name, p.dialer.op.resource, commandError(e, p.ID(), operation, !l.starts))
}

// wasKilled reports whether the sandbox was told to kill the command.
func (p *Process) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killTold
}

// end says that the sandbox has nothing more to say of the command.
func (p *Process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.gone = true, true
	p.changed.Broadcast()
}
