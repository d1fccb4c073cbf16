package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups is where sandboxes get cgroups from, to kill a command with
// everything that came from it. It needs the second version of the interface,
// also as the empty tree beside the first one, and sets no limits.
type cgroups struct {
	prefix string
	ids    idMap
}

// cgroupRoots are the places of the tree on pure and on hybrid hosts.
var cgroupRoots = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

const (
	procsFile  = "cgroup.procs"
	killFile   = "cgroup.kill"
	eventsFile = "cgroup.events"
)

// openCgroups finds where to make cgroups, and removes those of runtimes that
// were killed: all of one in the same directory, and of others what has long
// been empty.
func openCgroups(dir string, ids idMap) (*cgroups, error) {
	root, own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	own = cgroupHome(root, own)
	c := &cgroups{prefix: cgroupPrefix(own, dir), ids: ids}
	old, err := listCgroups(filepath.Join(own, cgroupName))
	if err != nil {
		return nil, err
	}
	for _, dir := range old {
		switch {
		case strings.HasPrefix(dir, c.prefix):
			if err := removeCgroup(dir); err != nil {
				return nil, err
			}
		case abandoned(dir):
			_ = removeCgroup(dir) // or the next one does
		}
	}
	return c, nil
}

// cgroupName begins the names of all cgroups of sandboxes.
const cgroupName = "langsandbox-"

// cgroupPrefix begins the paths of those of a runtime in dir.
func cgroupPrefix(own, dir string) string {
	name := fnv.New64a()
	name.Write([]byte(dir))
	return filepath.Join(own, fmt.Sprintf("%s%016x-", cgroupName, name.Sum64()))
}

// listCgroups returns the cgroups whose paths begin with prefix.
func listCgroups(prefix string) ([]string, error) {
	parent, name := filepath.Split(prefix)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), name) {
			dirs = append(dirs, filepath.Join(parent, entry.Name()))
		}
	}
	return dirs, nil
}

// cgroupStart is longer than it takes to start an agent in a new cgroup, which
// then has a process as long as the sandbox runs.
const cgroupStart = time.Minute

func abandoned(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || time.Since(info.ModTime()) < cgroupStart {
		return false
	}
	file, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer file.Close()
	return unpopulated(file)
}

// unpopulated reports whether there are no processes in a cgroup or below it.
func unpopulated(dir *os.File) bool {
	fd, err := unix.Openat(int(dir.Fd()), eventsFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	buf := make([]byte, 256)
	n, err := unix.Read(fd, buf)
	return err == nil && bytes.Contains(buf[:n], []byte("populated 0\n"))
}

// ownCgroup finds the cgroup of this process, and the root of its tree.
func ownCgroup() (root, own string, err error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(data)) {
		own, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok || strings.Contains(own, "..") {
			continue
		}
		for _, root := range cgroupRoots {
			var st unix.Statfs_t
			if err := unix.Statfs(root, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
				return root, filepath.Join(root, own), nil
			}
		}
	}
	return "", "", errors.New("no cgroup v2 tree")
}

// sandboxCgroup holds the cgroup of an agent and one for each command. The
// agent may move what it starts into them, and nothing else.
type sandboxCgroup struct {
	dir string
	ids idMap
}

func (c *cgroups) create(id string) (*sandboxCgroup, error) {
	s := &sandboxCgroup{dir: c.prefix + id, ids: c.ids}
	if err := s.make(s.dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(s.dir, killFile)); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *sandboxCgroup) make(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := s.ids.own(filepath.Join(dir, procsFile)); err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	return nil
}

// leaf makes a cgroup in the sandbox's and opens it.
func (s *sandboxCgroup) leaf(name string) (*os.File, error) {
	dir := filepath.Join(s.dir, name)
	if err := s.make(dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return file, nil
}

func (s *sandboxCgroup) remove() error { return removeCgroup(s.dir) }

// cgroupTimeout bounds how long a cgroup is busy after its processes ended.
const cgroupTimeout = 5 * time.Second

// removeCgroup removes a cgroup whose processes are gone, with its leaves.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeLeaf(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(err, removeLeaf(dir))
}

func removeLeaf(dir string) error {
	deadline := time.Now().Add(cgroupTimeout)
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			return &fs.PathError{Op: "remove cgroup", Path: dir, Err: err}
		}
		time.Sleep(pause)
	}
}
