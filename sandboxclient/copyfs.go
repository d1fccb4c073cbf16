package sandboxclient

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// CopyFS copies a tree into a directory of the sandbox, which is made if it is
// missing: one command (tar) that takes all of it as one stream, nothing of
// which is held in memory. Files replace those of the same name; what else is
// there stays. Permissions and times are kept, owners are not. Symbolic links
// are copied as they are, which fsys must be an [fs.ReadLinkFS] for, and other
// special files are errors. A relative directory starts where commands do.
//
// The sandbox needs sh, tar and base64. A failed copy may leave part of the
// tree. Errors are *fs.PathError: of a path in fsys if that could not be read,
// else of dir.
func (s *Sandbox) CopyFS(ctx context.Context, dir string, fsys fs.FS, opts *CopyOptions) error {
	err := s.copyFS(ctx, dir, fsys, pointed(opts))
	if _, isPath := errors.AsType[*fs.PathError](err); err == nil || isPath {
		return err
	}
	return &fs.PathError{Op: "copy", Path: dir, Err: err}
}

const copyInScript = `mkdir -p -- "$a" && cd -- "$a" || exit
base64 -d | tar -xpof -
`

func (s *Sandbox) copyFS(ctx context.Context, dir string, fsys fs.FS, o CopyOptions) error {
	ck := checks{op: "copy tree", err: checkPath("copy tree", dir)}
	if fsys == nil {
		ck.fail("file system", "is nil")
	}
	w := &treeWriter{ctx: ctx, fsys: fsys, take: o.selection(&ck), meter: &meter{opts: o}, buf: make([]byte, 64<<10)}
	if ck.err != nil {
		return ck.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := s.treeCommand(dir, copyInScript)
	c.OpenStdin = true
	p, err := c.Start(ctx)
	if err != nil {
		return err
	}
	// Whole groups of three bytes are whole characters.
	out := bufio.NewWriterSize(p, 64<<10)
	text := base64.NewEncoder(base64.StdEncoding, out)
	packed := bufio.NewWriterSize(text, 48<<10)
	w.to = tar.NewWriter(packed)
	_, local := w.tree(".")
	if local == nil {
		local = w.sent(errors.Join(w.to.Close(), packed.Flush(), text.Close(), out.Flush(), p.CloseWrite()))
	}
	if local != nil && !w.unsent {
		cancel() // half a tree is no tree
	}
	remote := changed("copy", p.Wait())
	if local != nil && (remote == nil || !w.unsent) {
		return local
	}
	return remote
}

// treeCommand is a script that works on a directory, as $a.
func (s *Sandbox) treeCommand(dir, script string) *Cmd {
	var b strings.Builder
	assignBytes(&b, "a", treePath(dir))
	c := s.Shell(b.String() + script)
	c.ShellPath, c.Env, c.Timeout = "/bin/sh", map[string]string{"LC_ALL": "C"}, -1
	return c
}

// changed makes what a tool says of how it ended an error of the file system.
func changed(verb string, err error) error {
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return changeError(verb, &Result{ExitCode: exit.Code, Stderr: exit.Stderr})
	}
	return err
}

// treeWriter packs a tree.
type treeWriter struct {
	ctx    context.Context //nolint:containedctx // of one copy
	fsys   fs.FS
	take   selection
	meter  *meter
	to     *tar.Writer
	buf    []byte
	unsent bool // the error is that of the other end
}

// tree packs a directory and reports whether it packed anything. Directories
// come after what is in them: their permissions may forbid to put it there.
func (w *treeWriter) tree(dir string) (some bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	entries, err := fs.ReadDir(w.fsys, dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if w.take.excludes(name) {
			continue
		}
		packed, err := w.entry(name, e)
		if err != nil {
			return some, err
		}
		some = some || packed
	}
	return some, nil
}

func (w *treeWriter) entry(name string, e fs.DirEntry) (packed bool, err error) {
	some := false
	if e.IsDir() {
		if some, err = w.tree(name); err != nil {
			return some, err
		}
	}
	if !some && !w.take.takes(name) {
		return false, nil
	}
	info, err := e.Info()
	if err != nil {
		return some, err
	}
	header := &tar.Header{
		Name: "./" + name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime().Truncate(time.Second),
		Format: tar.FormatGNU, // takes names of any bytes and length, and every tar knows it
	}
	switch info.Mode().Type() {
	case 0:
		return true, w.file(name, header)
	case fs.ModeDir:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	case fs.ModeSymlink:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = fs.ReadLink(w.fsys, name); err != nil {
			return some, err
		}
	default:
		return some, &fs.PathError{Op: "copy", Path: name, Err: fmt.Errorf("a %v is not to be copied: %w", info.Mode().Type(), ErrInvalid)}
	}
	return true, w.sent(w.to.WriteHeader(header))
}

// file packs a file as it is when it is opened.
func (w *treeWriter) file(name string, header *tar.Header) error {
	f, err := w.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := w.sent(w.to.WriteHeader(header)); err != nil {
		return err
	}
	w.meter.begin(name)
	if err := w.content(f, header.Size); err != nil {
		if w.unsent {
			return err
		}
		if _, isPath := errors.AsType[*fs.PathError](err); isPath {
			return err
		}
		return &fs.PathError{Op: "copy", Path: name, Err: err}
	}
	w.meter.done()
	return nil
}

func (w *treeWriter) content(f io.Reader, size int64) error {
	for size > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(w.buf[:min(int64(len(w.buf)), size)])
		if _, over := w.meter.Write(w.buf[:n]); over != nil {
			return over
		}
		if _, lost := w.to.Write(w.buf[:n]); lost != nil {
			return w.sent(lost)
		}
		size -= int64(n)
		if size > 0 && errors.Is(err, io.EOF) {
			return fmt.Errorf("became shorter while it was read: %w", io.ErrUnexpectedEOF)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// sent notes that an error is that of the other end, which tells why.
func (w *treeWriter) sent(err error) error {
	w.unsent = w.unsent || err != nil
	return err
}
