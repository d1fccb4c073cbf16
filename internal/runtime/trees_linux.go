package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// trees collects the file trees that an agent gets. As an ordinary user the
// agent finds them by their paths; from root it gets detached mounts, so that
// it needs no way through directories that are not its own.
type trees struct {
	ids  idMap
	user *os.File // the sandbox's user namespace, when its root is another user
	fds  []int
}

func newTrees(ids idMap, pid int) (*trees, error) {
	t := &trees{ids: ids}
	if !ids.foreign() {
		return t, nil
	}
	user, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil {
		return nil, err
	}
	t.user = user
	return t, nil
}

func (t *trees) close() {
	sandboxagent.CloseAll(t.fds)
	if t.user != nil {
		t.user.Close()
	}
}

// add returns how the agent gets to a directory.
func (t *trees) add(dir string) (sandboxagent.Tree, error) {
	if !t.ids.foreign() {
		return sandboxagent.Tree{Path: dir}, nil
	}
	if len(t.fds) == sandboxagent.MaxFDs {
		return sandboxagent.Tree{}, fmt.Errorf("more than %d mounts", sandboxagent.MaxFDs)
	}
	fd, err := sandboxagent.CloneTree(dir)
	if err != nil {
		return sandboxagent.Tree{}, err
	}
	t.fds = append(t.fds, fd)
	return sandboxagent.Tree{FD: len(t.fds), Path: dir}, nil
}

// mapLast gives the files of the tree added last the ids that they have on
// the host: its root is the sandbox's root.
func (t *trees) mapLast() error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(t.user.Fd())}
	fd := t.fds[len(t.fds)-1]
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("map ids: %w", err)
	}
	return nil
}

// usr adds the host's /usr. Its ids are not mapped: the sandbox's root is
// nobody there, and reads what everybody on the host may read.
func (t *trees) usr() (sandboxagent.Tree, error) { return t.add("/usr") }

// volume adds a directory that sandboxes write to.
func (t *trees) volume(dir string) (sandboxagent.Tree, error) {
	tree, err := t.add(dir)
	if err != nil || !t.ids.foreign() {
		return tree, err
	}
	if err := t.mapLast(); err != nil {
		return tree, t.hand(dir, err)
	}
	return tree, nil
}

// hand gives an empty directory to the sandboxes, where the file system
// cannot map ids. One with contents is not theirs to take.
func (t *trees) hand(dir string, reason error) error {
	if ownerOf(dir) == t.ids.uid {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("volume %s: %w", dir, reason)
	}
	return t.ids.own(dir)
}

func ownerOf(name string) int {
	var st unix.Stat_t
	if unix.Stat(name, &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// installDirs are where installers write below /usr.
var installDirs = []string{
	"/usr", "/usr/bin", "/usr/lib", "/usr/share", "/usr/lib/node_modules", "/usr/lib/python3/dist-packages",
	"/usr/local", "/usr/local/*", "/usr/local/lib/*", "/usr/local/share/*", "/usr/local/lib/python3*/*-packages",
}

// usrSkeleton lists the directories below /usr that the sandbox's root gets of
// its own, over the host's, where those are nobody's in the sandbox.
func usrSkeleton() []string {
	var dirs []string
	for _, pattern := range installDirs {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && info.IsDir() {
				dirs = append(dirs, strings.TrimPrefix(name, "/usr"))
			}
		}
	}
	return dirs
}
