package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"
)

// FS is a directory of a sandbox as a file system to read: an [fs.ReadDirFS],
// [fs.StatFS] and [fs.ReadFileFS], whose files can be sought in. It is safe for
// concurrent use, its files are for one goroutine each.
//
// Symbolic links are followed, also out of the directory: what is below it is
// the sandbox's to decide. The API tells no permissions; all may be read. Times
// are in whole seconds.
type FS struct {
	ctx context.Context //nolint:containedctx // io/fs has none to give
	sb  *Sandbox
	dir string
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
)

// FS returns the directory dir, an absolute path, as a file system. It sends
// nothing yet; the context bounds all that is done with it and its files.
func (s *Sandbox) FS(ctx context.Context, dir string) *FS { return &FS{ctx: ctx, sb: s, dir: dir} }

// within is the path in the sandbox of a name.
func (f *FS) within(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if !path.IsAbs(f.dir) {
		reason := fmt.Sprintf("is %q, not an absolute path", f.dir)
		return "", &fs.PathError{Op: op, Path: name, Err: &ArgumentError{Op: "open directory", Argument: "directory", Reason: reason}}
	}
	return path.Join(f.dir, name), nil
}

// renamed gives an error the name that the caller knows.
func renamed(op, name string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a file, which is read as it is asked for, or a directory.
func (f *FS) Open(name string) (fs.File, error) {
	full, err := f.within("open", name)
	if err != nil {
		return nil, err
	}
	info, err := f.sb.stat(f.ctx, full)
	if err != nil {
		return nil, renamed("open", name, err)
	}
	base := file{fs: f, name: name, info: coarse(info)}
	if info.IsDir() {
		return &directory{file: base}, nil
	}
	return &contentFile{file: base}, nil
}

// Stat describes a file or directory.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	full, err := f.within("stat", name)
	if err != nil {
		return nil, err
	}
	info, err := f.sb.stat(f.ctx, full)
	if err != nil {
		return nil, renamed("stat", name, err)
	}
	return infoAs{coarse(info), path.Base(name)}, nil
}

// ReadDir returns the members of a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	full, err := f.within("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := f.sb.ReadDir(f.ctx, full)
	for i, e := range entries {
		info, infoErr := e.Info()
		if own, ok := info.(*FileInfo); ok && infoErr == nil {
			entries[i] = fs.FileInfoToDirEntry(coarse(own))
		}
	}
	return entries, renamed("readdir", name, err)
}

// ReadFile returns the content of a file; see [Sandbox.ReadFile].
func (f *FS) ReadFile(name string) ([]byte, error) {
	full, err := f.within("read", name)
	if err != nil {
		return nil, err
	}
	data, err := f.sb.ReadFile(f.ctx, full)
	return data, renamed("read", name, err)
}

// coarse has the time of a file as all routes tell it.
func coarse(info *FileInfo) *FileInfo {
	same := *info
	same.modified = info.modified.UTC().Truncate(time.Second)
	if same.dir {
		same.modified = time.Time{} // a directory has none in some routes
	}
	return &same
}

// infoAs is a file under the name it was asked for by.
type infoAs struct {
	*FileInfo
	name string
}

func (n infoAs) Name() string { return n.name }

// file is what files and directories have in common.
type file struct {
	fs     *FS
	name   string
	info   *FileInfo
	closed bool
}

func (f *file) Stat() (fs.FileInfo, error) {
	if f.closed {
		return nil, f.fail("stat", fs.ErrClosed)
	}
	return infoAs{f.info, path.Base(f.name)}, nil
}

func (f *file) fail(op string, err error) error { return renamed(op, f.name, err) }

// contentFile is a file that is open. Its content is asked for when it is read.
type contentFile struct {
	file
	at   int64
	body *Download // nil if nothing is being read
}

func (f *contentFile) Read(p []byte) (int, error) {
	if f.closed {
		return 0, f.fail("read", fs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.body == nil {
		if f.info.size >= 0 && f.at >= f.info.size {
			return 0, io.EOF
		}
		var opts DownloadOptions
		if f.at > 0 {
			opts.Range = RangeFrom(f.at)
		}
		body, err := f.fs.sb.Download(f.fs.ctx, f.info.path, &opts)
		if err != nil {
			return 0, f.fail("read", err)
		}
		if f.info.etag != "" && body.info.etag != f.info.etag || body.start != f.at {
			return 0, f.fail("read", errors.Join(ErrChanged, body.Close()))
		}
		f.body = body
	}
	n, err := f.body.Read(p)
	f.at += int64(n)
	return n, f.fail("read", err)
}

// Seek sets where the next Read begins.
func (f *contentFile) Seek(offset int64, whence int) (int64, error) {
	if f.closed {
		return 0, f.fail("seek", fs.ErrClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		if f.info.size < 0 {
			return 0, f.fail("seek", errors.ErrUnsupported) // the server does not tell the size
		}
		offset += f.info.size
	default:
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if offset == f.at {
		return offset, nil
	}
	f.at = offset
	return offset, f.stop()
}

func (f *contentFile) stop() error {
	if f.body == nil {
		return nil
	}
	body := f.body
	f.body = nil
	return body.Close()
}

func (f *contentFile) Close() error {
	if f.closed {
		return f.fail("close", fs.ErrClosed)
	}
	f.closed = true
	return f.stop()
}

// directory is a directory that is open.
type directory struct {
	file
	entries []fs.DirEntry
	listed  bool
	err     error // after the entries
}

func (d *directory) Read([]byte) (int, error) {
	return 0, d.fail("read", errors.New("is a directory"))
}

func (d *directory) Close() error {
	if d.closed {
		return d.fail("close", fs.ErrClosed)
	}
	d.closed = true
	return nil
}

// ReadDir returns the next n members, or with n <= 0 all that are left.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.closed {
		return nil, d.fail("readdir", fs.ErrClosed)
	}
	if !d.listed {
		d.entries, d.err = d.fs.ReadDir(d.name)
		d.listed = true
	}
	if n <= 0 {
		n = len(d.entries)
	} else if len(d.entries) == 0 {
		if d.err != nil {
			return nil, d.err
		}
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	some := d.entries[:n:n]
	d.entries = d.entries[n:]
	if n == 0 || len(d.entries) == 0 && d.err != nil {
		return some, d.err
	}
	return some, nil
}
