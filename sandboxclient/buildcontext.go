package sandboxclient

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/langsandbox/sandbox-go/internal/dockerignore"
)

// buildContext is a directory of this machine that an image is built from. All
// of it is opened below its root, so that no symbolic link leads out of it.
type buildContext struct {
	root       *os.Root
	dockerfile string // relative, with slashes
	ignore     *dockerignore.Rules
	needed     map[string]bool // what is sent even if it is left out
}

// openBuildContext checks a directory and the Dockerfile in it, and reads what
// is to be left out.
func openBuildContext(op, dir, dockerfile string) (_ *buildContext, err error) {
	ck := checks{op: op}
	ck.required("context", dir)
	name := path.Clean(filepath.ToSlash(dockerfile))
	if dockerfile == "" {
		name = "Dockerfile"
	}
	if !fs.ValidPath(name) || name == "." {
		ck.fail("Dockerfile", "is %q, not a path within the context", dockerfile)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, ck.unusable("context", err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	if info, err := root.Stat(name); err != nil {
		return nil, ck.unusable("Dockerfile", err)
	} else if !info.Mode().IsRegular() {
		ck.fail("Dockerfile", "is %q, which is no file", name)
		return nil, ck.err
	}
	b := &buildContext{root: root, dockerfile: name, needed: map[string]bool{name: true}}
	for _, file := range []string{name + ".dockerignore", ".dockerignore"} {
		b.needed[file] = true
		if b.ignore != nil {
			continue
		}
		if err := b.readIgnore(file); err != nil {
			return nil, ck.unusable(file, err)
		}
	}
	if b.ignore == nil {
		b.ignore = new(dockerignore.Rules)
	}
	return b, nil
}

// readIgnore reads a file of patterns, if there is one.
func (b *buildContext) readIgnore(name string) error {
	info, err := b.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := b.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b.ignore, err = dockerignore.Parse(f)
	return err
}

func (b *buildContext) close() error { return b.root.Close() }

// unusable is an argument that the file system refuses.
func (c *checks) unusable(argument string, cause error) error {
	return &ArgumentError{Op: c.op, Argument: argument, Reason: "cannot be used: " + cause.Error(), cause: cause}
}

// archive writes the context as a tar archive, in lexical order. Everything
// belongs to root, as in an image; .git, sockets, pipes and devices are left
// out.
func (b *buildContext) archive(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10) // many files are small
	archive := tar.NewWriter(out)
	buffer := make([]byte, 64<<10)
	err := fs.WalkDir(b.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch skip, err := b.skips(name, entry); {
		case err != nil:
			return err
		case skip:
			return nil
		}
		return b.add(archive, name, entry, buffer)
	})
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	return errors.Join(archive.Close(), out.Flush())
}

// skips reports whether an entry is left out; the error may be fs.SkipDir.
func (b *buildContext) skips(name string, entry fs.DirEntry) (bool, error) {
	if name == "." {
		return true, nil
	}
	if entry.Name() == ".git" {
		if entry.IsDir() {
			return true, fs.SkipDir
		}
		return true, nil
	}
	if b.ignore.LeavesOut(name) && !b.needed[name] {
		if entry.IsDir() && !b.ignore.Below() && !b.holdsNeeded(name) {
			return true, fs.SkipDir
		}
		return true, nil
	}
	kind := entry.Type()
	return !kind.IsRegular() && !kind.IsDir() && kind&fs.ModeSymlink == 0, nil
}

// holdsNeeded reports whether something below a directory has to be sent.
func (b *buildContext) holdsNeeded(dir string) bool {
	for at := path.Dir(b.dockerfile); at != "."; at = path.Dir(at) {
		if at == dir {
			return true
		}
	}
	return false
}

// add writes one entry.
func (b *buildContext) add(archive *tar.Writer, name string, entry fs.DirEntry, buffer []byte) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = b.root.Readlink(filepath.FromSlash(name)); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, filepath.ToSlash(link))
	if err != nil {
		return err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.AccessTime, header.ChangeTime, header.ModTime = time.Time{}, time.Time{}, info.ModTime().Truncate(time.Second)
	if runtime.GOOS == "windows" {
		header.Mode |= 0o111 // which files there do not have
	}
	if !info.Mode().IsRegular() {
		return archive.WriteHeader(header)
	}
	return b.addFile(archive, name, header, buffer)
}

func (b *buildContext) addFile(archive *tar.Writer, name string, header *tar.Header, buffer []byte) error {
	f, err := b.root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil {
		return err
	} else if !opened.Mode().IsRegular() {
		return fmt.Errorf("%s is no file any more", name)
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{archive}, io.LimitReader(f, header.Size), buffer)
	if err == nil && n < header.Size {
		err = fmt.Errorf("%s became shorter while it was read", name)
	}
	return err
}
