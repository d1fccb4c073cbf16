//go:build unix

package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treeremove"
)

// RemoveTree removes a directory that nothing runs in any more, whoever of a
// sandbox has filled it. It is no error when there is none.
//
//nolint:contextcheck,nolintlint // who gives a directory up is not to leave half of it
func RemoveTree(dir string) error { return removeTree(context.Background(), dir) }

// removeTree is RemoveTree until ctx ends.
func removeTree(ctx context.Context, dir string) error {
	parent, err := os.Open(filepath.Dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	err = treeremove.Remove(ctx, int(parent.Fd()), filepath.Base(dir))
	if errors.Is(err, fs.ErrPermission) {
		err = removeForeign(ctx, parent, filepath.Base(dir), err)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: dir, Err: err}
	}
	return nil
}
