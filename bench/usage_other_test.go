//go:build !linux

package bench

import (
	"errors"
	"time"
)

// processTime is 0 where it is not known; the comparison is left out then.
func processTime() time.Duration { return 0 }

func peakMemory() (int64, error) { return 0, errors.ErrUnsupported }
