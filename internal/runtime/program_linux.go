package runtime

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// program is what agents are started from: the running program itself, by
// its inode, so that it may have been replaced or removed since.
type program struct {
	path string
	copy int // a descriptor, or -1
}

const selfExe = "/proc/self/exe"

// openProgram makes a copy in memory if sandboxes, which are another user,
// may not execute the file.
func openProgram(ids idMap) (*program, error) {
	p := &program{path: selfExe, copy: -1}
	info, err := os.Stat(selfExe)
	if err != nil {
		return nil, err
	}
	const others = 0o005
	if !ids.foreign() || info.Mode().Perm()&others == others {
		return p, nil
	}
	if p.copy, err = copyProgram(); err != nil {
		return nil, fmt.Errorf("copy program: %w", err)
	}
	p.path = "/proc/self/fd/" + strconv.Itoa(p.copy)
	return p, nil
}

func copyProgram() (int, error) {
	in, err := os.Open(selfExe)
	if err != nil {
		return -1, err
	}
	defer in.Close()
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	out := os.NewFile(uintptr(fd), "program")
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return -1, err
	}
	if err := out.Chmod(0o555); err != nil {
		return -1, err
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(out.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, err
	}
	// Above the numbers that a starting child arranges its own files at. A
	// file that is open for writing cannot be executed.
	return reopen(out)
}

func reopen(file *os.File) (int, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(file.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
}

func (p *program) close() {
	if p != nil && p.copy >= 0 {
		unix.Close(p.copy)
	}
}
