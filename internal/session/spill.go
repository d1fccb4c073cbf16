package session

import (
	"fmt"
	"os"
	"sync/atomic"
)

// Budget bounds the disk space of all commands that share it. It is safe for
// concurrent use.
type Budget struct {
	left atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := new(Budget)
	b.left.Store(bytes)
	return b
}

func (b *Budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *Budget) give(n int64) { b.left.Add(n) }

// spillStep is how much of the budget is taken at a time.
const spillStep = 1 << 20

// spill is a file of limited size that is written round and round: a byte has
// its place by its offset. It does no locking.
type spill struct {
	dir    string
	limit  int64
	budget *Budget

	file      *os.File
	taken     int64 // of the budget
	base, end int64 // offsets of what is in it
	broken    bool  // the disk failed: as good as full, for good
}

// append adds what follows on the bytes in the file, all of it or nothing.
func (s *spill) append(off int64, p []byte) bool {
	if s.base == s.end {
		s.base, s.end = off, off
	}
	held := s.end - s.base + int64(len(p))
	if s.broken || held > s.limit || !s.reserve(held) || !s.open() {
		return false
	}
	for n := 0; n < len(p); {
		at := (off + int64(n)) % s.limit
		piece := p[n:min(int64(len(p)), int64(n)+s.limit-at)]
		if _, err := s.file.WriteAt(piece, at); err != nil {
			s.broken = true
			return false
		}
		n += len(piece)
	}
	s.end += int64(len(p))
	return true
}

// reserve takes more of the budget. What was taken stays so until the file
// goes, since the disk space does.
func (s *spill) reserve(size int64) bool {
	if size <= s.taken {
		return true
	}
	more := max(size-s.taken, min(spillStep, s.limit-s.taken))
	if !s.budget.take(more) {
		return false
	}
	s.taken += more
	return true
}

func (s *spill) open() bool {
	if s.file != nil {
		return true
	}
	file, err := os.CreateTemp(s.dir, "output-")
	if err != nil {
		s.broken = true
		return false
	}
	// Where an open file has to keep its name, close removes it.
	_ = os.Remove(file.Name())
	s.file = file
	return true
}

// discard gives up the oldest n bytes.
func (s *spill) discard(n int64) { s.base = min(s.base+n, s.end) }

// forget gives up what comes before off.
func (s *spill) forget(off int64) { s.base = max(s.base, min(off, s.end)) }

// clear gives up all of it, but not yet the file: it may be needed again soon.
func (s *spill) clear() {
	if s != nil {
		s.base = s.end
	}
}

func (s *spill) readAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		at := (off + int64(n)) % s.limit
		piece := p[n:min(int64(len(p)), int64(n)+s.limit-at)]
		if _, err := s.file.ReadAt(piece, at); err != nil {
			return n, fmt.Errorf("kept output: %w", err)
		}
		n += len(piece)
	}
	return len(p), nil
}

// close gives everything back.
func (s *spill) close() {
	s.clear()
	s.broken = true
	s.budget.give(s.taken)
	s.taken = 0
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}
