package mux

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrReset reports a stream that the peer has broken off, or that went
	// down with its session.
	ErrReset = errors.New("stream was reset")
	// ErrClosed reports a use of a session that is over.
	ErrClosed = errors.New("session is closed")
)

const (
	// maxPayload is how much one frame carries at most, so that streams take
	// turns.
	maxPayload = 32 << 10
	// linger is how long a closed stream waits for the peer to be done too.
	linger = 15 * time.Second
)

// Stream is a connection inside a session. It is a net.Conn with half-close,
// and safe for concurrent use.
type Stream struct {
	session *Session
	id      uint32

	writing sync.Mutex  // held while a Write is under way
	stalled atomic.Bool // a Write would fail

	mu       sync.Mutex
	readable sync.Cond
	writable sync.Cond
	received ring
	allowed  uint32 // what the peer may still send
	window   uint32 // what it may send at once
	consumed uint32 // read since credit was given last
	epoch    uint32 // read since began, as far as credit was given
	began    time.Time
	starved  bool  // a Read had to wait since
	credit   int64 // what may still be sent

	ended    bool // the peer sends no more
	finished bool // this side sends no more
	closed   bool // nor reads
	err      error
	onReset  func()

	readBy, writeBy deadline
	lingering       *time.Timer
}

func newStream(s *Session, id uint32) *Stream {
	st := &Stream{session: s, id: id, allowed: initialWindow, window: initialWindow, credit: initialWindow}
	st.readable.L, st.writable.L = &st.mu, &st.mu
	return st
}

// Read reads what the peer has sent: up to its half-close, which is io.EOF, or
// up to the loss of the stream, which is ErrReset.
func (st *Stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.closed:
			return 0, net.ErrClosed
		case st.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case st.received.size > 0:
			n := st.received.read(p)
			if st.received.size > 0 {
				st.readable.Signal() // for who else waits
			}
			st.consumed += uint32(n) //nolint:gosec // within the window
			st.grant()
			return n, nil
		case st.ended:
			return 0, io.EOF
		case st.err != nil:
			return 0, st.err
		}
		st.starved = true
		st.readable.Wait()
	}
}

// grant gives credit back for what was read. mu is held.
func (st *Stream) grant() {
	if st.consumed < max(initialWindow/2, st.window/4) || st.ended || st.err != nil {
		return
	}
	now := time.Now()
	more := st.consumed
	// A window within two round trips, as up to half of it is not given back
	// yet, says that the window is what limits the transfer, unless there
	// always was something to read.
	if st.epoch += st.consumed; st.epoch >= st.window {
		quick := !st.began.IsZero() && now.Sub(st.began) < 5*st.session.roundTrip(st.window)/2
		if quick && st.starved {
			more += st.session.widen(st.window)
		}
		st.epoch, st.began, st.starved = 0, now, false
	}
	st.window += more - st.consumed
	st.allowed += more
	st.consumed = 0
	st.session.control(header{typeWindow, 0, st.id, more})
	st.session.measure(now)
}

// Write sends p, as far as the peer's window allows.
func (st *Stream) Write(p []byte) (int, error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	written := 0
	for {
		n, err := st.take(len(p) - written)
		if n == 0 {
			return written, err
		}
		if !st.session.send(st, p[written:written+n]) {
			st.giveBack(n)
			continue // to learn why
		}
		written += n
	}
}

// take waits for credit, for at most n bytes.
func (st *Stream) take(n int) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		if err := st.writeError(); err != nil {
			return 0, err
		}
		if n == 0 || st.credit > 0 {
			n = int(min(int64(n), st.credit, maxPayload))
			st.credit -= int64(n)
			return n, nil
		}
		st.writable.Wait()
	}
}

func (st *Stream) giveBack(n int) {
	st.mu.Lock()
	st.credit += int64(n)
	st.mu.Unlock()
}

// writeError says why nothing can be written. mu is held.
func (st *Stream) writeError() error {
	switch {
	case st.finished:
		return net.ErrClosed
	case st.writeBy.passed:
		return os.ErrDeadlineExceeded
	default:
		return st.err
	}
}

// changed wakes whoever waits. mu is held.
func (st *Stream) changed() {
	if stalled := st.writeError() != nil; st.stalled.Swap(stalled) != stalled && stalled {
		st.session.wakeWriters()
	}
	st.readable.Broadcast()
	st.writable.Broadcast()
}

// CloseWrite tells the peer that nothing more will be sent. What it sends can
// still be read. A Write under way fails.
func (st *Stream) CloseWrite() error {
	st.mu.Lock()
	if st.finished || st.err != nil {
		defer st.mu.Unlock()
		return st.err
	}
	st.finished = true
	st.changed()
	st.mu.Unlock()
	// After what a Write has sent.
	st.writing.Lock()
	st.session.control(header{typeData, flagFIN, st.id, 0})
	st.writing.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended {
		st.session.forget(st)
	}
	return nil
}

// Close closes the stream. What was written still arrives, what was received
// is lost. It may be called more than once.
func (st *Stream) Close() error {
	st.mu.Lock()
	again := st.closed
	st.closed = true
	st.changed()
	st.mu.Unlock()
	if again {
		return nil
	}
	_ = st.CloseWrite()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readBy.stop()
	st.writeBy.stop()
	unread := st.received.size > 0
	st.received.drop()
	switch {
	case st.err != nil || st.ended:
	case unread:
		st.breakOff()
	default:
		st.lingering = time.AfterFunc(linger, func() {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.breakOff()
		})
	}
	return nil
}

// Reset breaks the stream off: the peer sees ErrReset.
func (st *Stream) Reset() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.breakOff()
}

// OnReset has f called when the stream is broken off from either side, at once
// if it is already. f must not wait, nor use the stream.
func (st *Stream) OnReset(f func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.onReset = f; st.err != nil {
		f()
	}
}

// breakOff resets the stream unless it is over. mu is held.
func (st *Stream) breakOff() {
	if st.err != nil || st.ended && st.finished {
		return
	}
	st.session.control(header{typeData, flagRST, st.id, 0})
	st.end(ErrReset)
}

// end ends both directions. mu is held.
func (st *Stream) end(err error) {
	if st.err == nil {
		st.err = err
		if st.onReset != nil {
			st.onReset()
		}
	}
	st.session.forget(st)
	st.changed()
}

// SetDeadline sets both deadlines.
func (st *Stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline makes reads fail from t on, also those under way. The zero
// time is none.
func (st *Stream) SetReadDeadline(t time.Time) error { return st.setDeadline(&st.readBy, t) }

// SetWriteDeadline makes writes fail from t on, also those under way. The zero
// time is none.
func (st *Stream) SetWriteDeadline(t time.Time) error { return st.setDeadline(&st.writeBy, t) }

func (st *Stream) setDeadline(d *deadline, t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return net.ErrClosed
	}
	d.set(&st.mu, t, st.changed)
	return nil
}

// Addr is the address of a stream, which has none.
type Addr struct{}

// Network is "tunnel".
func (Addr) Network() string { return "tunnel" }

// String is "tunnel".
func (Addr) String() string { return "tunnel" }

// LocalAddr is an [Addr].
func (st *Stream) LocalAddr() net.Addr { return Addr{} }

// RemoteAddr is an [Addr].
func (st *Stream) RemoteAddr() net.Addr { return Addr{} }
