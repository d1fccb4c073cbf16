package sandboxagent

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// LauncherMarker takes the place of Marker for a process that has another
// program, such as crun or runc, make the namespaces of an agent: all but the
// user namespace, which is the launcher's. So that program has no rights over
// the machine, and whose the ids of the sandbox are is not up to it.
const LauncherMarker = "SANDBOX_AGENT=launcher"

// Descriptors that a launcher has besides the control socket: of the agent's
// program and of the one that makes containers.
const (
	AgentFD   = 4
	CommandFD = 5
)

// Launch is what a launcher gets as its argument.
type Launch struct {
	// Outside are the server's namespaces, which this is not to happen in.
	Outside map[string]uint64 `json:"outside"`
	// Config is the container's, for a root at ContainerRoot.
	Config json.RawMessage `json:"config"`
	// Args are the program's, with its name.
	Args []string `json:"args"`
}

// Places of a container. They are in a file system in memory that only the
// processes of the container see, and that is gone with them: nothing is left
// of one that was killed.
const (
	room = "/tmp" // it is on every host, and not needed there

	ContainerBundle = room + "/bundle"
	ContainerRoot   = ContainerBundle + "/rootfs"
	ContainerState  = room + "/state"

	// hostInside is where an agent in a container finds the host's files.
	hostInside = "/host"
)

// launchContainer makes what a container is made of, and becomes the program
// that makes containers.
func launchContainer() error {
	if len(os.Args) != 2 {
		return errors.New("not started by a sandbox server")
	}
	launch := new(Launch)
	if err := json.Unmarshal([]byte(os.Args[1]), launch); err != nil {
		return err
	}
	if len(launch.Args) == 0 {
		return errors.New("nothing to launch")
	}
	if inode, err := Namespace("user"); err != nil || inode == initialUserNS {
		return errors.Join(errors.New("in the machine's own user namespace"), err)
	}
	if err := checkNamespaces(launch.Outside, "user", "mnt"); err != nil {
		return err
	}
	if err := private(); err != nil {
		return err
	}
	if err := makeRoom(); err != nil {
		return err
	}
	if err := hideCgroups(); err != nil {
		return err
	}
	if err := os.WriteFile(ContainerBundle+"/config.json", launch.Config, 0o600); err != nil {
		return err
	}
	command := "/proc/self/fd/" + strconv.Itoa(CommandFD)
	if err := syscall.Exec(command, launch.Args, os.Environ()); err != nil {
		return fail("execute", launch.Args[0], err)
	}
	return nil
}

// makeRoom makes the places of a container. Its root has links to all of the
// host, so that a program with libraries starts there.
func makeRoom() error {
	host, err := CloneTree("/")
	if err != nil {
		return err
	}
	defer unix.Close(host)
	names, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	fd, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, []string{"mode", "755"}, []string{"size", "1m"})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(fd, room); err != nil {
		return err
	}
	for _, dir := range []string{"/proc", "/dev", hostInside} {
		if err := os.MkdirAll(ContainerRoot+dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(ContainerState, 0o700); err != nil {
		return err
	}
	if err := os.Symlink("/proc/self/fd/"+strconv.Itoa(AgentFD), ContainerRoot+"/"+Name); err != nil {
		return err
	}
	for _, entry := range names {
		err := os.Symlink(strings.TrimPrefix(hostInside, "/")+"/"+entry.Name(), ContainerRoot+"/"+entry.Name())
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return attach(host, ContainerRoot+hostInside)
}

// hideCgroups keeps a program from making cgroups, which would be left when it
// is killed: the server makes those of the sandbox. The tree of the second
// version beside the first is one that crun does not work with.
func hideCgroups() error {
	const tree, beside = "/sys/fs/cgroup", "/sys/fs/cgroup/unified"
	var st unix.Statfs_t
	if unix.Statfs(beside, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		fd, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, []string{"size", "64k"})
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := attach(fd, beside); err != nil {
			return err
		}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(unix.AT_FDCWD, tree, unix.AT_RECURSIVE, &attr)
	if err != nil && err != unix.ENOENT && err != unix.EINVAL { // there is none, or it is no mount
		return fail("mount_setattr", tree, err)
	}
	return nil
}
