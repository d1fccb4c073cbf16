package sandboxagent

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// openFlags are the flags a server may ask for.
const openFlags = unix.O_ACCMODE | unix.O_APPEND | unix.O_CREAT | unix.O_EXCL | unix.O_SYNC | unix.O_TRUNC

func (a *agent) open(req *Request) {
	fd, err := a.openFile(req.Open)
	if err != nil {
		a.send(&Reply{ID: req.ID, Error: fail("open", string(req.Open.Path), err)})
		return
	}
	a.send(&Reply{ID: req.ID}, fd)
	unix.Close(fd)
}

func (a *agent) openFile(open *Open) (int, error) {
	name := string(open.Path)
	if !path.IsAbs(name) {
		name = path.Join(a.home, name)
	}
	// Nonblocking, since a pipe would wait for its other end.
	flags := open.Flag&openFlags | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	if open.Dir {
		flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY | unix.O_NONBLOCK
	}
	fd, err := openat(name, flags, open.Perm)
	if errors.Is(err, unix.ENOENT) && flags&unix.O_CREAT != 0 {
		if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
			return -1, err
		}
		fd, err = openat(name, flags, open.Perm)
	}
	if err != nil {
		return -1, err
	}
	if err = CheckFile(fd, open.Dir); err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openat(name string, flags int, perm uint32) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(perm & 0o7777)
	}
	for {
		fd, err := unix.Openat2(unix.AT_FDCWD, name, &how)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// kernelFiles are file systems whose files act on the kernel with the rights
// of whoever uses them.
var kernelFiles = map[int64]bool{
	unix.PROC_SUPER_MAGIC:    true,
	unix.SYSFS_MAGIC:         true,
	unix.CGROUP_SUPER_MAGIC:  true,
	unix.CGROUP2_SUPER_MAGIC: true,
	unix.NSFS_MAGIC:          true,
	unix.BPF_FS_MAGIC:        true,
	unix.DEBUGFS_MAGIC:       true,
	unix.TRACEFS_MAGIC:       true,
	unix.SECURITYFS_MAGIC:    true,
	unix.SELINUX_MAGIC:       true,
	unix.BINFMTFS_MAGIC:      true,
	unix.EFIVARFS_MAGIC:      true,
	0x62656570:               true, // configfs
	0x19800202:               true, // mqueue
}

// CheckFile reports whether a descriptor is a regular file, or a directory,
// with ordinary contents. The server repeats the check on what an agent gives
// it.
func CheckFile(fd int, dir bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFREG && !dir, kind == unix.S_IFDIR && dir:
	case kind == unix.S_IFDIR:
		return unix.EISDIR
	case dir:
		return unix.ENOTDIR
	default:
		return unix.EINVAL
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	if kernelFiles[int64(fs.Type)] { //nolint:unconvert // narrower on some platforms
		return unix.EINVAL
	}
	return nil
}
