package session

import (
	"context"
	"strconv"
)

// writer is one client's hold on the standard input, over all its attachments.
// What it counts tells the client how much of its input arrived when a
// connection broke, whatever others write meanwhile.
type writer struct {
	id       string
	received int64       // bytes, those that were thrown away included
	owner    *Attachment // nil while the client is away
}

// maxWriters bounds how many clients are remembered that are away.
const maxWriters = 64

// adopt gives an attachment its writer: the one of that id, which is taken from
// the attachment that had it, or a new one. mu is held.
func (s *Session) adopt(a *Attachment, id string) {
	w := s.writers[id]
	if w == nil {
		s.lastWriter++
		w = &writer{id: strconv.Itoa(s.lastWriter)}
		s.writers[w.id] = w
	}
	if w.owner != nil {
		w.owner.leave()
	}
	w.owner, a.writer = a, w
}

// release lets go of the writer, and remembers it for a client that may come
// back for it. mu is held.
func (a *Attachment) release() {
	w := a.writer
	if w.owner != a {
		return
	}
	w.owner = nil
	if w.received == 0 {
		delete(a.writers, w.id)
	}
	if len(a.writers) <= maxWriters {
		return
	}
	for id, other := range a.writers {
		if other.owner == nil && other != w {
			delete(a.writers, id)
			return
		}
	}
}

// Writer names the client's hold on the standard input, for [Resume.Writer].
func (a *Attachment) Writer() string { return a.writer.id }

// Received is how many bytes of input came from this client, what was thrown
// away included.
func (a *Attachment) Received() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writer.received
}

// Input writes to the command's standard input, in the order of the calls. It
// waits while more than Options.Input bytes wait for the command to read them,
// until the context ends. Input for an ended command, after CloseInput, or from
// an attachment that was left is thrown away. The bytes are copied.
func (a *Attachment) Input(ctx context.Context, data []byte) error {
	for {
		room := a.input.whenRoom()
		if a.TryInput(data) {
			return nil
		}
		select {
		case <-room:
		case <-a.input.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryInput is Input if that need not wait. It reports whether it did.
func (a *Attachment) TryInput(data []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writer.owner != a {
		return true
	}
	if !a.input.try(data) {
		return false
	}
	a.writer.received += int64(len(data))
	return true
}

// CloseInput ends the standard input after what was written so far. It does
// nothing with a terminal, or from an attachment that was left.
func (a *Attachment) CloseInput() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writer.owner == a {
		a.closeInput()
	}
}
