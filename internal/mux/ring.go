package mux

import (
	"bufio"
	"io"
	"math/bits"
	"sync"
)

// ring holds what was received and not read yet. One goroutine fills it, with
// space and filled, and needs the owner's lock only around these calls: the
// space that it was given is not touched by anybody else.
type ring struct {
	buf     []byte
	start   int
	size    int
	filling bool
	last    int // size of the buffer that was given back, a power of two
}

const (
	smallRing = 1 << 10
	// keptRing is how much an empty ring holds on to.
	keptRing = 256 << 10
)

// rings are buffers to use again, by the logarithm of their size.
var rings [32]sync.Pool

const (
	leastPooled = 32 << 10
	mostPooled  = 4 << 20
)

// newBuffer returns one of n bytes, a power of two.
func newBuffer(n int) []byte {
	if n >= leastPooled && n <= mostPooled {
		if b, ok := rings[bits.Len(uint(n))].Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, n)
}

func free(b []byte) {
	if n := len(b); n >= leastPooled && n <= mostPooled {
		rings[bits.Len(uint(n))].Put(&b)
	}
}

// space is where the next bytes go, at most n of them. It makes room if there
// is none.
func (r *ring) space(n int) []byte {
	if r.size == len(r.buf) || len(r.buf) < keptRing && r.size+n > len(r.buf) {
		r.grow(r.size + min(n, keptRing))
	}
	r.filling = true
	end := r.start + r.size
	if end >= len(r.buf) {
		end -= len(r.buf)
		return r.buf[end:min(end+n, r.start)]
	}
	return r.buf[end:min(end+n, len(r.buf))]
}

// filled says how much of the space was used.
func (r *ring) filled(n int) {
	r.filling = false
	r.size += n
}

func (r *ring) grow(need int) {
	size := max(smallRing, len(r.buf))
	if len(r.buf) == 0 && r.last > keptRing {
		size = r.last / 2 // not all of the way again, nor for ever
	}
	for size < need {
		size *= 2
	}
	if size == len(r.buf) {
		return
	}
	buf := newBuffer(size)
	n := copy(buf, r.buf[r.start:min(r.start+r.size, len(r.buf))])
	copy(buf[n:], r.buf[:r.size-n])
	free(r.buf)
	r.buf, r.start = buf, 0
}

// read takes bytes out.
func (r *ring) read(p []byte) int {
	total := 0
	for r.size > 0 && total < len(p) {
		n := copy(p[total:], r.buf[r.start:min(r.start+r.size, len(r.buf))])
		total += n
		r.size -= n
		if r.start += n; r.start == len(r.buf) {
			r.start = 0
		}
	}
	if r.size == 0 && !r.filling {
		r.start = 0
		if len(r.buf) > keptRing {
			r.last = len(r.buf)
			r.drop()
		}
	}
	return total
}

// drop forgets what is there. A buffer that is being filled is nobody else's.
func (r *ring) drop() {
	if !r.filling {
		free(r.buf)
	}
	r.buf, r.start, r.size = nil, 0, 0
}

// discard skips a payload that nobody wants.
func discard(r *bufio.Reader, n uint32) error {
	_, err := io.CopyN(io.Discard, r, int64(n))
	return err
}
