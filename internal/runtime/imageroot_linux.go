package runtime

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// ImageOwner says whose the files of layers have to be for a sandbox of this
// process to see them as they are.
func ImageOwner() (Owner, error) {
	ids, err := detectIDs()
	return ids.owner(), err
}

// checkImage makes sure that a root can be made of an image here.
func (n *native) checkImage(i *ImageRoot) error {
	if i == nil {
		return nil
	}
	if n.template == "" {
		return fmt.Errorf("%w: images need overlayfs below %s", ErrUnsupported, n.layers.dir)
	}
	for _, id := range append([]int{i.UID, i.GID}, i.Groups...) {
		if n.ids.ranged() && id >= n.ids.size {
			return fmt.Errorf("id %d of the image: sandboxes have %d", id, n.ids.size)
		}
	}
	return nil
}

// roots adds what is below the sandbox's own files.
func (n *native) roots(t *trees, setup *sandboxagent.Setup, spec Spec) (err error) {
	if err := n.snapshotRoots(t, setup, spec); err != nil {
		return err
	}
	if image := spec.Image; image != nil {
		setup.Home = image.Dir
		for _, layer := range image.Layers {
			tree, err := t.add(layer)
			if err != nil {
				return err
			}
			setup.Image = append(setup.Image, tree)
		}
		return nil
	}
	if setup.Usr, err = t.usr(); err != nil {
		return err
	}
	if n.template == "" {
		setup.Skeleton = n.skeleton
		return nil
	}
	if setup.Template, err = t.add(n.templatePart(snapshotRoot)); err != nil {
		return err
	}
	usr, err := t.add(n.templatePart(snapshotUsr))
	setup.BaseUsr = append([]sandboxagent.Tree{usr}, setup.BaseUsr...)
	return err
}

// snapshotRoots adds the layers of the snapshot that a sandbox was made of.
func (n *native) snapshotRoots(t *trees, setup *sandboxagent.Setup, spec Spec) error {
	below, err := n.layers.base(spec.ID)
	if err != nil || below == nil {
		return err
	}
	if n.template == "" {
		return fmt.Errorf("%w: the files of the sandbox lie over a snapshot, which needs overlayfs below %s", ErrUnsupported, n.layers.dir)
	}
	for _, dir := range slices.Backward(n.layers.paths(below)) {
		root, err := t.add(filepath.Join(dir, snapshotRoot))
		if err != nil {
			return err
		}
		setup.Base = append(setup.Base, root)
		if spec.Image != nil {
			continue
		}
		usr, err := t.add(filepath.Join(dir, snapshotUsr))
		if err != nil {
			return err
		}
		setup.BaseUsr = append(setup.BaseUsr, usr)
	}
	return nil
}

// home is where commands start.
func (i *ImageRoot) home() string {
	if i == nil {
		return nativeHome
	}
	return i.Dir
}

// user is who runs commands that do not say so.
func (i *ImageRoot) user() User {
	if i == nil {
		return User{Name: "root", Home: nativeHome}
	}
	u := User{UID: i.UID, GID: i.GID, Groups: i.Groups, Name: i.User, Home: i.Home}
	if u.Name == "" && u.UID == 0 {
		u.Name = "root"
	}
	return u
}

// env is the environment that commands of a user start from.
func (i *ImageRoot) env(u User) []string {
	base := baseEnv(standardPath, cmp.Or(u.Home, "/"), u.Name)
	if u.Name == "" {
		base = mergeEnv(base[:2], base[3:])
	}
	if i == nil {
		return base
	}
	return mergeEnv(base, i.Env)
}

// runner finds who runs a command, and as whom the agent starts it; nil is
// root. Where there is one id, an image's user is that.
func (s *sandbox) runner(asked *User) (User, *sandboxagent.User, error) {
	ids, u := s.rt.ids, s.image.user()
	if asked != nil {
		u = *asked
	} else if !ids.ranged() {
		return u, nil, nil
	}
	for _, id := range append([]int{u.UID, u.GID}, u.Groups...) {
		if id < 0 || id >= ids.size {
			return u, nil, fmt.Errorf("%w: id %d of a user: the sandbox has %d", ErrUnsupported, id, ids.size)
		}
	}
	if u.UID == 0 && u.GID == 0 && len(u.Groups) == 0 {
		return u, nil, nil
	}
	inside := &sandboxagent.User{UID: uint32(u.UID), GID: uint32(u.GID)}
	for _, group := range u.Groups {
		inside.Groups = append(inside.Groups, uint32(group))
	}
	return u, inside, nil
}
