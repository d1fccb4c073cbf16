//go:build !unix

package runtime

import (
	"fmt"
	"runtime"
)

func newProcess(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: there is no runtime for %s", ErrUnsupported, runtime.GOOS)
}
