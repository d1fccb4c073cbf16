package sandboxserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// hostImage is the image that is the machine's own /usr.
const hostImage = "host"

// rootImage is what the root of a sandbox is made of. The digest is known
// after the first pull; sandboxes and snapshots keep to it, since their own
// files lie over just that image.
type rootImage struct {
	Reference  string `json:"reference"`
	Digest     string `json:"digest,omitzero"`
	RegistryID string `json:"registry_id,omitzero"`
}

// imageRequest is a pull with what it takes from the stores.
type imageRequest struct {
	rootImage
	credentials image.Credentials
}

// openImages opens the store of images, if they are to be pulled.
func (e *engine) openImages() error {
	if !e.cfg.PullImages {
		return nil
	}
	if e.rt.Isolation() != runtime.IsolationNative {
		return fmt.Errorf("%w: images need a root of their own, and there is %s", ErrIsolation, e.rt.Isolation())
	}
	owner, err := runtime.ImageOwner()
	if err != nil {
		return err
	}
	e.images, err = image.Open(image.Config{
		Dir: filepath.Join(e.dir, "images"), Owner: image.Owner(owner), Own: runtime.OwnFiles, Remove: runtime.RemoveTree,
		MaxBytes: e.cfg.ImageCacheBytes, InsecureRegistries: e.cfg.InsecureRegistries,
	})
	return err
}

func (e *engine) closeImages() error {
	if e.images == nil {
		return nil
	}
	return e.images.Close()
}

// root is what sandboxes of an image are made of; nothing for the host's /usr.
func (e *engine) root(reference, registryID string) rootImage {
	if e.images == nil || reference == hostImage {
		return rootImage{}
	}
	return rootImage{Reference: reference, RegistryID: registryID}
}

// asking adds the credentials of the registry that a root comes from. They go
// to no other one, whatever the image is called. mu is held.
func (e *engine) asking(r rootImage) imageRequest {
	a := imageRequest{rootImage: r}
	host := image.Registry(r.Reference)
	if known := e.registries.byID[r.RegistryID]; known != nil && host != "" && host == registryHost(known.url) {
		a.credentials = image.Credentials{Username: known.username, Password: known.password}
	}
	return a
}

// registryHost is the host of a registry's address, as references have it.
func registryHost(address string) string {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return image.RegistryHost(u.Host)
}

// fetch returns an image that is held, or nil for none.
func (e *engine) fetch(ctx context.Context, a imageRequest) (*image.Handle, error) {
	if a.Reference == "" {
		return nil, nil //nolint:nilnil // no image is one that sandboxes have
	}
	if e.images == nil {
		return nil, &apiError{status: 422, code: codeImagePull, message: fmt.Sprintf("image %s: this server pulls no images any more", a.Reference)}
	}
	reference := a.Reference
	if a.Digest != "" {
		if held, err := e.images.Acquire(ctx, a.Digest); err == nil {
			return held, nil
		}
		name, _, _ := strings.Cut(reference, "@")
		reference = name + "@" + a.Digest
	}
	return e.images.Pull(ctx, image.Request{Reference: reference, Credentials: a.credentials})
}

// release gives an image up, if there is one.
func release(held *image.Handle) {
	if held != nil {
		held.Release()
	}
}

// launch is what a sandbox is started with.
type launch struct {
	spec  runtime.Spec
	image imageRequest
	user  string // "" is the sandbox's choice
	proxy gen.ProxyConfig
}

// create starts a sandbox with its image, which is the caller's to release
// unless there is an error.
func (e *engine) create(ctx context.Context, l launch) (runtime.Sandbox, *image.Handle, error) {
	held, err := e.fetch(ctx, l.image)
	if err != nil {
		return nil, nil, err
	}
	l.spec.Image = bootOf(held)
	sb, err := e.connect(ctx, l.spec, l.proxy)
	if err == nil {
		if _, err = e.userOf(ctx, sb, l.user); err != nil {
			err = errors.Join(err, sb.Close())
		}
	}
	if err != nil {
		release(held)
		return nil, nil, err
	}
	return sb, held, nil
}

// bootOf is how a sandbox starts from an image.
func bootOf(held *image.Handle) *runtime.ImageRoot {
	if held == nil {
		return nil
	}
	boot := held.Image.Config
	return &runtime.ImageRoot{
		Layers: held.Image.Layers, UID: boot.User.UID, GID: boot.User.GID, Groups: boot.User.Groups,
		Home: boot.User.Home, User: boot.User.Name, Env: boot.Env, Dir: boot.WorkingDir,
	}
}

// imageProblem is the answer to an image that could not be had, or nil.
func imageProblem(err error) *apiError {
	failed, ok := errors.AsType[*image.Error](err)
	switch {
	case !ok:
		return nil
	case errors.Is(err, image.ErrNoSpace):
		return &apiError{status: 503, code: codeUnschedulable, message: failed.Error(), cause: err}
	}
	return &apiError{status: 422, code: codeImagePull, message: failed.Error(), cause: err}
}

// errImageSize reports an image that is larger than the disk asked for.
var errImageSize = errors.New("the image does not fit: ask for a larger fs_capacity_bytes")

// build begins to make a snapshot of an image. mu is held and the engine is
// open.
func (e *engine) build(s *snapshot) {
	if s.root.Reference == "" {
		s.last = e.begin(nil, func() error { return e.built(s, 0, nil) })
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.StartTimeout)
	s.stop = cancel
	a := e.asking(s.root)
	s.last = e.begin(nil, func() error {
		defer cancel()
		held, err := e.fetch(ctx, a)
		if err != nil {
			return e.built(s, 0, err)
		}
		if held.Image.Size > s.disk {
			release(held)
			return e.built(s, 0, errImageSize)
		}
		size := held.Image.Size
		e.mu.Lock()
		if s.status == gen.SnapshotBuilding {
			s.adopt(held)
			held = nil
		}
		e.mu.Unlock()
		release(held)
		return e.built(s, size, nil)
	})
}

// adopt takes over an image, and what it says of itself.
func (s *snapshot) adopt(held *image.Handle) {
	s.held, s.root.Digest = held, held.Image.Digest
	boot := held.Image.Config
	s.config = gen.ImageConfig{Cmd: boot.Cmd, Entrypoint: boot.Entrypoint, ExposedPorts: ports(boot.Exposed)}
	labels := maps.Clone(boot.Labels)
	maps.DeleteFunc(labels, func(name, _ string) bool { return strings.HasPrefix(name, reservedLabels) })
	if checkLabels(labels) == nil {
		s.labels = merged(labels, s.labels)
	}
}

// ports are the numbers of ports like "80/tcp". Only those of TCP can be
// reached.
func ports(exposed []string) []int {
	var list []int
	for _, port := range exposed {
		number, protocol, _ := strings.Cut(port, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && (protocol == "" || protocol == "tcp") {
			list = append(list, int(n))
		}
	}
	return list
}

// heldImage keeps an image that was pulled before, if it is there. If not it
// is pulled again when it is needed, and nil here.
func (e *engine) heldImage(r rootImage) *image.Handle {
	if e.images == nil || r.Digest == "" {
		return nil
	}
	held, err := e.images.Acquire(e.ctx, r.Digest)
	if err != nil {
		return nil
	}
	return held
}
