//go:build !unix

package main

import (
	"errors"
	"os"
)

// lockFile fails: no server runs here.
func lockFile(*os.File) error { return errors.ErrUnsupported }
