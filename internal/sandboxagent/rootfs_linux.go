package sandboxagent

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// stage is where the layer is mounted while the new root is built. It exists
// on every host that has something to show in a sandbox, and is not needed
// any more once its tree is held.
const stage = "/usr"

// builder makes the root of a sandbox: first it takes hold of everything that
// it needs of the host, then it changes the root, then it puts the things in
// place. So no path is looked up on the host once names can come from a
// sandbox, and none in the sandbox by way of the host.
type builder struct {
	setup *Setup
	fds   []int // passed by the server, closed by the caller
	ready Ready

	held     []held
	links    map[string]string
	files    map[string]file
	shell    string
	layer    int
	usr      int
	template int   // or -1
	root     int   // the new root, once it is mounted
	image    []int // layers, the lowest first; the root comes from them
	base     []int // of a snapshot, over the image or the template
	baseUsr  []int // likewise, over usr
	volume   []held
}

// held is a detached mount and where it goes.
type held struct {
	fd     int
	target string
	file   bool
}

type file struct {
	data []byte
	mode fs.FileMode
}

// prepare makes the process's namespaces those of a sandbox.
func prepare(setup *Setup, fds []int) (*Ready, error) {
	if err := checkOutside(setup); err != nil {
		return nil, err
	}
	b := &builder{setup: setup, fds: fds, layer: -1, usr: -1, template: -1, root: -1}
	defer b.release()
	steps := []func() error{
		private, b.holdSources, b.holdRoots, b.holdKernel, b.holdDevices, b.holdHidden, b.holdEtc,
		b.stage, b.holdUsr, b.holdRoot, b.pivot, b.populate, b.attach, b.attachVolumes, b.identify,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &b.ready, nil
}

func (b *builder) release() {
	for _, h := range append(b.held, b.volume...) {
		unix.Close(h.fd)
	}
	for _, fd := range slices.Concat(b.image, b.base, b.baseUsr, []int{b.layer, b.usr, b.template, b.root}) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// private makes sure that no mount of this namespace shows in another.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fail("make private", "/", err)
	}
	return nil
}

// tree takes hold of a tree of the host.
func (b *builder) tree(t Tree) (int, error) {
	if t.FD == 0 {
		return CloneTree(t.Path)
	}
	if t.FD < 0 || t.FD > len(b.fds) {
		return -1, fail("mount", t.Path, unix.EBADF)
	}
	fd, err := unix.FcntlInt(uintptr(b.fds[t.FD-1]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fail("dup", t.Path, err)
	}
	return fd, nil
}

func (b *builder) holdSources() (err error) {
	if b.layer, err = b.tree(b.setup.Layer); err != nil {
		return err
	}
	if err := restrict(b.layer, unix.MOUNT_ATTR_NODEV); err != nil {
		return err
	}
	if err := b.holdLowers(); err != nil {
		return err
	}
	for _, m := range b.setup.Mounts {
		fd, err := b.tree(m.Tree)
		if err != nil {
			return err
		}
		b.volume = append(b.volume, held{fd: fd, target: m.Target})
		attributes := uint64(unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID)
		if m.ReadOnly {
			attributes |= unix.MOUNT_ATTR_RDONLY
		}
		if err := restrict(fd, attributes); err != nil {
			return err
		}
	}
	return nil
}

// holdLowers takes hold of what is below the sandbox's own files.
func (b *builder) holdLowers() (err error) {
	if b.base, err = b.holdLayers(b.setup.Base); err != nil {
		return err
	}
	if b.layered() {
		b.image, err = b.holdLayers(b.setup.Image)
		return err
	}
	if b.baseUsr, err = b.holdLayers(b.setup.BaseUsr); err != nil {
		return err
	}
	if b.usr, err = b.tree(b.setup.Usr); err != nil {
		return err
	}
	if b.setup.Template != (Tree{}) {
		b.template, err = b.tree(b.setup.Template)
	}
	return err
}

// rootTrees are the directories beside /usr that hold programs and libraries.
var rootTrees = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// holdRoots takes hold of the directories beside /usr that hold programs and
// libraries. On most hosts they are links into /usr.
func (b *builder) holdRoots() error {
	if b.layered() {
		return nil
	}
	b.shell = shell()
	b.links = make(map[string]string)
	for _, name := range rootTrees {
		if target, err := os.Readlink(name); err == nil {
			b.links[name] = target
			continue
		}
		if err := b.holdReadOnly(name); err != nil {
			return err
		}
	}
	return nil
}

// holdReadOnly takes hold of a tree, if there is one.
func (b *builder) holdReadOnly(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return nil //nolint:nilerr // what cannot be seen is not shown
	}
	fd, err := CloneTree(name)
	if err != nil {
		return err
	}
	b.held = append(b.held, held{fd: fd, target: name, file: !info.IsDir()})
	return restrict(fd, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID)
}

// stage mounts the layer where paths lead to it: overlayfs wants paths.
func (b *builder) stage() error {
	if err := attach(b.layer, stage); err != nil {
		return err
	}
	if b.layered() {
		return stageLayers("root", b.roots())
	}
	if err := stageLayers("usr", append([]int{b.usr}, b.baseUsr...)); err != nil {
		return err
	}
	if b.template < 0 {
		return makeSkeleton(stage+"/usr", b.setup.Skeleton)
	}
	return stageLayers("root", b.roots())
}

// roots are the layers under the root, the lowest first.
func (b *builder) roots() []int {
	if b.layered() {
		return slices.Concat(b.image, b.base)
	}
	return append([]int{b.template}, b.base...)
}

// makeSkeleton makes directories in a layer that a sandbox may have had before.
// Its links lead nowhere else from here, and what it put in the place of a
// directory stays.
func makeSkeleton(layer string, dirs []string) error {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		_ = root.MkdirAll(strings.TrimPrefix(dir, "/"), 0o755)
	}
	return root.Close()
}

// holdUsr makes the sandbox's /usr: the host's with a writable layer, or,
// where the layer's file system cannot be one, read-only.
func (b *builder) holdUsr() error {
	if b.layered() {
		b.ready.Overlay = true
		return nil
	}
	fd, err := overlay("usr", 1+len(b.baseUsr))
	b.ready.Overlay = err == nil
	if err != nil && len(b.baseUsr) > 0 {
		return err
	}
	if err != nil {
		fd, err = CloneTree(stage + "/usr-lower")
		if err != nil {
			return err
		}
		if err := restrict(fd, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV); err != nil {
			unix.Close(fd)
			return err
		}
	}
	b.held = append([]held{{fd: fd, target: "/usr"}}, b.held...)
	return nil
}

// holdRoot makes the sandbox's root: over an image, a template, or an empty
// directory.
func (b *builder) holdRoot() (err error) {
	if b.layered() || b.template >= 0 {
		// Before the mount, or overlayfs would have to copy the directory, and
		// a link of an image could lead elsewhere.
		if err := b.createFiles(stage + "/root"); err != nil {
			return err
		}
		b.root, err = overlay("root", len(b.roots()))
		if err == nil || b.layered() || len(b.base) > 0 {
			return err
		}
		unix.Close(b.template)
		b.template = -1
		b.readEtc()
	}
	b.root, err = CloneTree(stage + "/root")
	return err
}

// pivot makes the new root the root, and lets go of the host's.
func (b *builder) pivot() error {
	const root = stage + "/root"
	if err := attach(b.root, root); err != nil {
		return err
	}
	return pivot(root)
}

// pivot makes a mount the root, and lets go of the one before.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return fail("chdir", root, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fail("pivot_root", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fail("unmount", "the root before "+root, err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fail("chdir", "/", err)
	}
	return nil
}

func (b *builder) attach() error {
	for _, h := range b.held {
		if err := mountPoint(h); err != nil {
			return err
		}
		if err := attach(h.fd, h.target); err != nil {
			return err
		}
	}
	return b.linkDevices()
}

func (b *builder) attachVolumes() error {
	for _, h := range b.volume {
		if err := mountPoint(h); err != nil {
			return err
		}
		if err := attach(h.fd, h.target); err != nil {
			return err
		}
	}
	return nil
}

func mountPoint(h held) error {
	if !h.file {
		return os.MkdirAll(h.target, 0o755)
	}
	if err := os.MkdirAll(path.Dir(h.target), 0o755); err != nil {
		return err
	}
	return create(os.OpenFile, h.target, file{mode: 0o644})
}

// create makes a file, unless there is one already.
func create(open func(string, int, fs.FileMode) (*os.File, error), name string, f file) error {
	out, err := open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = out.Write(f.data)
	return errors.Join(err, out.Close())
}
