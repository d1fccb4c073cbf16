package sandboxagent

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// runFenced is the agent that a keeper starts.
func runFenced() error {
	if len(os.Args) != 1 {
		return errors.New("not started by a sandbox server")
	}
	if err := checkSocketKind(); err != nil {
		return err
	}
	if err := unix.CloseRange(ControlFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	// Without namespaces, privileges would be those on the machine.
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on != 1 {
		return errors.New("not started by a keeper")
	}
	return serve(&agent{fenced: true})
}

// fenceIn puts the calling thread, and what it starts, behind a fence of
// Landlock and seccomp. Other threads stay outside of it: they have to find and
// kill what commands have left, and nobody gets into their memory.
func fenceIn(setup *Setup) (*Ready, error) {
	if err := withholdPrivileges(); err != nil {
		return nil, err
	}
	ready := &Ready{HostProc: true}
	if err := setup.Rlimits.set(ready); err != nil {
		return nil, err
	}
	abi, err := LandlockABI()
	if err != nil {
		return nil, err
	}
	if err := restrictThread(abi, setup); err != nil {
		return nil, err
	}
	ready.Landlock = abi
	if ready.Filter, err = filterSyscalls(); err != nil {
		return nil, err
	}
	if !ready.Filter {
		return nil, fail("seccomp", "", unix.ENOSYS)
	}
	return ready, filterFenced(abi, setup.HostNetwork)
}

// LandlockABI returns the version of the kernel's interface, from 1. It is
// ENOSYS in a kernel without Landlock, or below a filter that hides it, and
// EOPNOTSUPP where it is switched off.
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fail("landlock", "", errno)
	}
	return int(abi), nil
}

// Versions of Landlock, by what came with them.
const (
	landlockRefer    = 2 // moving files between directories
	landlockTruncate = 3
	LandlockNetwork  = 4 // ports of TCP
	landlockIoctl    = 5 // of devices
	LandlockScopes   = 6 // signals and abstract sockets
)

// Rights to files, for all versions; those that a version does not know are
// taken out.
const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	writeRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	deviceRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	allRights    = writeRights | deviceRights | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// knownRights are the rights to files that a version knows.
func knownRights(abi int) uint64 {
	known := uint64(allRights)
	for version, right := range map[int]uint64{
		landlockRefer:    unix.LANDLOCK_ACCESS_FS_REFER,
		landlockTruncate: unix.LANDLOCK_ACCESS_FS_TRUNCATE,
		landlockIoctl:    unix.LANDLOCK_ACCESS_FS_IOCTL_DEV,
	} {
		if abi < version {
			known &^= right
		}
	}
	return known
}

// fence is a set of rules.
type fence struct {
	ruleset *landlock
	known   uint64
	err     error
}

// restrictThread allows what the setup lists, and what every sandbox has of the
// host.
func restrictThread(abi int, setup *Setup) error {
	runtime.LockOSThread()
	attr := landlockAttr{fs: knownRights(abi)}
	if abi >= LandlockNetwork && !setup.HostNetwork {
		attr.net = unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= LandlockScopes {
		attr.scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	ruleset, err := newLandlock(attr)
	if err != nil {
		return err
	}
	defer ruleset.close()
	f := &fence{ruleset: ruleset, known: attr.fs}
	f.allowHost()
	for _, dir := range setup.Fence.Read {
		f.need(dir, readRights)
	}
	for _, dir := range setup.Fence.Write {
		f.need(dir, writeRights)
	}
	if f.err != nil {
		return f.err
	}
	return ruleset.restrict()
}

// need allows what has to be there.
func (f *fence) need(name string, rights uint64) {
	if f.err == nil {
		f.err = f.add(name, rights)
	}
}

// allow allows what may be there.
func (f *fence) allow(rights uint64, names ...string) {
	for _, name := range names {
		if f.err != nil {
			return
		}
		if err := f.add(name, rights); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
			f.err = err
		}
	}
}

func (f *fence) add(name string, rights uint64) error {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return fail("stat", name, err)
	}
	// A rule is for an inode, and /proc makes another one of the same file when
	// nobody has the first one open.
	if !strings.HasPrefix(name, "/proc/") {
		defer unix.Close(fd)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	return f.ruleset.allow(fd, rights&f.known, name)
}

// procFiles are files of /proc that tell of the machine as a whole and not of
// its processes, and that programs ask for.
var procFiles = []string{
	"/proc/cpuinfo", "/proc/filesystems", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/version",
	"/proc/sys/kernel/cap_last_cap", "/proc/sys/kernel/ngroups_max", "/proc/sys/kernel/osrelease",
	"/proc/sys/kernel/ostype", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/random", "/proc/sys/kernel/version",
	"/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu",
}

// allowHost allows programs, what they need to start, and harmless devices.
func (f *fence) allowHost() {
	f.need("/usr", readRights)
	f.allow(readRights, rootTrees...)
	f.allow(readRights, etcTrees...)
	f.allow(readRights, procFiles...)
	for _, name := range append([]string{"group", "hosts", "nsswitch.conf", "passwd"}, etcFiles...) {
		f.allow(unix.LANDLOCK_ACCESS_FS_READ_FILE, "/etc/"+name)
	}
	f.allow(deviceRights, "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
}
