package sandboxclient

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// treeReader unpacks an archive that may be made to do harm.
type treeReader struct {
	root  *os.Root
	take  selection
	meter *meter
	dirs  map[string]*tar.Header // as the archive has them
	used  map[string]bool        // directories that something was put in, or that are taken themselves
	left  []error                // what was left out
	more  int                    // left out without a word
}

// maxLeft bounds what an error names.
const maxLeft = 20

// leave notes what is left out.
func (r *treeReader) leave(name, why string) {
	if len(r.left) == maxLeft {
		r.more++
		return
	}
	r.left = append(r.left, &fs.PathError{Op: "copy", Path: name, Err: fmt.Errorf("%s: %w", why, ErrUnsafe)})
}

// tree unpacks all.
func (r *treeReader) tree(from *tar.Reader) error {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, ok := entryName(header.Name)
		if !ok {
			r.leave(header.Name[:min(len(header.Name), 200)], "leads out of the tree, or too deep into it")
			continue
		}
		if name == "." || r.take.excludes(name) || !r.take.takes(name) && header.Typeflag != tar.TypeDir {
			continue
		}
		if err := r.entry(name, header, from); err != nil {
			return err
		}
	}
}

// Bounds of paths: as long as they can be for tar itself, and as deep as is
// made in reasonable time, since each name is looked up from the top.
const (
	maxName  = 4096
	maxDepth = 256
)

// entryName is the path of an entry in the tree.
func entryName(name string) (string, bool) {
	clean := path.Clean(name)
	if filepath.Separator != '/' && strings.ContainsRune(name, filepath.Separator) {
		return "", false
	}
	if name == "" || len(name) > maxName || strings.Count(name, "/") > maxDepth || slices.Contains(strings.Split(name, "/"), "..") || !validBytes(clean) || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", false
	}
	return clean, true
}

// validBytes is fs.ValidPath for names that are not text.
func validBytes(name string) bool { return fs.ValidPath(strings.ToValidUTF8(name, "x")) }

func (r *treeReader) entry(name string, header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeDir {
		if !r.take.takes(name) {
			r.dirs[name] = header // should something in it be taken
			return nil
		}
		return r.dir(name, header)
	}
	switch header.Typeflag {
	case tar.TypeReg:
		if sparse(header) {
			r.leave(name, "is sparse")
			return nil
		}
		return r.file(name, header, content)
	case tar.TypeSymlink:
		return r.symlink(name, header)
	case tar.TypeLink:
		return r.link(name, header)
	default:
		r.leave(name, "is a special file")
		return nil
	}
}

// sparse reports whether a file can have more content than was sent for it,
// which tar does not make unless it is told to.
func sparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// dir makes a directory, and those above it.
func (r *treeReader) dir(name string, header *tar.Header) error {
	if ok, err := r.parents(name); err != nil || !ok {
		return err
	}
	info, err := r.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = r.root.Mkdir(name, 0o700)
	case err == nil && !info.IsDir():
		r.leave(name, "is no directory here")
		return nil
	}
	if err != nil {
		return err
	}
	r.dirs[name], r.used[name] = header, true
	return nil
}

// parents makes the directories above a path that are missing. Through a link
// nothing is written, wherever it leads.
func (r *treeReader) parents(name string) (bool, error) {
	above := path.Dir(name)
	if above == "." || r.used[above] {
		return true, nil
	}
	info, err := r.root.Lstat(above)
	switch {
	case err == nil && info.IsDir():
		r.used[above] = true
		return r.parents(above)
	case err == nil:
		r.leave(name, fmt.Sprintf("%q above it is no directory here", above))
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if ok, err := r.parents(above); err != nil || !ok {
		return ok, err
	}
	if err := r.root.Mkdir(above, 0o700); err != nil {
		return false, err
	}
	r.used[above] = true
	if r.dirs[above] == nil {
		r.dirs[above] = &tar.Header{Mode: 0o755}
	}
	return true, nil
}

// clear removes what is in the way of a file that is to be made. Directories
// stay.
func (r *treeReader) clear(name string) (bool, error) {
	if ok, err := r.parents(name); err != nil || !ok {
		return ok, err
	}
	info, err := r.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case info.IsDir():
		r.leave(name, "is a directory here")
		return false, nil
	}
	return true, r.root.Remove(name)
}

func (r *treeReader) file(name string, header *tar.Header, content io.Reader) error {
	if ok, err := r.clear(name); err != nil || !ok {
		return err
	}
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	r.meter.begin(name)
	_, err = io.Copy(f, io.TeeReader(content, r.meter))
	if err == nil {
		err = f.Chmod(fs.FileMode(header.Mode) & fs.ModePerm) //nolint:gosec // only the last nine bits
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	r.meter.done()
	return r.times(name, header)
}

func (r *treeReader) times(name string, header *tar.Header) error {
	if header.ModTime.IsZero() || header.ModTime.Year() > 9999 {
		return nil
	}
	return r.root.Chtimes(name, time.Time{}, header.ModTime)
}

// symlink makes a link that stays in the tree. What is above it are
// directories, so that as many steps up lead no further than to the root; and a
// target with steps up later on could go by a link first.
func (r *treeReader) symlink(name string, header *tar.Header) error {
	target := header.Linkname
	up, rest := 0, target
	for {
		step, more, _ := strings.Cut(rest, "/")
		if step != ".." && step != "." {
			break
		}
		if step == ".." {
			up++
		}
		rest = strings.TrimLeft(more, "/")
	}
	_, valid := entryName(rest)
	if target == "" || path.IsAbs(target) || up > strings.Count(name, "/") || rest != "" && !valid {
		r.leave(name, fmt.Sprintf("links to %q", target))
		return nil
	}
	if ok, err := r.clear(name); err != nil || !ok {
		return err
	}
	return r.root.Symlink(filepath.FromSlash(target), name)
}

// link makes a second name of a file that was copied before.
func (r *treeReader) link(name string, header *tar.Header) error {
	target, ok := entryName(header.Linkname)
	if ok = ok && target != name; ok {
		info, err := r.root.Lstat(target)
		ok = err == nil && info.Mode().IsRegular() && r.take.takes(target)
	}
	if ok {
		var err error
		if ok, err = r.parents(target); err != nil {
			return err
		}
	}
	if !ok {
		r.leave(name, fmt.Sprintf("is another name of %q, which is not copied", header.Linkname))
		return nil
	}
	if ok, err := r.clear(name); err != nil || !ok {
		return err
	}
	return r.root.Link(target, name)
}

// finish gives directories what may keep from writing to them, those below
// first, and tells what was left out.
func (r *treeReader) finish() error {
	names := slices.Sorted(maps.Keys(r.dirs))
	var errs []error
	for _, name := range slices.Backward(names) {
		header := r.dirs[name]
		if info, err := r.root.Lstat(name); !r.used[name] || err != nil || !info.IsDir() {
			continue
		}
		err := r.root.Chmod(name, fs.FileMode(header.Mode)&fs.ModePerm) //nolint:gosec // only the last nine bits
		if err == nil {
			err = r.times(name, header)
		}
		errs = append(errs, err)
	}
	errs = append(errs, r.left...)
	if r.more > 0 {
		errs = append(errs, fmt.Errorf("and %d more: %w", r.more, ErrUnsafe))
	}
	return errors.Join(errs...)
}
