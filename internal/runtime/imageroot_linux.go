package runtime

import (
	"fmt"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// ImageOwner says whose the files of layers have to be for a sandbox of this
// process to see them as they are.
func ImageOwner() (Owner, error) {
	ids, err := detectIDs()
	return Owner{UID: ids.uid, GID: ids.gid, Size: ids.size}, err
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
func (n *native) roots(t *trees, setup *sandboxagent.Setup, image *ImageRoot) (err error) {
	if image != nil {
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
	if n.template != "" {
		if setup.Template, err = t.add(n.template); err != nil {
			return err
		}
	}
	if setup.Usr, err = t.usr(); err != nil {
		return err
	}
	setup.Skeleton = n.skeleton
	return nil
}

// home is where commands start.
func (i *ImageRoot) home() string {
	if i == nil {
		return nativeHome
	}
	return i.Dir
}

// env is the environment that commands start from.
func (i *ImageRoot) env() []string {
	if i == nil {
		return baseEnv(standardPath, nativeHome, "root")
	}
	user := i.User
	if user == "" && i.UID == 0 {
		user = "root"
	}
	base := baseEnv(standardPath, i.Home, user)
	if user == "" {
		base = mergeEnv(base[:2], base[3:])
	}
	return mergeEnv(base, i.Env)
}

// user is who runs commands; nil is root.
func (i *ImageRoot) user(ids idMap) *sandboxagent.User {
	if i == nil || !ids.ranged() || i.UID == 0 && i.GID == 0 && len(i.Groups) == 0 {
		return nil
	}
	u := &sandboxagent.User{UID: uint32(i.UID), GID: uint32(i.GID)}
	for _, group := range i.Groups {
		u.Groups = append(u.Groups, uint32(group))
	}
	return u
}
