package session

import (
	"context"
	"io"
	"os"
	"time"
)

const (
	// pumpSize is how much is read from a command at once.
	pumpSize = 64 << 10
	// drainLimit is as much as a pipe can hold that was written before the
	// command ended; what comes after it is from a background process.
	drainLimit = 1 << 20
	// drainPauses is how many times Options.Drain is waited in all for what
	// keeps coming in smaller pieces.
	drainPauses = 5
)

// output is one stream of a command.
type output struct {
	replay
	closed bool          // nothing is added any more
	room   chan struct{} // has a token when there may be room again
}

func newOutput(o *Options) output {
	return output{
		replay: replay{limit: o.Buffer, spill: &spill{dir: o.Dir, limit: o.Spill, budget: o.Budget}},
		room:   make(chan struct{}, 1),
	}
}

// pump reads a stream until its other end is closed, or, once the command has
// ended, until nothing it can have written is left.
func (s *Session) pump(i Stream, from Output) {
	buffer := make([]byte, min(pumpSize, s.opts.Buffer))
	open := s.copyOutput(i, from, buffer)
	s.mu.Lock()
	s.out[i].closed = true
	for a := range s.attached {
		a.signal()
	}
	s.mu.Unlock()
	if !open || !s.store.begin(func() { s.discard(from, buffer) }) {
		_ = from.Close()
	}
}

// copyOutput reports whether somebody still holds the other end. What the
// command wrote is there to be read when it has ended, so that a read from then
// on that waits, or does not fill its buffer, has all of it. A little longer is
// waited for what its children may have to add.
func (s *Session) copyOutput(i Stream, from Output, buffer []byte) (open bool) {
	after, again := 0, false
	var waited time.Duration
	for {
		ended := s.hasExited()
		if ended {
			_ = from.SetReadDeadline(time.Now().Add(s.opts.Drain))
		}
		begin := time.Now()
		n, err := from.Read(buffer)
		if ended {
			after += n
			waited += time.Since(begin)
		}
		s.keepOutput(i, buffer[:n])
		switch {
		case err != nil && os.IsTimeout(err) && !again && s.hasExited():
			// The deadline may have passed before the read began.
			again = true
		case err != nil:
			return os.IsTimeout(err)
		case after > drainLimit, waited > drainPauses*s.opts.Drain && n < len(buffer):
			return true
		default:
			again = false
		}
	}
}

// discard keeps a pipe flowing: a server that a command left in the background
// must not die of its next log line.
func (s *Session) discard(from Output, buffer []byte) {
	defer from.Close()
	_ = from.SetReadDeadline(time.Time{})
	defer context.AfterFunc(s.store.ctx, func() { _ = from.SetReadDeadline(time.Unix(1, 0)) })()
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{from}, buffer)
}

// keepOutput adds bytes to a stream, and waits for room if there is none.
func (s *Session) keepOutput(i Stream, p []byte) {
	if len(p) == 0 {
		return
	}
	out := &s.out[i]
	for {
		s.mu.Lock()
		wait := s.makeRoom(i, len(p))
		if wait == 0 {
			out.write(p)
			for a := range s.attached {
				a.signal()
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-out.room:
		case <-timer.C:
		case <-s.store.ctx.Done():
		}
		timer.Stop()
	}
}

// makeRoom makes room for n bytes in a stream, or says how long to wait for
// somebody to read. mu is held.
func (s *Session) makeRoom(i Stream, n int) time.Duration {
	out := &s.out[i]
	excess := n - out.free()
	if excess <= 0 {
		return 0
	}
	now := time.Now()
	over := s.store.ctx.Err() != nil
	l := s.leader(i, now)
	if l.left > 0 {
		s.readAt = now
		if out.start+int64(excess) <= l.offset {
			out.drop(excess)
			return 0
		}
		if !l.lenient && !over {
			return l.left
		}
		out.spill.forget(l.offset)
	}
	if out.save(excess) {
		return 0
	}
	excess = n - out.free() // some of it may have been saved
	if wait := s.readAt.Add(s.opts.Patience).Sub(now); wait > 0 && !l.lenient && !over && !s.hasExited() {
		return wait
	}
	out.overwrite(excess)
	return 0
}

// leading is the reader that is furthest ahead.
type leading struct {
	offset  int64         // up to which nothing has to be kept for it
	left    time.Duration // until it counts as stalled; 0 if there is none
	lenient bool          // some reader cannot acknowledge now
}

// lenientLag is how much may be on its way to a reader that cannot
// acknowledge, in the buffers of a connection.
const lenientLag = 16 << 20

// leader finds the leading reader of a stream. mu is held.
func (s *Session) leader(i Stream, now time.Time) (l leading) {
	if s.joining > 0 {
		l.left = s.opts.Stall
	}
	for a := range s.attached {
		left := s.opts.Stall
		if !a.idle {
			left -= now.Sub(a.progress)
		}
		if left <= 0 {
			continue
		}
		has := a.acked[i]
		if a.lenient {
			has = max(has, a.next[i]-lenientLag)
			l.lenient = true
		}
		l.offset = max(l.offset, has)
		l.left = max(l.left, left)
	}
	return l
}

// wakePumps lets pumps look again whether there is room.
func (s *Session) wakePumps() {
	for i := range s.out {
		select {
		case s.out[i].room <- struct{}{}:
		default:
		}
	}
}
