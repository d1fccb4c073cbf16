// Package treecopy copies a file tree that may be hostile and may change while
// it is read. Names are looked up below open directories only and symbolic
// links are copied, never followed, so that no tree can lead the copy out of
// itself. One directory on each side is open at a time, however deep the tree.
package treecopy

import (
	"errors"
	"fmt"
)

// ErrTooLarge reports a tree that does not fit.
var ErrTooLarge = errors.New("the files take more than the capacity")

// Options say what of a tree is copied.
type Options struct {
	// Limit bounds the size of the copy, counted as in Stats; 0 is no limit.
	Limit int64 `json:"limit,omitempty"`
	// Skip are paths that are left out with what is below them, relative to
	// the root and clean.
	Skip []string `json:"skip,omitempty"`
	// Whiteouts keeps what overlayfs notes in a layer about files removed from
	// those below. Otherwise they are left out.
	Whiteouts bool `json:"whiteouts,omitempty"`
	// Under puts the tree under one that is in the target already, as
	// overlayfs shows a layer under another: what is there stays, with what it
	// hides, and counts no more. Whiteouts is to be set, too.
	Under bool `json:"under,omitempty"`
}

// Stats are what was copied.
type Stats struct {
	// Bytes is the size of the copy on a file system with blocks of 4 KiB:
	// the data of files without holes, a block for each directory, and 256
	// bytes for each inode. Files with several names count once.
	Bytes int64 `json:"bytes"`
	// Entries is how many names there are.
	Entries int64 `json:"entries"`
}

// Add adds what else was copied, and returns what is left of a limit: 1 where
// nothing more fits.
func (s *Stats) Add(more Stats, limit int64) int64 {
	s.Bytes += more.Bytes
	s.Entries += more.Entries
	if limit <= 0 {
		return 0
	}
	return max(limit-more.Bytes, 1)
}

const (
	blockSize = 4 << 10
	inodeSize = 256
)

// blocks rounds up to whole blocks.
func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// charge counts what is about to be copied.
func (s *Stats) charge(n, limit int64) error {
	if limit > 0 && n > limit-s.Bytes {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	s.Bytes += n
	return nil
}
