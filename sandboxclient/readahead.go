package sandboxclient

import (
	"io"
	"sync/atomic"
)

// readAhead reads from a connection in pieces larger than the WebSocket
// library does, once there is much to read: that is worth a good deal for
// small frames, and costs memory for each open command.
type readAhead struct {
	io.ReadWriteCloser
	idle func() // is called before it waits for the connection
	buf  []byte // nil at first
	next []byte // of buf, not yet read
	full int    // reads in a row that found as much as they asked for

	reads atomic.Uint64 // that returned something
}

// The buffer grows when that many reads in a row were full.
const (
	smallReadAhead = 64 << 10
	largeReadAhead = 256 << 10
	fullReads      = 4
)

func (r *readAhead) Read(p []byte) (int, error) {
	if len(r.next) == 0 {
		if r.idle != nil {
			r.idle()
		}
		r.grow()
		if len(p) >= len(r.buf) {
			n, err := r.ReadWriteCloser.Read(p)
			r.count(n, len(p))
			return n, err
		}
		n, err := r.ReadWriteCloser.Read(r.buf)
		r.next = r.buf[:n]
		r.count(n, len(r.buf))
		if n == 0 {
			return 0, err
		}
		// An error comes again with the next read.
	}
	n := copy(p, r.next)
	r.next = r.next[n:]
	return n, nil
}

// grow makes the buffer larger if it is worth it; nothing is in it.
func (r *readAhead) grow() {
	if r.full < fullReads || len(r.buf) == largeReadAhead {
		return
	}
	size := smallReadAhead
	if r.buf != nil {
		size = largeReadAhead
	}
	r.buf, r.full = make([]byte, size), 0
}

func (r *readAhead) count(n, room int) {
	if n > 0 {
		r.reads.Add(1)
	}
	if n == room {
		r.full++
	} else {
		r.full = 0
	}
}
