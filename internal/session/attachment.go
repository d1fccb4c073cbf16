package session

import (
	"context"
	"io"
	"time"
)

// Attachment is one reader of a command. Next is for one goroutine at a time;
// the other methods are safe for concurrent use.
type Attachment struct {
	*Session

	wake   chan struct{}
	writer *writer

	// Guarded by the session's mu.
	next     [streams]int64 // offset of the byte to hand out
	acked    [streams]int64
	fresh    [streams]bool // nothing was handed out yet
	last     Stream
	progress time.Time // when something was last handed out or acknowledged
	idle     bool      // all there is was handed out
	lenient  bool
	left     bool
}

// Chunk is a piece of output.
type Chunk struct {
	Stream Stream
	Offset int64 // of its first byte
	Data   []byte
}

// attach adds a reader that begins at the given offsets. Offsets beyond the
// end count as the end: clients that replaced bytes by longer ones ask for
// more than there is.
func (s *Session) attach(r Resume) (*Attachment, error) {
	from := [streams]int64{r.Stdout, r.Stderr}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, ErrExpired
	}
	a := &Attachment{Session: s, wake: make(chan struct{}, 1), last: Stderr, progress: time.Now()}
	for i := range from {
		a.next[i] = min(max(from[i], 0), s.out[i].end)
		a.acked[i] = a.next[i]
		a.fresh[i] = true
	}
	s.attached[a] = struct{}{}
	s.adopt(a, r.Writer)
	stopTimer(s.idle)
	s.wakePumps()
	return a, nil
}

// Detach ends the attachment. The last one to go starts the idle timer, or
// kills the command if it was to die with its client.
func (a *Attachment) Detach() {
	a.mu.Lock()
	if a.left {
		a.mu.Unlock()
		return
	}
	a.leave()
	a.freeIfUnread()
	a.mu.Unlock()
	a.abandonIfUnread()
}

// leave takes an attachment out. mu is held.
func (a *Attachment) leave() {
	a.left = true
	delete(a.attached, a)
	a.release()
	a.readAt = time.Now()
	a.signal()
	a.wakePumps()
}

// abandonIfUnread acts on a command that has no attachment left.
func (s *Session) abandonIfUnread() {
	select {
	case <-s.started:
	default:
		return // is called again then
	}
	s.mu.Lock()
	if s.err != nil || len(s.attached) > 0 || s.joining > 0 {
		s.mu.Unlock()
		return
	}
	if s.outcome != nil {
		s.park()
		s.mu.Unlock()
		if s.spec.Keep == 0 {
			s.store.release(s)
		}
		return
	}
	defer s.mu.Unlock()
	stopTimer(s.idle)
	switch {
	case s.spec.KillOnDisconnect:
		s.idle = time.AfterFunc(0, s.killIdle)
	case s.spec.Idle >= 0:
		s.idle = time.AfterFunc(s.spec.Idle, s.killIdle)
	}
}

func (s *Session) killIdle() {
	s.mu.Lock()
	unread := len(s.attached) == 0 && s.joining == 0
	s.mu.Unlock()
	if unread {
		s.Kill()
	}
}

func (a *Attachment) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Next returns the next piece of output, in buffer, which should be as long
// as Options.Chunk. It waits for one, and returns io.EOF when the command and
// its output have ended. Chunks of a stream follow on one another, unless this
// reader fell so far behind that bytes were dropped.
func (a *Attachment) Next(ctx context.Context, buffer []byte) (Chunk, error) {
	buffer = buffer[:min(len(buffer), a.opts.Chunk)]
	for {
		chunk, done, err := a.take(buffer)
		if done || err != nil {
			return chunk, err
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return Chunk{}, ctx.Err()
		}
	}
}

// take returns a chunk if there is one.
func (a *Attachment) take(buffer []byte) (chunk Chunk, done bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = false
	if a.left {
		return chunk, false, ErrDetached
	}
	window := a.window()
	if window <= 0 {
		return chunk, false, nil // an acknowledgement comes first
	}
	buffer = buffer[:min(len(buffer), window)]
	// The streams take turns, so that neither waits for the other's end.
	for range streams {
		a.last = (a.last + 1) % streams
		if chunk, err := a.cut(a.last, buffer); err != nil || len(chunk.Data) > 0 {
			a.progress = time.Now()
			return chunk, true, err
		}
	}
	a.idle = true
	if a.outcome != nil {
		return chunk, false, io.EOF
	}
	return chunk, false, nil
}

// window is how much may be handed out now. mu is held.
func (a *Attachment) window() int {
	if a.lenient {
		return a.opts.Chunk
	}
	window := a.opts.Window
	for i := range a.next {
		window -= int(a.next[i] - a.acked[i])
	}
	if window < min(a.opts.Chunk, a.opts.Window) {
		return 0 // rather none than a short one
	}
	return window
}

// cut returns what comes next of a stream. mu is held.
func (a *Attachment) cut(i Stream, buffer []byte) (Chunk, error) {
	out := &a.out[i]
	dropped := a.next[i] < out.base()
	if dropped {
		a.next[i] = out.base()
	}
	n, err := out.readAt(buffer, a.next[i])
	if err != nil {
		return Chunk{}, err
	}
	data := buffer[:n]
	if dropped {
		skip := continuation(data)
		a.next[i] += int64(skip)
		data = data[skip:]
	}
	if last := out.closed && a.next[i]+int64(len(data)) == out.end; !last {
		data = data[:len(data)-incomplete(data)]
	}
	chunk := Chunk{Stream: i, Offset: a.next[i], Data: data}
	a.next[i] += int64(len(data))
	return chunk, nil
}

// Positions are the offsets after what was handed out so far, to be
// acknowledged once it has arrived.
func (a *Attachment) Positions() (stdout, stderr int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next[Stdout], a.next[Stderr]
}

// Unacknowledged is how many bytes were handed out and not acknowledged.
func (a *Attachment) Unacknowledged() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next[Stdout] - a.acked[Stdout] + a.next[Stderr] - a.acked[Stderr]
}

// Ack says that the reader has everything up to the given offsets.
func (a *Attachment) Ack(stdout, stderr int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ack([streams]int64{stdout, stderr})
}

func (a *Attachment) ack(to [streams]int64) {
	moved := false
	for i := range to {
		if to[i] > a.acked[i] {
			a.acked[i] = min(to[i], a.next[i])
			moved = true
		}
	}
	if moved {
		a.progress = time.Now()
		a.signal()
		a.wakePumps()
	}
}

// SetLenient lifts the window while acknowledgements cannot be received.
func (a *Attachment) SetLenient(lenient bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lenient = lenient
	a.signal()
	a.wakePumps()
}

// Outcome is how the command ended, once Next has returned io.EOF.
func (a *Attachment) Outcome() Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.outcome == nil {
		return Outcome{Err: ErrClosed}
	}
	return *a.outcome
}
