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
	buf  []byte // nil at first
	next []byte // of buf, not yet read
	full int    // reads in a row that found as much as they asked for

	reads atomic.Uint64 // that returned something
}

const (
	readAheadSize = 64 << 10
	fullReads     = 4
)

func (r *readAhead) Read(p []byte) (int, error) {
	if len(r.next) == 0 {
		if r.buf == nil && r.full >= fullReads {
			r.buf = make([]byte, readAheadSize)
		}
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
