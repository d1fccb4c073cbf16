package sandboxserver

import (
	"math"
	"testing"
)

func TestSaturation(t *testing.T) {
	t.Parallel()
	if add(math.MaxInt64, 1) != math.MaxInt64 || add(1, 2) != 3 || times(math.MaxInt64/2, 3) != math.MaxInt64 || times(2, 3) != 6 || times(5, 0) != 0 {
		t.Error("sums wrap around")
	}
}
