package session

// replay is what is kept of a stream: the newest bytes in memory, older ones
// perhaps in a file. It does no locking.
type replay struct {
	ring  []byte // grows up to limit
	limit int
	start int64 // offset of the oldest byte in memory
	end   int64 // offset of the byte to come
	spill *spill
}

// minRing is the memory a stream begins with.
const minRing = 4 << 10

// base is the offset of the oldest byte that is kept.
func (r *replay) base() int64 {
	if r.spill != nil && r.spill.end > r.spill.base {
		return r.spill.base
	}
	return r.start
}

// free is how much fits without giving up what is in memory.
func (r *replay) free() int { return r.limit - int(r.end-r.start) }

// write adds bytes, for which there must be room.
func (r *replay) write(p []byte) {
	if len(p) == 0 {
		return
	}
	held := int(r.end - r.start)
	if need := held + len(p); need > len(r.ring) {
		r.grow(min(max(need, 2*len(r.ring), minRing), r.limit))
	}
	at := int(r.end % int64(len(r.ring)))
	n := copy(r.ring[at:], p)
	copy(r.ring, p[n:])
	r.end += int64(len(p))
}

// grow moves what is held to its place in a larger ring.
func (r *replay) grow(size int) {
	old := *r
	r.ring = make([]byte, size)
	for off := old.start; off < old.end; {
		piece := old.piece(off)
		at := int(off % int64(size))
		off += int64(copy(r.ring[at:], piece))
	}
}

// piece is the memory from off up to the end or to where the ring turns.
func (r *replay) piece(off int64) []byte {
	at := int(off % int64(len(r.ring)))
	return r.ring[at:min(len(r.ring), at+int(r.end-off))]
}

// drop gives up the oldest n bytes in memory, and all older ones.
func (r *replay) drop(n int) {
	r.start += int64(n)
	r.spill.clear()
}

// save moves the oldest n bytes in memory to the file, and reports whether
// there was room for them. What does not fit stays.
func (r *replay) save(n int) bool {
	for n > 0 {
		piece := r.piece(r.start)
		piece = piece[:min(n, len(piece))]
		if !r.spill.append(r.start, piece) {
			return false
		}
		r.start += int64(len(piece))
		n -= len(piece)
	}
	return true
}

// overwrite moves the oldest n bytes in memory to the file in place of the
// oldest ones there.
func (r *replay) overwrite(n int) {
	upTo := r.start + int64(n)
	r.spill.discard(int64(n))
	if !r.save(n) {
		r.drop(int(upTo - r.start))
	}
}

// readAt copies bytes from off on, which must be kept, and returns how many.
func (r *replay) readAt(p []byte, off int64) (int, error) {
	if off < r.start {
		return r.spill.readAt(p[:min(int64(len(p)), r.start-off)], off)
	}
	n := 0
	for n < len(p) && off < r.end {
		c := copy(p[n:], r.piece(off))
		n += c
		off += int64(c)
	}
	return n, nil
}

// shrink gives back memory that a finished stream does not use.
func (r *replay) shrink() {
	if held := int(r.end - r.start); held < len(r.ring)/2 {
		r.grow(max(held, 1))
	}
}
