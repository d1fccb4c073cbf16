//go:build unix

package runtime

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ReadDir reads up to n members of a directory that OpenDir opened, in no
// order; at the end it returns io.EOF. It follows no links, and needs no name
// that the directory has on the host.
func ReadDir(dir *os.File, n int) ([]Entry, error) {
	names, err := dir.Readdirnames(n)
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		entry := Entry{Name: name, Type: fs.ModeIrregular}
		var st unix.Stat_t
		if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			entry.Type, entry.Size = typeOf(uint32(st.Mode)), st.Size //nolint:unconvert // narrower on some platforms
			entry.Modified = time.Unix(st.Mtim.Unix())
		}
		entries = append(entries, entry)
	}
	return entries, err
}

func typeOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	default:
		return fs.ModeDevice
	}
}
