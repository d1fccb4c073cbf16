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
	// subUID and subGID are what ids 1 and up are, when they do not follow the
	// first: subordinate ids of an ordinary user.
	subUID, subGID int
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

// subordinate reports whether ids 1 and up are the server's user's to give.
func (m idMap) subordinate() bool { return m.subUID > 0 }

// foreign reports whether root of a sandbox is another user than the server.
func (m idMap) foreign() bool { return m.ranged() && !m.subordinate() }

// detectIDs finds the ids that this process can give away.
func detectIDs() (idMap, error) {
	if os.Geteuid() != 0 {
		if ids, err := subordinateIDs(); err == nil {
			return ids, nil
		}
		return oneID(), nil
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

// oneID makes this process's user all users of a sandbox.
func oneID() idMap { return idMap{uid: os.Geteuid(), gid: os.Getegid(), size: 1} }

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

// start starts this program as root of a user namespace with these ids.
func (m idMap) start(p *program, args []string, attr *os.ProcAttr) (*os.Process, error) {
	if m.subordinate() {
		return m.startUnmapped(p, args, attr)
	}
	m.apply(attr.Sys)
	return os.StartProcess(p.path, args, attr)
}

// apply makes a process start as root of a user namespace with ids that are
// not subordinate.
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
	if !m.ranged() || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || int(st.Uid) != os.Geteuid() {
		return
	}
	// An error has them do without.
	switch {
	case m.foreign() && to == nil:
		_ = unix.Fchown(fd, m.uid, m.gid)
	case m.foreign():
		_ = unix.Fchown(fd, m.uid+int(to.UID), m.gid+int(to.GID))
	case to != nil && to.UID != 0:
		// It has no name that others could open it by.
		_ = unix.Fchmod(fd, 0o666)
	}
}

// own gives a file to the root of sandboxes.
func (m idMap) own(name string) error {
	if !m.foreign() {
		return nil
	}
	return os.Lchown(name, m.uid, m.gid)
}

// owner says whose files of sandboxes are.
func (m idMap) owner() Owner {
	return Owner{UID: m.uid, GID: m.gid, Size: m.size, SubUID: m.subUID, SubGID: m.subGID}
}
