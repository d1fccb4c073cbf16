package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// idMap says which ids of the host a sandbox's ids 0 and up are. Root inside
// is never the machine's root: for a server that is root, it is the first of
// a range that nobody uses; for an ordinary user, that user.
type idMap struct {
	uid, gid, size int
}

// The range for a server that is root. It lies beyond what distributions
// give to users and services, and all sandboxes share it, so that they can
// share volumes.
const (
	rangeStart = 200000
	rangeSize  = 65536
)

// ranged reports whether there is more than one id.
func (m idMap) ranged() bool { return m.size > 1 }

// detectIDs finds the ids that this process can give away.
func detectIDs() (idMap, error) {
	if os.Geteuid() != 0 {
		return idMap{uid: os.Geteuid(), gid: os.Getegid(), size: 1}, nil
	}
	uids, err := readExtents("/proc/self/uid_map")
	if err != nil {
		return idMap{}, err
	}
	gids, err := readExtents("/proc/self/gid_map")
	if err != nil {
		return idMap{}, err
	}
	uid, users := pickRange(uids)
	gid, groups := pickRange(gids)
	if size := min(users, groups); size > 1 {
		return idMap{uid: uid, gid: gid, size: size}, nil
	}
	// Root of a user namespace with one id: an ordinary user after all.
	if outer, ok := outerID(uids); ok && outer != 0 {
		return idMap{size: 1}, nil
	}
	return idMap{}, errors.New("no user ids to give to sandboxes")
}

// extent is a line of /proc/self/uid_map.
type extent struct{ inner, outer, size int64 }

func readExtents(name string) ([]extent, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var list []extent
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e extent
		if _, err := fmt.Sscan(lines.Text(), &e.inner, &e.outer, &e.size); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// pickRange chooses a range inside one extent, since a nested one may not span
// two. Where the usual one does not fit it is the upper half of the largest.
func pickRange(list []extent) (start, size int) {
	var largest extent
	for _, e := range list {
		if e.inner <= rangeStart && rangeStart+rangeSize <= e.inner+e.size {
			return rangeStart, rangeSize
		}
		if e.size > largest.size {
			largest = e
		}
	}
	half := largest.size / 2
	return int(largest.inner + largest.size - half), int(half)
}

// outerID is what id 0 is one namespace up.
func outerID(list []extent) (int64, bool) {
	for _, e := range list {
		if e.inner == 0 {
			return e.outer, true
		}
	}
	return 0, false
}

// apply makes a process start as root of a user namespace with these ids.
func (m idMap) apply(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: m.uid, Size: m.size}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: m.gid, Size: m.size}}
	attr.GidMappingsEnableSetgroups = m.ranged()
	attr.Credential = &syscall.Credential{NoSetGroups: !m.ranged()}
}

// lend lets commands open a pipe of this process again, by way of names like
// /dev/stdout. It belongs to whoever made it, who is nobody to them.
func (m idMap) lend(fd int, to *sandboxagent.User) {
	var st unix.Stat_t
	if !m.ranged() || unix.Fstat(fd, &st) != nil {
		return
	}
	if st.Mode&unix.S_IFMT == unix.S_IFIFO && int(st.Uid) == os.Geteuid() {
		uid, gid := m.uid, m.gid
		if to != nil {
			uid, gid = uid+int(to.UID), gid+int(to.GID)
		}
		_ = unix.Fchown(fd, uid, gid) // else they have to do without
	}
}

// own gives a file to the root of sandboxes.
func (m idMap) own(name string) error {
	if !m.ranged() {
		return nil
	}
	return os.Lchown(name, m.uid, m.gid)
}
