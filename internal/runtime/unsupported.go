//go:build !unix

package runtime

import (
	"fmt"
	"os"
	"runtime"
)

// RemoveTree removes a directory.
func RemoveTree(dir string) error { return os.RemoveAll(dir) }

// RemoveSnapshot removes what no runtime here has made.
func RemoveSnapshot(dir string) error { return os.RemoveAll(dir) }

func newProcess(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: there is no runtime for %s", ErrUnsupported, runtime.GOOS)
}
