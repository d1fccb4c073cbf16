//go:build !linux

package runtime

import (
	"fmt"
	"runtime"
)

func newNative(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: it needs Linux, this is %s", ErrUnsupported, runtime.GOOS)
}
