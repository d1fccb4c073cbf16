package sandboxagent

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// maxOption is how long a value may be that the kernel takes for a mount.
const maxOption = 255

// lowers is where the layers under one of the sandbox's own are mounted while
// the root is built.
func lowers(name string) string { return stage + "/" + name + "-lower" }

// holdLayers takes hold of layers that nobody changes.
func (b *builder) holdLayers(trees []Tree) (fds []int, err error) {
	for _, t := range trees {
		fd, err := b.tree(t)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if err := restrict(fd, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_RDONLY); err != nil {
			return fds, err
		}
	}
	return fds, nil
}

// stageLayers mounts layers, the lowest first: a single one in the place of
// lowers, more in directories of their own there.
func stageLayers(name string, fds []int) error {
	if len(fds) == 1 {
		return attach(fds[0], lowers(name))
	}
	fd, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, []string{"mode", "700"}, []string{"size", "64k"})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(fd, lowers(name)); err != nil {
		return err
	}
	for i, layer := range fds {
		dir := lowers(name) + "/" + strconv.Itoa(i)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := attach(layer, dir); err != nil {
			return err
		}
	}
	return nil
}

// overlay makes a writable view of so many staged layers.
func overlay(name string, layers int) (int, error) {
	if layers == 1 {
		return newOverlay(name, lowers(name))
	}
	names := make([]string, layers)
	for i := range names {
		names[i] = strconv.Itoa(layers - 1 - i) // the topmost first
	}
	if err := unix.Chdir(lowers(name)); err != nil {
		return -1, fail("chdir", lowers(name), err)
	}
	list := strings.Join(names, ":")
	if len(list) > maxOption {
		return overlayOf(name, list)
	}
	return newOverlay(name, list)
}

func newOverlay(name, list string) (int, error) {
	return newFS("overlay", unix.MOUNT_ATTR_NODEV,
		[]string{"userxattr"},
		[]string{"lowerdir", list},
		[]string{"upperdir", stage + "/" + name},
		[]string{"workdir", stage + "/" + name + "-work"})
}

// overlayOf takes more layers than a value has room for. Names that are added
// one by one came with Linux 6.5; the old call takes a page of options.
func overlayOf(name, list string) (int, error) {
	point := lowers(name) + "/" + name
	if err := os.Mkdir(point, 0o700); err != nil {
		return -1, err
	}
	options := "userxattr,lowerdir=" + list + ",upperdir=" + stage + "/" + name + ",workdir=" + stage + "/" + name + "-work"
	if err := unix.Mount("overlay", point, "overlay", unix.MS_NODEV, options); err != nil {
		return -1, fail("mount", "overlay", err)
	}
	return CloneTree(point)
}

// inherit makes a directory of the sandbox's own over that of the topmost
// layer, with its attributes. It is none where the layers have no such
// directory.
func (b *builder) inherit(root *os.Root, name string, layers []int) error {
	for _, layer := range slices.Backward(layers) {
		var st unix.Stat_t
		err := unix.Fstatat(layer, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil // it is made anew
		}
		fd, err := unix.Openat(layer, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fail("open", "/"+name, err)
		}
		src := os.NewFile(uintptr(fd), name)
		defer src.Close()
		if err := root.Mkdir(name, 0o755); err != nil {
			return err
		}
		dst, err := root.Open(name)
		if err != nil {
			return err
		}
		defer dst.Close()
		return treecopy.Attributes(dst, src)
	}
	return nil
}
