package sandboxserver

import "math"

// add sums two amounts that are not negative and stops at the largest number,
// so that no request wraps a quota around.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times multiplies two amounts that are not negative, in the same way.
func times(a, b int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}
