//go:build !linux

package image

import (
	"archive/tar"
	"io/fs"
	"os"
)

const supported = false

func isWhiteout(fs.FileInfo) bool                         { return false }
func (u *unpacker) hide(_, _ string) error                { return ErrUnsupported }
func (u *unpacker) fifo(string, *tar.Header) error        { return ErrUnsupported }
func setOpaque(*os.File) error                            { return ErrUnsupported }
func isOpaque(*os.File) bool                              { return false }
func (u *unpacker) setXattrs(*os.File, *tar.Header) error { return nil }
func isFault(error) bool                                  { return true }
func syncTree(string) error                               { return ErrUnsupported }
func lockDir(string) (*os.File, error)                    { return nil, ErrUnsupported }
