package transport

import (
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge reports a body beyond the bound its reader set.
var ErrTooLarge = errors.New("answer is too large")

// ReadAll reads r up to limit bytes and fails with ErrTooLarge beyond.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return b, err
	}
	if int64(len(b)) > limit {
		return b[:limit], fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}

// ReadHead reads the first limit bytes of r and reports errors only if there
// is nothing to show for it.
func ReadHead(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if len(b) > 0 {
		return b, nil
	}
	return nil, err
}
