package session

import (
	"bytes"
	"io"
	"sync"
)

// input is what waits to be written to a command.
type input struct {
	to    io.WriteCloser
	limit int

	mu     sync.Mutex
	queue  [][]byte
	size   int
	ended  bool          // nothing is added any more
	broken bool          // the command reads no more
	some   chan struct{} // has a token when there is something to do
	room   chan struct{} // is replaced when there is room again
	done   chan struct{} // closed when nothing is written any more
}

// inputPiece is up to which length inputs are joined: what a client sends byte
// by byte is not to take forty times its size.
const inputPiece = 4 << 10

func newInput(to io.WriteCloser, limit int) *input {
	return &input{
		to: to, limit: limit,
		some: make(chan struct{}, 1),
		room: make(chan struct{}),
		done: make(chan struct{}),
	}
}

// whenRoom is closed when there is room again.
func (in *input) whenRoom() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.room
}

// try queues bytes if there is room. What nobody reads any more needs none.
func (in *input) try(data []byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.broken || len(data) == 0 {
		return true
	}
	// One that is larger than the limit has to get through, too.
	if in.size > 0 && in.size+len(data) > in.limit {
		return false
	}
	if n := len(in.queue); n > 0 && len(in.queue[n-1])+len(data) <= inputPiece {
		in.queue[n-1] = append(in.queue[n-1], data...)
	} else {
		in.queue = append(in.queue, bytes.Clone(data))
	}
	in.size += len(data)
	in.wake()
	return true
}

// end closes the input after what is queued.
func (in *input) end() {
	in.mu.Lock()
	in.ended = true
	in.mu.Unlock()
	in.wake()
}

// stop closes the input now.
func (in *input) stop() {
	in.mu.Lock()
	in.ended, in.broken = true, true
	in.queue, in.size = nil, 0
	in.mu.Unlock()
	_ = in.to.Close()
	in.wake()
}

func (in *input) wake() {
	select {
	case in.some <- struct{}{}:
	default:
	}
}

// write writes what is queued until the input ends.
func (in *input) write() {
	defer close(in.done)
	for {
		data, more := in.take()
		if !more {
			_ = in.to.Close()
			return
		}
		if data == nil {
			<-in.some
			continue
		}
		if _, err := in.to.Write(data); err != nil {
			in.mu.Lock()
			in.broken, in.queue, in.size = true, nil, 0
			in.mu.Unlock()
			_ = in.to.Close()
			return
		}
		in.mu.Lock()
		in.size = max(in.size-len(data), 0)
		close(in.room)
		in.room = make(chan struct{})
		in.mu.Unlock()
	}
}

// take returns what to write next, or nil when there is nothing yet.
func (in *input) take() (data []byte, more bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue) == 0 {
		return nil, !in.ended
	}
	data = in.queue[0]
	in.queue[0] = nil
	in.queue = in.queue[1:]
	return data, true
}
