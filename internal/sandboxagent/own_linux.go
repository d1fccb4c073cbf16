package sandboxagent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// Owned is a file that gets an owner, in ids of the sandbox.
type Owned struct {
	Name string `json:"name"` // below the directory
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Mode has the bits that a change of the owner takes away.
	Mode uint32 `json:"mode,omitempty"`
}

// ownFiles gives files their owners. Later entries win, and names that are
// there no more, or lead out of the directory, are passed over.
func ownFiles(ctx context.Context, dir int, list io.Reader) error {
	at, atName := dir, "."
	leave := func() {
		if at != dir {
			unix.Close(at)
		}
		at, atName = dir, "."
	}
	defer func() { leave() }()
	for entries := json.NewDecoder(list); ; {
		var file Owned
		if err := entries.Decode(&file); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if parent := path.Dir(file.Name); parent != atName {
			leave()
			fd, err := openBeneath(dir, parent)
			if isAbsent(err) {
				continue
			}
			if err != nil {
				return &fs.PathError{Op: "open", Path: parent, Err: err}
			}
			at, atName = fd, parent
		}
		if err := file.change(at); err != nil && !isAbsent(err) {
			return err
		}
	}
}

func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV)
}

func openBeneath(dir int, name string) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func (f *Owned) change(dir int) error {
	base := path.Base(f.Name)
	if err := unix.Fchownat(dir, base, f.UID, f.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "chown", Path: f.Name, Err: err}
	}
	if f.Mode == 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	if err := unix.Fchmodat(dir, base, f.Mode, 0); err != nil {
		return &fs.PathError{Op: "chmod", Path: f.Name, Err: err}
	}
	return nil
}
