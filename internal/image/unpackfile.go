package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// nonDir makes anything but a directory, in the place of what an earlier entry
// of the layer put there.
func (u *unpacker) nonDir(name string, header *tar.Header, content io.Reader) error {
	base := path.Base(name)
	if info, err := u.at.Lstat(base); err == nil && header.Typeflag != tar.TypeLink {
		if info.IsDir() {
			if err := u.at.RemoveAll(base); err != nil {
				return err
			}
		} else if err := u.at.Remove(base); err != nil {
			return err
		}
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(base, header, content)
	case tar.TypeSymlink:
		return u.symlink(base, header)
	case tar.TypeLink:
		return u.link(name, header)
	case tar.TypeFifo:
		return u.fifo(base, header)
	}
	return &problem{ErrInvalidImage, fmt.Sprintf("unknown type %q", header.Typeflag)}
}

func (u *unpacker) symlink(base string, header *tar.Header) error {
	if header.Linkname == "" || len(header.Linkname) > u.limits.PathLength || strings.ContainsRune(header.Linkname, 0) {
		return &problem{ErrInvalidImage, "the link leads to no name"}
	}
	if err := u.charge(inodeSize); err != nil {
		return err
	}
	if err := u.at.Symlink(header.Linkname, base); err != nil {
		return asInvalid(err)
	}
	return u.own(base, header)
}

// own gives what has no mode, or not yet, its owner.
func (u *unpacker) own(base string, header *tar.Header) error {
	if u.owner.Size == 1 {
		return nil
	}
	uid, gid := u.owner.of(header.Uid, header.Gid)
	if u.owner.SubUID > 0 {
		return u.list(Owned{Name: path.Join(u.atName, base), UID: uid, GID: gid})
	}
	return u.at.Lchown(base, uid, gid)
}

// link gives a file of this layer another name.
func (u *unpacker) link(name string, header *tar.Header) error {
	target, err := cleanName(header.Linkname, u.limits.PathLength)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if target == name {
		return nil
	}
	info, err := u.root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &problem{ErrInvalidImage, "it links to a file that is not in its layer"}
	case err != nil:
		return asInvalid(err)
	case info.IsDir() || isWhiteout(info):
		return &problem{ErrInvalidImage, "it links to what is not a file"}
	}
	if err := u.charge(inodeSize); err != nil {
		return err
	}
	base := path.Base(name)
	if err := u.at.RemoveAll(base); err != nil {
		return err
	}
	err = u.root.Link(target, name)
	if err == nil && header.Uid+header.Gid != 0 {
		err = u.own(base, header) // when the first name is another file's later
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &problem{ErrInvalidImage, "it links to what it replaces"}
	}
	return asInvalid(err)
}

func (u *unpacker) file(base string, header *tar.Header, content io.Reader) error {
	if err := u.charge(inodeSize); err != nil {
		return err
	}
	out, err := u.at.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return asInvalid(err)
	}
	err = u.copy(out, content)
	if err == nil {
		err = u.setXattrs(out, header)
	}
	if err == nil {
		err = u.dress(out, path.Join(u.atName, base), header.FileInfo().Mode(), header.Uid, header.Gid)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	// A time that the file system does not have is no reason to fail.
	_ = u.at.Chtimes(base, header.ModTime, header.ModTime)
	return nil
}

// copy charges what it is about to write: the size in a header may be a lie,
// and a sparse file is larger than its data.
func (u *unpacker) copy(out io.Writer, content io.Reader) error {
	buf := make([]byte, 128<<10)
	for {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(content, buf)
		if n > 0 {
			if err := u.charge(int64(n+blockSize-1) / blockSize * blockSize); err != nil {
				return err
			}
			if _, err := out.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			// Of this read, or of the layer: the next read tells.
			if n, err := content.Read(buf[:1]); n == 0 && errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case err != nil:
			return err
		}
	}
}

// dress gives an open file its owner and mode. The owner comes first: a change
// of it takes bits off the mode.
func (u *unpacker) dress(file *os.File, name string, mode fs.FileMode, uid, gid int) error {
	if !u.owner.has(uid, gid) {
		mode &^= fs.ModeSetuid | fs.ModeSetgid // they would be another's
	}
	mode &= fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	uid, gid = u.owner.of(uid, gid)
	switch {
	case u.owner.Size == 1:
	case u.owner.SubUID > 0:
		if err := u.list(Owned{Name: name, UID: uid, GID: gid, Mode: lostMode(mode)}); err != nil {
			return err
		}
	default:
		if err := file.Chown(uid, gid); err != nil {
			return err
		}
	}
	return file.Chmod(mode)
}

// lostMode is a mode, as chmod takes it, of which a change of the owner takes
// bits away; or 0.
func lostMode(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for from, to := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&from != 0 {
			bits |= to
		}
	}
	if bits&0o6000 == 0 {
		return 0
	}
	return bits
}

// of returns what ids of an image are on this machine, or in a sandbox if it is
// not this process that gives files away.
func (o Owner) of(uid, gid int) (outUID, outGID int) {
	within := func(id int) int {
		if id < 0 || id >= o.Size {
			return min(nobodyID, o.Size-1)
		}
		return id
	}
	if o.SubUID > 0 {
		return within(uid), within(gid)
	}
	return o.UID + within(uid), o.GID + within(gid)
}

// has reports whether files can belong to ids of an image.
func (o Owner) has(uid, gid int) bool {
	return uid >= 0 && uid < o.Size && gid >= 0 && gid < o.Size
}
