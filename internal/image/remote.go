package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	maxReference = 1024
	maxManifest  = 4 << 20
	maxConfig    = 4 << 20
	userAgent    = "sandbox-go"
)

// source is the registry of one pull.
type source struct {
	ref    name.Reference
	puller *remote.Puller
}

// manifest is what a registry says of an image for one platform.
type manifest struct {
	digest v1.Hash
	layers []v1.Descriptor
	config *v1.ConfigFile
}

// parse finds the registry of a reference.
func (s *Store) parse(r Request) (*source, error) {
	if len(r.Reference) > maxReference {
		return nil, &problem{ErrInvalidReference, "it is too long"}
	}
	ref, err := name.ParseReference(r.Reference)
	if err != nil {
		return nil, &problem{ErrInvalidReference, err.Error()}
	}
	registry := ref.Context().RegistryStr()
	plain := slices.Contains(s.config.InsecureRegistries, registry)
	if plain {
		if ref, err = name.ParseReference(r.Reference, name.Insecure); err != nil {
			return nil, &problem{ErrInvalidReference, err.Error()}
		}
	}
	auth := authn.Anonymous
	if r.Credentials != (Credentials{}) {
		auth = &authn.Basic{Username: r.Credentials.Username, Password: r.Credentials.Password}
	}
	puller, err := remote.NewPuller(
		remote.WithAuth(auth),
		remote.WithUserAgent(userAgent),
		remote.WithTransport(&policy{base: s.transport, registry: registry, plain: plain}),
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 3}),
	)
	return &source{ref: ref, puller: puller}, err
}

// policy keeps a pull to what is allowed, whatever the registry answers.
type policy struct {
	base     http.RoundTripper
	registry string
	plain    bool
}

// RoundTrip sends a request. Without TLS it goes to registries of this machine
// and to those that were named only, and no other may send it to this machine.
func (p *policy) RoundTrip(r *http.Request) (*http.Response, error) {
	home, named := loopback(hostOf(p.registry)), p.plain && r.URL.Host == p.registry
	switch {
	case loopback(r.URL.Hostname()):
		if !home {
			return nil, &problem{ErrInvalidImage, "the registry sends to this machine"}
		}
	case r.URL.Scheme != "https" && !named:
		return nil, &problem{ErrInsecure, "refused to ask " + r.URL.Host + " without TLS"}
	}
	response, err := p.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	left := int64(maxManifest)
	if isBlob(r) {
		left = -1 // its size is known, and kept to
	}
	response.Body = &body{ReadCloser: response.Body, left: left}
	return response, nil
}

// isBlob reports whether a request is for a blob, where others have sent it, too.
// Tokens are asked for where a registry says, but with a query.
func isBlob(r *http.Request) bool {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return strings.Contains(r.URL.Path, "/blobs/") && r.URL.RawQuery == ""
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// body marks errors of the network, and bounds answers whose size is unknown.
type body struct {
	io.ReadCloser
	left int64 // or less than 0
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, &problem{ErrInvalidImage, "the registry's answer is too long"}
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = &networkError{err}
	}
	return n, err
}

// resolve asks for the image of a reference.
func (s *Store) resolve(ctx context.Context, from *source) (*manifest, error) {
	got, err := from.puller.Get(ctx, from.ref)
	if err != nil {
		return nil, err
	}
	index := got.MediaType.IsIndex()
	if index {
		list, err := got.ImageIndex()
		if err != nil {
			return nil, err
		}
		children, err := list.IndexManifest()
		if err != nil {
			return nil, err
		}
		digest, err := s.config.Platform.choose(children.Manifests)
		if err != nil {
			return nil, err
		}
		if got, err = from.puller.Get(ctx, from.ref.Context().Digest(digest.String())); err != nil {
			return nil, err
		}
	}
	if !got.MediaType.IsImage() {
		return nil, &problem{ErrInvalidImage, fmt.Sprintf("%q is not the type of an image", clip(string(got.MediaType)))}
	}
	m, err := s.readManifest(got)
	if err != nil {
		return nil, err
	}
	if !index || m.config.OS != "" {
		if !s.config.Platform.runs(m.config.OS, m.config.Architecture, m.config.Variant) {
			return nil, &problem{ErrNoPlatform, fmt.Sprintf("it is for %s/%s, this is %s/%s",
				clip(m.config.OS), clip(m.config.Architecture), s.config.Platform.OS, s.config.Platform.Architecture)}
		}
	}
	return m, nil
}

// readManifest reads what there is to know of an image before its layers, and
// refuses one that cannot be kept.
func (s *Store) readManifest(got *remote.Descriptor) (*manifest, error) {
	found, err := got.Image()
	if err != nil {
		return nil, err
	}
	list, err := found.Manifest()
	if err != nil {
		return nil, err
	}
	if list.Config.Size < 0 || list.Config.Size > maxConfig {
		return nil, &problem{ErrInvalidImage, "its configuration is too long"}
	}
	config, err := found.ConfigFile()
	if err != nil {
		return nil, err
	}
	m := &manifest{digest: got.Digest, layers: list.Layers, config: config}
	return m, s.config.Limits.check(m)
}

func (l Limits) check(m *manifest) error {
	ids := m.config.RootFS.DiffIDs
	if len(ids) != len(m.layers) {
		return &problem{ErrInvalidImage, fmt.Sprintf("it has %d layers, and its configuration %d", len(m.layers), len(ids))}
	}
	if len(ids) == 0 {
		return &problem{ErrInvalidImage, "it has no layers"}
	}
	if len(ids) > l.Layers {
		return &problem{ErrTooLarge, fmt.Sprintf("it has %d layers, more than %d", len(ids), l.Layers)}
	}
	var size int64
	for i, layer := range m.layers {
		if !layer.MediaType.IsDistributable() || !layer.MediaType.IsLayer() {
			return &problem{ErrInvalidImage, fmt.Sprintf("%q is not the type of a layer", clip(string(layer.MediaType)))}
		}
		for _, hash := range []v1.Hash{layer.Digest, ids[i]} {
			if err := checkHash(hash); err != nil {
				return err
			}
		}
		if layer.Size < 0 {
			return &problem{ErrInvalidImage, "a layer of negative size"}
		}
		if size += layer.Size; size > l.Compressed || size < 0 {
			return &problem{ErrTooLarge, fmt.Sprintf("its layers have more than %d bytes", l.Compressed)}
		}
	}
	return nil
}

// checkHash makes a hash fit to name a directory.
func checkHash(hash v1.Hash) error {
	if hash.Algorithm != "sha256" || len(hash.Hex) != 64 || strings.Trim(hash.Hex, "0123456789abcdef") != "" {
		return &problem{ErrInvalidImage, fmt.Sprintf("%q is not a digest", clip(hash.String()))}
	}
	return nil
}

// choose finds the image of an index that fits best.
func (p Platform) choose(list []v1.Descriptor) (v1.Hash, error) {
	var offers []string
	best, found := -1, v1.Hash{}
	for _, d := range list {
		if d.Platform == nil || d.MediaType != types.OCIManifestSchema1 && d.MediaType != types.DockerManifestSchema2 {
			continue
		}
		offers = append(offers, d.Platform.OS+"/"+d.Platform.Architecture)
		if !p.runs(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) {
			continue
		}
		score := 0
		if d.Platform.Variant == p.Variant || p.Variant == "" && d.Platform.Variant == usualVariant[p.Architecture] {
			score = 1
		}
		if score > best {
			best, found = score, d.Digest
		}
	}
	if best < 0 {
		return found, &problem{ErrNoPlatform, fmt.Sprintf("it is for %s, this is %s/%s",
			clip(strings.Join(offers, ", ")), p.OS, p.Architecture)}
	}
	return found, checkHash(found)
}

// usualVariant are what images say of processors where they need not.
var usualVariant = map[string]string{"arm64": "v8", "arm": "v7"}

// runs reports whether this platform runs what is for another. Later variants
// of amd64 are for newer processors, and nobody asked for them.
func (p Platform) runs(system, architecture, variant string) bool {
	if system != p.OS || architecture != p.Architecture {
		return false
	}
	switch architecture {
	case "arm":
		return variant <= max(p.Variant, "v7")
	case "amd64":
		return variant == "" || variant <= max(p.Variant, "v1")
	}
	return true
}

// Registry returns the host of the registry that a reference is of, or "".
func Registry(reference string) string {
	if len(reference) > maxReference {
		return ""
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		return ""
	}
	return ref.Context().RegistryStr()
}

// RegistryHost returns a registry as Registry has it, or "". A host without a
// dot or port is one here; at the start of a reference it is a repository of
// Docker Hub.
func RegistryHost(host string) string {
	registry, err := name.NewRegistry(host, name.StrictValidation)
	if err != nil {
		return ""
	}
	return registry.RegistryStr()
}
