package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Names in a layer that say what it hides of those below.
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	reservedPrefix = ".wh..wh."
)

// What a name costs on a disk, at least.
const (
	blockSize = 4 << 10
	inodeSize = 256
)

const (
	maxName     = 255
	maxDepth    = 200
	maxDirNames = 64 << 20 // bytes of all names of directories in a layer
)

// nobodyID is what an id becomes that no sandbox has.
const nobodyID = 65534

// budget is how much may still be unpacked.
type budget struct {
	left atomic.Int64
	over problem // when there is no more
}

// newBudget makes that of all layers of an image.
func newBudget(bytes int64) *budget {
	b := &budget{over: problem{ErrTooLarge, "its files are larger than allowed"}}
	b.left.Store(bytes)
	return b
}

// newRoom makes that of all layers that are unpacked at a time.
func newRoom(bytes int64) *budget {
	b := &budget{over: problem{ErrNoSpace, "the images that are pulled leave no room for it"}}
	b.left.Store(bytes)
	return b
}

func (b *budget) take(bytes int64) error {
	if b.left.Add(-bytes) < 0 {
		return &b.over
	}
	return nil
}

func (b *budget) give(bytes int64) { b.left.Add(bytes) }

// unpacker writes the files of one layer below a directory, and nowhere else:
// names are looked up by way of an os.Root.
type unpacker struct {
	ctx    context.Context //nolint:containedctx // of the one call
	root   *os.Root
	owner  Owner
	owned  *ownedList
	limits Limits

	budgets []*budget

	size   int64
	count  int                   // of entries
	dirs   map[string]*directory // their attributes come last
	order  []string
	names  int      // bytes in order
	at     *os.Root // the directory of the last entry
	atName string
}

// directory is what a directory gets at the end. It has no more of a header
// than that, since there may be many, and long ones.
type directory struct {
	mode     fs.FileMode
	uid, gid int
	modified time.Time // zero for one that was only implied
	opaque   bool
}

// know returns what is known of a directory, for all entries of the layer.
func (u *unpacker) know(name string) (*directory, error) {
	if d := u.dirs[name]; d != nil {
		return d, nil
	}
	if u.names += len(name); u.names > maxDirNames {
		return nil, &problem{ErrTooLarge, "the names of its directories are too long together"}
	}
	d := &directory{mode: 0o755}
	u.dirs[name] = d
	u.order = append(u.order, name)
	return d, nil
}

// unpack writes a layer into an empty directory, and returns its size. After
// an error part of it is there, and the size is what was taken from the budgets.
// The stream is not read to its end. With subordinate ids the files are this
// process's until they are given away as the list says.
func unpack(ctx context.Context, dir string, stream io.Reader, owner Owner, owned *ownedList, limits Limits, budgets ...*budget) (size int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	u := &unpacker{
		ctx: ctx, root: root, owner: owner, owned: owned, limits: limits, budgets: budgets,
		dirs: map[string]*directory{".": {mode: 0o755}}, order: []string{"."},
	}
	defer u.leave()
	err = u.entries(stream)
	if err == nil {
		err = u.finish()
	}
	return u.size, err
}

func (u *unpacker) entries(stream io.Reader) error {
	if err := u.charge(blockSize + inodeSize); err != nil {
		return err
	}
	for in := tar.NewReader(stream); ; {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.entry(header, in); err != nil {
			return fmt.Errorf("entry %q: %w", clip(header.Name), err)
		}
	}
}

// charge takes from all budgets, also when one has no more: what was taken is
// given back as a whole.
func (u *unpacker) charge(bytes int64) (err error) {
	u.size += bytes
	for _, b := range u.budgets {
		if over := b.take(bytes); err == nil {
			err = over
		}
	}
	return err
}

// cleanName is the name of an entry below the root, "." for the root itself.
func cleanName(name string, longest int) (string, error) {
	if len(name) > longest {
		return "", &problem{ErrInvalidImage, "the name is too long"}
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return "", &problem{ErrInvalidImage, "the name leads out of the image"}
		case len(part) > maxName || strings.ContainsRune(part, 0):
			return "", &problem{ErrInvalidImage, "the name is not one of a file"}
		}
		parts = append(parts, part)
	}
	if len(parts) > maxDepth {
		return "", &problem{ErrInvalidImage, "the name is too deep"}
	}
	return path.Join(append([]string{"."}, parts...)...), nil
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	if u.count++; u.count > u.limits.Entries {
		return &problem{ErrTooLarge, "the layer has too many entries"}
	}
	switch header.Typeflag {
	case tar.TypeXGlobalHeader, tar.TypeChar, tar.TypeBlock:
		return nil // devices are the machine's to give
	}
	name, err := cleanName(header.Name, u.limits.PathLength)
	if err != nil {
		return err
	}
	base := path.Base(name)
	if name == "." {
		if header.Typeflag != tar.TypeDir {
			return &problem{ErrInvalidImage, "the root is not a directory"}
		}
		return u.setDir(u.root, name, name, header)
	}
	if err := u.enter(path.Dir(name)); err != nil {
		return err
	}
	if strings.HasPrefix(base, whiteoutPrefix) {
		return u.hide(path.Dir(name), base)
	}
	if header.Typeflag == tar.TypeDir {
		return u.dir(name, header)
	}
	return u.nonDir(name, header, content)
}

// enter goes to the directory that entries are in, and makes it if the layer
// did not list it.
func (u *unpacker) enter(dir string) error {
	if u.at != nil && u.atName == dir {
		return nil
	}
	u.leave()
	if dir != "." {
		if err := u.imply(dir); err != nil {
			return err
		}
	}
	at, err := u.root.OpenRoot(dir)
	if err != nil {
		return asInvalid(err)
	}
	u.at, u.atName = at, dir
	return nil
}

func (u *unpacker) leave() {
	if u.at != nil {
		u.at.Close()
		u.at = nil
	}
}

// imply makes the directories above an entry.
func (u *unpacker) imply(dir string) error {
	if _, known := u.dirs[dir]; known {
		if info, err := u.root.Lstat(dir); err == nil && info.IsDir() {
			return nil
		}
	}
	for i := range len(dir) + 1 {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		name := dir[:i]
		info, err := u.root.Stat(name)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil && !isWhiteout(info) {
			return &problem{ErrInvalidImage, "it is below one that is not a directory"}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return asInvalid(err)
		}
		if err := u.makeDir(u.root, name, name); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory where there is none. One in the place of a name
// that the layer hides shows nothing of what it hid.
func (u *unpacker) makeDir(in *os.Root, name, full string) error {
	if err := u.charge(blockSize + inodeSize); err != nil {
		return err
	}
	hidden := false
	if info, err := in.Lstat(name); err == nil {
		hidden = isWhiteout(info)
		if err := in.Remove(name); err != nil {
			return err
		}
	}
	if err := in.Mkdir(name, 0o700); err != nil {
		return asInvalid(err)
	}
	d, err := u.know(full)
	if err == nil {
		*d = directory{mode: 0o755, opaque: hidden}
	}
	return err
}

// setDir gives a directory its attributes, and remembers the rest for the end.
func (u *unpacker) setDir(in *os.Root, name, full string, header *tar.Header) error {
	d, err := u.know(full)
	if err != nil {
		return err
	}
	d.mode = header.FileInfo().Mode()
	d.uid, d.gid, d.modified = header.Uid, header.Gid, header.ModTime
	if len(header.PAXRecords) == 0 {
		return nil
	}
	dir, err := in.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return u.setXattrs(dir, header)
}

func (u *unpacker) dir(name string, header *tar.Header) error {
	base := path.Base(name)
	info, err := u.at.Lstat(base)
	if err != nil || !info.IsDir() {
		if err := u.makeDir(u.at, base, name); err != nil {
			return err
		}
	}
	return u.setDir(u.at, base, name, header)
}

// finish gives directories their attributes, the innermost first, now that
// nothing more is put into them.
func (u *unpacker) finish() error {
	u.leave()
	for _, name := range slices.Backward(u.order) {
		info, err := u.root.Lstat(name)
		if err != nil || !info.IsDir() {
			continue // replaced later in the layer
		}
		if err := u.finishDir(name, u.dirs[name]); err != nil {
			return fmt.Errorf("directory %q: %w", clip(name), err)
		}
	}
	return nil
}

func (u *unpacker) finishDir(name string, d *directory) error {
	dir, err := u.root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if d.opaque {
		if err := setOpaque(dir); err != nil {
			return err
		}
	}
	if err := u.dress(dir, name, d.mode, d.uid, d.gid); err != nil {
		return err
	}
	if !d.modified.IsZero() {
		_ = u.root.Chtimes(name, d.modified, d.modified)
	}
	return nil
}

// asInvalid makes a name that the layer itself has made impossible, by links
// that leave it or lead to themselves, a fault of the image.
func asInvalid(err error) error {
	if err == nil || isFault(err) {
		return err
	}
	return &problem{ErrInvalidImage, err.Error()}
}
