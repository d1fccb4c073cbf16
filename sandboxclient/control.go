package sandboxclient

import (
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// control is a kind of frame that this side sends.
type control int

const (
	nothing control = iota
	sendKill
	sendSize
	sendInput
	sendEOF
)

var (
	killFrame = []byte(`{"type":"kill"}`)
	eofFrame  = []byte(`{"type":"close_stdin"}`)
)

// due is what to send next on the present connection: a kill before all else,
// and the rest when the server is known to listen. The caller holds the lock.
func (p *Process) due() control {
	switch {
	case p.line == nil || p.gone:
		return nothing
	case p.kill:
		if p.killSent {
			return nothing
		}
		return sendKill
	case !p.ready:
		return nothing
	case p.size != nil && !p.sizeSent:
		return sendSize
	case p.stdin.err == nil && p.stdin.sent < p.stdin.end():
		return sendInput
	case p.stdin.err == nil && p.stdin.eof && !p.stdin.eofSent:
		return sendEOF
	default:
		return nothing
	}
}

// kick sends what is due, on a goroutine of its own. The caller holds the
// lock.
func (p *Process) kick() {
	if !p.sending && p.due() != nothing {
		p.sending = true
		p.tasks.Go(p.flush)
	}
}

// flush sends until nothing is due.
func (p *Process) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		kind, l := p.due(), p.line
		if kind == nothing {
			p.sending = false
			return
		}
		message, size, err := p.message(kind)
		if err == nil {
			p.mu.Unlock()
			err = l.send(message)
			p.mu.Lock()
		}
		switch {
		case p.line != l:
		case err != nil:
			p.line = nil // the supervisor makes another
			l.closeAfter(sendGrace, err)
		default:
			p.delivered(kind, size)
		}
		p.changed.Broadcast()
	}
}

// sendGrace is how long what the peer said last may take to be read, on a
// connection that cannot be written to.
const sendGrace = time.Second

// mayBlock reports whether the server may wait for the command to read its
// input, and read nothing else meanwhile.
func (p *Process) mayBlock() bool { return !p.stdin.terminal && p.stdin.sent > pipeSize }

// pipeSize is how much input a command need not have read.
const pipeSize = 64 << 10

// message is the frame to send, and the size that it sets. Input counts as
// sent from now on, since nobody can tell how much of it arrives.
func (p *Process) message(kind control) ([]byte, *WindowSize, error) {
	switch kind {
	case sendKill:
		return killFrame, nil, nil
	case sendSize:
		message, err := wire.Encode(gen.ResizeFrame{Type: gen.FrameResize, Rows: int(p.size.Rows), Cols: int(p.size.Cols)})
		return message, p.size, err
	case sendInput:
		data := p.stdin.next()
		p.stdin.sent += int64(len(data))
		p.line.input.Store(p.mayBlock())
		p.buffer = wire.AppendInput(p.buffer[:0], data)
		return p.buffer, nil, nil
	default:
		return eofFrame, nil, nil
	}
}

func (p *Process) delivered(kind control, size *WindowSize) {
	switch kind {
	case sendKill:
		p.killSent, p.killTold = true, true
	case sendSize:
		p.sizeSent = p.size == size
	case sendInput:
		delay := confirmDelay
		if p.stdin.sent-p.stdin.base > inputWindow/2 {
			delay = 0
		}
		p.confirmInput(delay)
	default:
		p.stdin.eofSent = true
	}
}
