package sandboxagent

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// GuestRoot fills a directory with what a root over the host's /usr needs, and
// returns what of the host is to be mounted there at the same places, to be
// read only. A directory that a sandbox had before keeps what it has, and links
// in it lead nowhere else.
func GuestRoot(dir, hostname, home string) (mounts []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b := &builder{setup: &Setup{Hostname: hostname, Home: home}, shell: shell()}
	b.files = b.identity()
	b.readEtc()
	for _, d := range rootDirs {
		if err := guestDir(root, d.name, d.mode); err != nil {
			return nil, err
		}
	}
	if err := root.MkdirAll(strings.TrimPrefix(home, "/"), 0o755); err != nil {
		return nil, err
	}
	for name, f := range b.files {
		if err := create(root.OpenFile, strings.TrimPrefix(name, "/"), f); err != nil {
			return nil, err
		}
	}
	mounts = []string{"/usr"}
	for _, name := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		target, err := os.Readlink(name)
		if err == nil {
			if err := root.Symlink(target, strings.TrimPrefix(name, "/")); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			continue
		}
		if _, err := os.Stat(name); err == nil {
			mounts = append(mounts, name)
		}
	}
	for _, name := range etcTrees {
		if _, err := os.Stat(name); err == nil {
			mounts = append(mounts, name)
		}
	}
	return mounts, nil
}

func guestDir(root *os.Root, name string, mode fs.FileMode) error {
	name = strings.TrimPrefix(name, "/")
	err := root.Mkdir(name, mode.Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = root.Chmod(name, mode)
	}
	return err
}
