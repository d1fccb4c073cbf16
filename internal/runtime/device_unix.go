//go:build unix

package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// errDisabled is what the kernel says of a part that is switched off.
const errDisabled = syscall.EOPNOTSUPP

// deviceOf identifies the file system that a directory is on, or will be.
func deviceOf(dir string) uint64 {
	var st syscall.Stat_t
	for errors.Is(syscall.Stat(dir, &st), os.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return uint64(st.Dev) //nolint:unconvert // not everywhere
}
