package sandboxclient

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
)

// CopyTo copies a directory of the sandbox into a local one: one command (tar)
// that sends all of it as one stream, nothing of which is held in memory. Files
// replace those of the same name; what else is there stays. Permissions, without
// set-user-ID and the like, and times are kept, owners are not. A relative
// directory starts where commands do.
//
// What the sandbox sends is not trusted. Nothing is written outside of root,
// or through a symbolic link; a link is made only if it leads to somewhere in
// the tree, by a path without detours. What is left out for that, and special
// files, are named in the error, which then matches [ErrUnsafe], after all else
// was copied. What is not to be copied is sent all the same, and passed over.
//
// The sandbox needs sh, tar and base64. A failed copy may leave part of the
// tree. Errors are *fs.PathError, or several joined: of a path in root, else of
// dir.
func (s *Sandbox) CopyTo(ctx context.Context, root *os.Root, dir string, opts *CopyOptions) error {
	err := s.copyTo(ctx, root, dir, pointed(opts))
	if _, isPath := errors.AsType[*fs.PathError](err); err == nil || isPath {
		return err
	}
	return &fs.PathError{Op: "copy", Path: dir, Err: err}
}

// packScript ends as tar does. What base64 prints must not be in its way.
const packScript = `if ! [ -d "$a" ]; then
	if [ -e "$a" ]; then echo ": Not a directory" >&2; else echo ": No such file or directory" >&2; fi
	exit 1
fi
cd -- "$a" || exit
exec 4>&1
s=$( { { tar -cf - . 3>&- 4>&-; echo $? >&3; } | base64 >&4 3>&-; } 3>&1 )
exit "$s"
`

func (s *Sandbox) copyTo(ctx context.Context, root *os.Root, dir string, o CopyOptions) error {
	ck := checks{op: "copy tree", err: checkPath("copy tree", dir)}
	if root == nil {
		ck.fail("root", "is nil")
	}
	take := o.selection(&ck)
	if ck.err != nil {
		return ck.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, to := io.Pipe()
	c := s.treeCommand(dir, packScript)
	c.Stdout = to
	p, err := c.Start(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := changed("copy", p.Wait())
		_ = to.CloseWithError(err) // nil is the end of the file
		ended <- err
	}()
	r := &treeReader{root: root, take: take, meter: &meter{opts: o}, dirs: map[string]*tar.Header{}, used: map[string]bool{}}
	local := r.tree(tar.NewReader(base64.NewDecoder(base64.StdEncoding, from)))
	if local == nil {
		_, local = io.Copy(io.Discard, from) // what stands behind the archive
	}
	if local != nil {
		cancel()
		_ = from.CloseWithError(local)
	}
	remote := <-ended
	if remote != nil && (local == nil || errors.Is(local, remote) || errors.Is(local, io.ErrUnexpectedEOF) || errors.Is(local, tar.ErrHeader)) {
		return remote
	}
	return errors.Join(local, r.finish())
}
