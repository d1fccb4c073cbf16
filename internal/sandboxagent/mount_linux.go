package sandboxagent

import (
	"golang.org/x/sys/unix"
)

// CloneTree returns a detached copy of the mounts at path.
func CloneTree(path string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path,
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fail("open tree", path, err)
	}
	return fd, nil
}

// restrict adds attributes to a detached mount and all below it.
func restrict(fd int, attributes uint64) error {
	attr := unix.MountAttr{Attr_set: attributes}
	err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if err != nil {
		return fail("mount_setattr", "", err)
	}
	return nil
}

// attach puts a detached mount at path.
func attach(fd int, path string) error {
	err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return fail("mount", path, err)
	}
	return nil
}

// newFS returns a detached mount of a new file system. An option is a key and
// a value, or a key alone.
func newFS(kind string, attributes int, options ...[]string) (int, error) {
	context, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fail("mount", kind, err)
	}
	defer unix.Close(context)
	for _, option := range options {
		if len(option) == 1 {
			err = unix.FsconfigSetFlag(context, option[0])
		} else {
			err = unix.FsconfigSetString(context, option[0], option[1])
		}
		if err != nil {
			return -1, fail("mount", kind+" "+option[0], err)
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fail("mount", kind, err)
	}
	fd, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fail("mount", kind, err)
	}
	return fd, nil
}
