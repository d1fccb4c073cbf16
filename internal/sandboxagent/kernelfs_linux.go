package sandboxagent

import (
	"os"

	"golang.org/x/sys/unix"
)

// holdKernel makes /proc and the file systems below /dev. They have to be
// made while the host's can still be seen, or the kernel refuses a /proc.
func (b *builder) holdKernel() error {
	const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	proc, err := newFS("proc", quiet|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		b.ready.HostProc = true
		if proc, err = CloneTree("/proc"); err != nil {
			return err
		}
	}
	b.held = append(b.held, held{fd: proc, target: "/proc"})
	mounts := []struct {
		kind, target string
		attributes   int
		options      [][]string
	}{
		{"tmpfs", "/dev", quiet, [][]string{{"mode", "755"}, {"size", "64k"}}},
		{"tmpfs", "/dev/shm", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, [][]string{{"mode", "1777"}, {"size", "256m"}}},
		{"devpts", "/dev/pts", quiet, [][]string{{"mode", "620"}, {"ptmxmode", "666"}}},
	}
	for _, m := range mounts {
		fd, err := newFS(m.kind, m.attributes, m.options...)
		if err != nil {
			return err
		}
		b.held = append(b.held, held{fd: fd, target: m.target})
	}
	return nil
}

// holdDevices takes hold of the harmless devices of the host: a user
// namespace cannot make any.
func (b *builder) holdDevices() error {
	for _, name := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"} {
		if _, err := os.Lstat(name); err != nil && name != "/dev/null" {
			continue
		}
		fd, err := CloneTree(name)
		if err != nil {
			return err
		}
		b.held = append(b.held, held{fd: fd, target: name, file: true})
	}
	return nil
}

// hiddenFiles of /proc tell about the machine, not the sandbox; commands find
// them empty.
var hiddenFiles = []string{
	"/proc/cmdline", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list",
}

// holdHidden puts /dev/null over them.
func (b *builder) holdHidden() error {
	for _, name := range hiddenFiles {
		if _, err := os.Lstat(name); err != nil {
			continue
		}
		fd, err := CloneTree("/dev/null")
		if err != nil {
			return err
		}
		b.held = append(b.held, held{fd: fd, target: name, file: true})
	}
	return nil
}

func (b *builder) linkDevices() error {
	links := map[string]string{
		"/dev/fd":     "/proc/self/fd",
		"/dev/stdin":  "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1",
		"/dev/stderr": "/proc/self/fd/2",
		"/dev/ptmx":   "pts/ptmx",
	}
	for name, target := range links {
		if err := os.Symlink(target, name); err != nil {
			return err
		}
	}
	return nil
}

// identify gives the sandbox its name and its loopback.
func (b *builder) identify() error {
	if err := unix.Sethostname([]byte(b.setup.Hostname)); err != nil {
		return fail("sethostname", "", err)
	}
	if b.setup.HostNetwork {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("loopback", "", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fail("loopback", "", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fail("loopback", "", err)
	}
	return nil
}
