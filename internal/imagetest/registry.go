// Package imagetest has registries for tests, and images made of the programs
// of this machine.
package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Registry is a registry in this process. It is safe for concurrent use.
type Registry struct {
	// Host is its address, as references have it.
	Host string

	mu     sync.Mutex
	before func(http.ResponseWriter, *http.Request) bool
	blobs  int
}

// NewRegistry starts a registry that ends with the test.
func NewRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r := new(Registry)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0))) //nolint:forbidigo // it says nothing
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
			r.blobs++
		}
		before := r.before
		r.mu.Unlock()
		if before == nil || before(w, req) {
			inner.ServeHTTP(w, req)
		}
	}))
	tb.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// Before has a function see each request from now on; it returns false when it
// has answered. Nil is none.
func (r *Registry) Before(f func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// Lock has the registry ask for a name and a password.
func (r *Registry) Lock(username, password string) {
	r.Before(func(w http.ResponseWriter, req *http.Request) bool {
		user, word, _ := req.BasicAuth()
		if user == username && word == password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	})
}

// Blobs is how many layers and configurations were asked for.
func (r *Registry) Blobs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blobs
}

// Push stores an image for this machine, with one layer for each list of
// entries, and returns its reference.
func (r *Registry) Push(tb testing.TB, path string, config v1.Config, layers ...[]Entry) string {
	tb.Helper()
	img := empty.Image
	for _, entries := range layers {
		data := pack(tb, entries)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		tb.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	if img, err = mutate.ConfigFile(img, file); err != nil {
		tb.Fatal(err)
	}
	ref, err := name.ParseReference(r.Host + "/" + path)
	if err != nil {
		tb.Fatal(err)
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	if err := remote.Write(ref, img, remote.WithTransport(transport)); err != nil {
		tb.Fatal(err)
	}
	return ref.String()
}

// Entry is a file, directory or link of a layer.
type Entry struct {
	tar.Header

	Data []byte
}

// File is a file that everybody may read and execute.
func File(name, data string) Entry {
	return Entry{tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}, []byte(data)}
}

// Dir is a directory of a user.
func Dir(name string, uid int) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, Uid: uid, Gid: uid}}
}

// Link is a symbolic link.
func Link(name, target string) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}}
}

func pack(tb testing.TB, entries []Entry) []byte {
	tb.Helper()
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := out.WriteHeader(&e.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := out.Write(e.Data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}
