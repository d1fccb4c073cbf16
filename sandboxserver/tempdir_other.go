//go:build !unix

package sandboxserver

import "os"

// tempDir is a temporary data directory.
type tempDir struct{ name string }

func makeTempDir() (*tempDir, error) {
	name, err := os.MkdirTemp("", "langsandbox-")
	return &tempDir{name}, err
}

func (d *tempDir) remove() error { return os.RemoveAll(d.name) }

// sweepTempDirs leaves all where there is no runtime.
func sweepTempDirs(string, func(string, error)) {}
