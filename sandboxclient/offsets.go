package sandboxclient

import (
	"bytes"
	"unicode/utf8"
)

// track follows one output stream by byte offsets, over all connections. A
// character U+FFFD may stand for one byte of another encoding, so after a
// chunk that has some the next offset is known only within limits, until the
// next chunk tells.
type track struct {
	low, high int64 // least and most that the next offset may be
	// start and text are the last chunk, if low and high differ: it is asked
	// for again on a new connection, to be told apart by its text.
	start int64
	text  []byte
	known []byte // text that a new connection is expected to repeat
	// lastAt and lastLen are the last chunk of this connection, whatever of it
	// was new; lastLen is 0 before the first.
	lastAt  int64
	lastLen int

	lost, repeated int64
}

func newTrack(from int64) track { return track{low: from, high: from, start: from} }

var replacement = []byte("\uFFFD")

// resume is the offset to ask a new connection for.
func (t *track) resume() int64 {
	if t.low == t.high {
		return t.high
	}
	return t.start
}

// reconnect prepares for the output of a new connection, which begins at
// resume.
func (t *track) reconnect() {
	t.known, t.lastLen = nil, 0
	if t.low != t.high {
		t.known = t.text
	}
}

// accept takes a chunk and returns the part that is new, and its offset.
func (t *track) accept(data []byte, offset int64, has bool) (fresh []byte, at int64) {
	if has && len(data) > 0 {
		if offset == t.lastAt && len(data) == t.lastLen {
			t.repeated += int64(len(data))
			return nil, t.high // on one connection, nothing else begins there
		}
		t.lastAt, t.lastLen = offset, len(data)
	}
	if t.known != nil {
		if rest, ok := t.recognise(data, offset, has); ok {
			return t.extend(rest)
		}
	}
	if !has {
		t.high = t.low // nothing will tell, and what comes twice is better than what does not come
		return t.extend(data)
	}
	switch {
	case offset > t.high:
		t.lost += offset - t.high
	case offset < t.low && offset == t.start && len(t.text) > 0 && bytes.HasPrefix(data, t.text):
		t.repeated += int64(len(t.text))
		return t.extend(data[len(t.text):])
	case offset < t.low:
		if data, offset = t.trim(data, offset); len(data) == 0 {
			return nil, t.high
		}
	}
	t.low, t.high = offset, offset
	return t.extend(data)
}

// recognise takes from data what is known already, after a new connection was
// asked to repeat it.
func (t *track) recognise(data []byte, offset int64, has bool) (rest []byte, ok bool) {
	first := len(t.known) == len(t.text)
	n := min(len(data), len(t.known))
	if has && first && offset != t.start || !bytes.Equal(data[:n], t.known[:n]) {
		t.known = nil
		return nil, false
	}
	t.repeated += int64(n)
	if t.known = t.known[n:]; len(t.known) == 0 {
		t.known = nil
	}
	return data[n:], true
}

// trim takes from data what lies before the next offset.
func (t *track) trim(data []byte, offset int64) ([]byte, int64) {
	n := 0
	for n < len(data) && offset < t.low {
		char, size := utf8.DecodeRune(data[n:])
		n += size
		if char == utf8.RuneError {
			size = 1
		}
		offset += int64(size)
	}
	t.repeated += int64(n)
	return data[n:], offset
}

// extend sets the next offset behind data, which begins at the present one.
func (t *track) extend(data []byte) (fresh []byte, at int64) {
	at = t.high
	if t.low == t.high {
		t.start, t.text = at, t.text[:0]
	}
	replaced := bytes.Count(data, replacement)
	if replaced > 0 || t.low != t.high {
		t.text = append(t.text, data...)
	}
	t.high += int64(len(data))
	t.low += int64(len(data)) - 2*int64(replaced)
	return data, at
}
