//go:build !unix

package runtime

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// RemoveTree removes a directory.
func RemoveTree(dir string) error { return os.RemoveAll(dir) }

// Sync does nothing where there is no runtime.
func Sync(string) error { return nil }

func newProcess(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: there is no runtime for %s", ErrUnsupported, runtime.GOOS)
}

// errDisabled is what no kernel here says.
var errDisabled = errors.New("switched off")

func deviceOf(string) uint64 { return 0 }
