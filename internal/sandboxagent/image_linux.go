package sandboxagent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// layered reports whether the root comes from an image, and nothing of it from
// the host.
func (b *builder) layered() bool { return len(b.setup.Image) > 0 }

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
