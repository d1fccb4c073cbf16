// Package image pulls container images from registries, without a daemon, and
// keeps their layers unpacked: one directory for each layer, shared by all
// images that have it, in the form that overlayfs stacks. The package knows
// nothing of sandboxes or of the API.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// ErrUnsupported reports a system that cannot keep layers.
var ErrUnsupported = fmt.Errorf("images need Linux: %w", errors.ErrUnsupported)

// Owner says whose the files of layers are on this machine.
type Owner struct {
	// UID and GID are what ids 0 of an image become; higher ones follow.
	UID, GID int
	// Size is how many ids there are. With 1 or less every file belongs to
	// this process, whose user is root in a sandbox; with more, an id beyond
	// becomes 65534, or the last one.
	Size int
	// SubUID and SubGID are what ids 1 and up become, unless 0. This process may
	// not give files to them, but Config.Own.
	SubUID, SubGID int `json:",omitempty"`
}

// Config configures a Store.
type Config struct {
	// Dir holds the layers; it is created if missing. One store at a time
	// has it.
	Dir string
	// Owner is whose the files are. Layers that are there for another owner
	// are removed by Open.
	Owner Owner
	// Own gives files below a directory to others than this process, and is
	// needed with Owner.SubUID. The list has an Owned for each as JSON.
	Own func(ctx context.Context, dir string, list *os.File) error
	// Remove removes a directory with layers in it; nil is for files of this
	// process, and for root.
	Remove func(dir string) error
	// MaxBytes bounds all unpacked layers together; 0 is 20 GiB. Images that
	// nobody holds go when there is more, those used longest ago first. Layers
	// that are being unpacked may have as much again.
	MaxBytes int64
	// Limits bounds one image; zero fields have defaults.
	Limits Limits
	// InsecureRegistries are hosts, with their ports if not the usual ones,
	// that may be asked without TLS. Those of this machine always may.
	InsecureRegistries []string
	// Platform is what images have to run on; the zero value is this machine.
	Platform Platform
}

// Limits bounds one image.
type Limits struct {
	Layers     int   // 0 is 127
	Bytes      int64 // unpacked, as a disk with blocks of 4 KiB has it; 0 is 10 GiB
	Compressed int64 // what is downloaded; 0 is 10 GiB
	Entries    int   // names in one layer; 0 is 1,000,000
	PathLength int   // bytes of a name; 0 is 4,000
}

// Platform names a system and a processor as images do.
type Platform struct {
	OS, Architecture, Variant string
}

const (
	defaultMaxBytes   = 20 << 30
	defaultLayers     = 127
	defaultBytes      = 10 << 30
	defaultEntries    = 1_000_000
	defaultPathLength = 4000
)

func (c Config) complete() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("image store: no directory")
	}
	if c.MaxBytes < 0 || c.Limits.Bytes < 0 || c.Limits.Compressed < 0 ||
		c.Limits.Layers < 0 || c.Limits.Entries < 0 || c.Limits.PathLength < 0 {
		return c, errors.New("image store: negative limit")
	}
	orDefault(&c.MaxBytes, defaultMaxBytes)
	orDefault(&c.Limits.Bytes, defaultBytes)
	orDefault(&c.Limits.Compressed, defaultBytes)
	orDefault(&c.Limits.Layers, defaultLayers)
	orDefault(&c.Limits.Entries, defaultEntries)
	orDefault(&c.Limits.PathLength, defaultPathLength)
	if c.Platform == (Platform{}) {
		c.Platform = Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	if c.Owner.Size < 1 {
		c.Owner.Size = 1
	}
	if c.Owner.SubUID > 0 && c.Own == nil {
		return c, errors.New("image store: nobody gives files to subordinate ids")
	}
	if c.Remove == nil {
		c.Remove = removeTree
	}
	return c, nil
}

func orDefault[T int | int64](value *T, otherwise T) {
	if *value == 0 {
		*value = otherwise
	}
}

// Image is what a sandbox boots from. It is the store's: do not modify it.
type Image struct {
	// Digest identifies the image for one platform, like "sha256:...".
	Digest string `json:"digest"`
	Config Boot   `json:"config"`
	// Layers are the directories of the layers, the lowest first. Nothing may
	// be written to them.
	Layers []string `json:"-"`
	// Size is the size of its layers in bytes, those shared included.
	Size int64 `json:"-"`
}

// Boot is how an image wants to be run.
type Boot struct {
	// User is User of the image, found in its files.
	User       User              `json:"user"`
	WorkingDir string            `json:"working_dir,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Exposed    []string          `json:"exposed,omitempty"` // like "80/tcp", sorted
	Labels     map[string]string `json:"labels,omitempty"`
}

// Credentials open a registry. The zero value is nobody.
type Credentials struct {
	Username, Password string
}

// Request says what to pull.
type Request struct {
	// Reference is a name with a tag or digest, as Docker has it: without a
	// registry it is one of Docker Hub, without a tag it is "latest".
	Reference string
	// Credentials are for the registry of Reference, and go to no other.
	Credentials Credentials
	// Progress, if set, is told how far the download is. It is called by one
	// goroutine at a time, until Pull returns, and must not block.
	Progress func(Progress)
}

// Progress is how far a download is.
type Progress struct {
	Layers, LayersDone int
	// Bytes are those of the layers as they are sent; BytesDone counts layers
	// that were there before as done.
	Bytes, BytesDone int64
}

// Handle holds an image: while it is held its layers stay.
type Handle struct {
	Image Image

	store    *Store
	released bool // guarded by store.mu
}

// Release gives the image up. It may be called more than once.
func (h *Handle) Release() { h.store.release(h) }

// Acquire holds an image that was pulled before, also by another process with
// the same directory. It fails with ErrNotFound when it is gone.
func (s *Store) Acquire(ctx context.Context, digest string) (*Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if kept := s.images[digest]; kept != nil {
		return s.hold(kept), nil
	}
	return nil, &Error{Reference: digest, Kind: ErrNotFound}
}
