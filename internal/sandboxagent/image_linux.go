package sandboxagent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lowers is where the layers of an image are mounted while the root is built.
const lowers = stage + "/root-lower"

// maxOption is how long a value may be that the kernel takes for a mount.
const maxOption = 255

// layered reports whether the root comes from an image, and nothing of it from
// the host.
func (b *builder) layered() bool { return len(b.setup.Image) > 0 }

// holdImage takes hold of the layers of the image.
func (b *builder) holdImage() error {
	for _, t := range b.setup.Image {
		fd, err := b.tree(t)
		if err != nil {
			return err
		}
		b.image = append(b.image, fd)
		if err := restrict(fd, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_RDONLY); err != nil {
			return err
		}
	}
	return nil
}

// stageImage mounts the layers of the image in directories of their own.
func (b *builder) stageImage() error {
	fd, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, []string{"mode", "700"}, []string{"size", "64k"})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(fd, lowers); err != nil {
		return err
	}
	for i, layer := range b.image {
		dir := lowers + "/" + strconv.Itoa(i)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := attach(layer, dir); err != nil {
			return err
		}
	}
	return nil
}

// imageRoot makes a writable view of the image.
func (b *builder) imageRoot() (int, error) {
	var names []string
	for i := range b.image {
		names = append(names, strconv.Itoa(len(b.image)-1-i)) // the topmost first
	}
	list := strings.Join(names, ":")
	if err := unix.Chdir(lowers); err != nil {
		return -1, fail("chdir", lowers, err)
	}
	if len(list) > maxOption {
		return overlayOf(list)
	}
	return newFS("overlay", unix.MOUNT_ATTR_NODEV,
		[]string{"userxattr"}, []string{"lowerdir", list}, []string{"upperdir", stage + "/root"}, []string{"workdir", stage + "/root-work"})
}

// overlayOf takes more layers than a value has room for. Names that are added
// one by one came with Linux 6.5; the old call takes a page of options.
func overlayOf(list string) (int, error) {
	const root = lowers + "/root"
	if err := os.Mkdir(root, 0o700); err != nil {
		return -1, err
	}
	options := "userxattr,lowerdir=" + list + ",upperdir=" + stage + "/root,workdir=" + stage + "/root-work"
	if err := unix.Mount("overlay", root, "overlay", unix.MS_NODEV, options); err != nil {
		return -1, fail("mount", "overlay", err)
	}
	return CloneTree(root)
}

// holdImageEtc makes the files of a sandbox that no image has.
func (b *builder) holdImageEtc() {
	b.files = b.identity()
	if data, err := os.ReadFile("/etc/resolv.conf"); err == nil && len(data) <= maxEtcFile {
		b.files["/etc/resolv.conf"] = file{data: data, mode: 0o644}
	}
}

// populateImage makes what an image need not have. Where the kernel's own are
// mounted there is a directory, and no link that would lead them elsewhere.
func (b *builder) populateImage() error {
	for _, dir := range []struct {
		name string
		mode fs.FileMode
	}{{"/dev", 0o755}, {"/proc", 0o555}, {"/sys", 0o555}, {"/tmp", 0o777 | fs.ModeSticky}} {
		info, err := os.Lstat(dir.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err = os.Mkdir(dir.name, dir.mode); err == nil {
				err = os.Chmod(dir.name, dir.mode)
			}
		case err == nil && !info.IsDir() && dir.name != "/tmp":
			return &Error{Op: "image", Path: dir.name, Errno: unix.ENOTDIR}
		}
		if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(b.setup.Home, 0o755); err != nil {
		return fmt.Errorf("working directory of the image: %w", err)
	}
	return nil
}
