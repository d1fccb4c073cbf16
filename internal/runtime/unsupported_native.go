//go:build !linux

package runtime

import (
	"context"
	"fmt"
	"os"
	"runtime"
)

func newNative(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: it needs Linux, this is %s", ErrUnsupported, runtime.GOOS)
}

func newLandlock(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: it needs Linux, this is %s", ErrUnsupported, runtime.GOOS)
}

// ImageOwner says whose the files of layers have to be: nobody's, since there
// are no sandboxes with a root of their own.
func ImageOwner() (Owner, error) {
	return Owner{}, fmt.Errorf("%w: images need Linux", ErrUnsupported)
}

// OwnFiles gives files of an image to users of sandboxes: there are none.
func OwnFiles(context.Context, string, *os.File) error {
	return fmt.Errorf("%w: images need Linux", ErrUnsupported)
}

func whyNoSubordinates() error { return errNoSubordinates }

func newOCI(Config) (Runtime, error) {
	return nil, fmt.Errorf("%w: containers need Linux, this is %s", ErrUnsupported, runtime.GOOS)
}
