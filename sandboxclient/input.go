package sandboxclient

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Write sends b to standard input, or as keys to the terminal, and returns
// when it is on its way. It waits while a connection is made anew, and while
// too much is on its way. Input is text: bytes that are not UTF-8 are an error,
// but a character may be spread over calls. It fails with [ErrInvalid] unless
// the command was started with OpenStdin, with [os.ErrProcessDone] when it has
// ended, with [io.ErrClosedPipe] after CloseWrite, and with
// [ErrOutcomeUnknown] when a connection was lost and what it carried may or may
// not have arrived.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stdin.open {
		return 0, &ArgumentError{Op: "write to command", Argument: "standard input", Reason: "is not open; set OpenStdin"}
	}
	return p.write(b)
}

func (p *Process) write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		if err := p.inputError(); err != nil {
			return written, err
		}
		if p.stdin.room() < inputFrame {
			p.confirmInput(0)
			p.changed.Wait()
			continue
		}
		n, err := p.stdin.text(b[written:])
		if err != nil {
			return written, err
		}
		written += n
		p.kick()
	}
	end := p.stdin.end()
	for p.stdin.sent < end {
		if err := p.inputError(); err != nil {
			unsent := p.stdin.end() - p.stdin.sent
			return int(max(int64(written)-unsent, 0)), err
		}
		p.changed.Wait()
	}
	return written, nil
}

func (p *Process) inputError() error {
	switch {
	case p.stdin.err != nil:
		return p.stdin.err
	case p.stdin.eof:
		return errStdinClosed
	case p.ended:
		return errEnded
	case p.gone:
		return errGivenUp
	default:
		return nil
	}
}

// CloseWrite ends standard input. With a terminal it sends nothing: write
// "\x04" for what the end-of-file key does. Closing what is closed is no error.
func (p *Process) CloseWrite() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stdin.open {
		return nil
	}
	return p.closeWrite()
}

func (p *Process) closeWrite() error {
	if p.stdin.terminal || p.stdin.eof {
		return nil
	}
	if len(p.stdin.partial) > 0 {
		return notText("the end of standard input")
	}
	if err := p.inputError(); err != nil && !errors.Is(err, errEnded) {
		return err
	}
	p.stdin.eof = true
	p.kick()
	return nil
}

// feed copies a reader to standard input. What cannot be read or sent to its
// end must not look like the end, so the command is killed then.
func (p *Process) feed(r io.Reader) {
	defer func() {
		p.mu.Lock()
		p.feeding = false
		p.changed.Broadcast()
		p.mu.Unlock()
	}()
	buf := make([]byte, inputFrame)
	for {
		n, err := r.Read(buf)
		p.mu.Lock()
		if p.gone {
			p.mu.Unlock()
			return
		}
		failure := p.pass(buf[:n], err)
		p.mu.Unlock()
		if failure != nil && !errors.Is(failure, errEnded) {
			p.stop(failure)
		}
		if failure != nil || err != nil {
			return
		}
	}
}

func (p *Process) pass(data []byte, err error) error {
	if _, e := p.write(data); e != nil {
		return e
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return p.closeWrite()
	default:
		return fmt.Errorf("read standard input: %w", err)
	}
}

// confirmDelay is how long input is left alone before a ping asks whether it
// arrived.
const confirmDelay = 50 * time.Millisecond

// confirmInput asks whether the input that was sent has arrived. The caller
// holds the lock.
func (p *Process) confirmInput(delay time.Duration) {
	l := p.line
	if l == nil || p.stdin.sent == p.stdin.base {
		return
	}
	if p.confirming == l {
		if delay == 0 {
			l.hurry()
		}
		return
	}
	p.confirming = l
	upTo := p.stdin.sent
	l.later(delay, func() {
		err := l.ping()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.line != l {
			return
		}
		p.confirming = nil
		again := time.Second
		switch {
		case err == nil:
			p.stdin.arrived(upTo)
			again = confirmDelay
			p.changed.Broadcast() // else those who wait for room would ask again at once
		case errors.Is(err, errHeld):
			again = confirmDelay
		}
		l.input.Store(p.stdin.sent > p.stdin.base && p.mayBlock())
		p.confirmInput(again)
	})
}
