package runtime

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxLayers is how many layers a root can have; with its mounts they have to
// reach the agent in one message.
const maxLayers = 200

// maxUserID is the largest id that is not -1 to anybody.
const maxUserID = 1<<31 - 1

// checked returns a copy with its defaults, or why it is not valid.
func (i *ImageRoot) checked() (*ImageRoot, error) {
	if i == nil {
		return nil, nil //nolint:nilnil // no image is one that is valid
	}
	c := *i
	c.Layers, c.Env, c.Groups = slices.Clone(c.Layers), slices.Clone(c.Env), slices.Clone(c.Groups)
	if len(c.Layers) == 0 || len(c.Layers) > maxLayers {
		return nil, fmt.Errorf("image with %d layers: there have to be 1 to %d", len(c.Layers), maxLayers)
	}
	for _, layer := range c.Layers {
		if !filepath.IsAbs(layer) {
			return nil, fmt.Errorf("image layer %q is not absolute", layer)
		}
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	if c.Home == "" {
		c.Home = "/"
	}
	for _, dir := range []string{c.Dir, c.Home} {
		if !path.IsAbs(dir) || strings.ContainsRune(dir, 0) {
			return nil, fmt.Errorf("directory %q of the image is not absolute", dir)
		}
	}
	c.Dir = path.Clean(c.Dir)
	for _, id := range append([]int{c.UID, c.GID}, c.Groups...) {
		if id < 0 || id > maxUserID {
			return nil, fmt.Errorf("id %d of the image is not one of a user", id)
		}
	}
	for _, entry := range c.Env {
		if key, _, ok := strings.Cut(entry, "="); !ok || key == "" || strings.ContainsRune(entry, 0) {
			return nil, errors.New("environment of the image is not valid")
		}
	}
	return &c, nil
}

// Owner says whose the files of an image's layers have to be: ids 0 and up are
// UID and GID of this machine and up, Size of them; with a Size of 1, all are
// this process's own.
type Owner struct {
	UID, GID, Size int
	// SubUID and SubGID are what ids 1 and up are, unless 0. Only OwnFiles gives
	// files to them.
	SubUID, SubGID int `json:",omitempty"`
}
