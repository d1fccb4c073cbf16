package image

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
)

func TestMain(m *testing.M) {
	if !supported {
		os.Exit(0) // there is only ErrUnsupported
	}
	os.Exit(leaktest.Run(m))
}

// shelf is a registry of this test.
type shelf struct {
	*httptest.Server
	host  string
	store *Store // of the test, where it matters

	mu     sync.Mutex
	before func(w http.ResponseWriter, r *http.Request) bool // answers, or lets through
	blobs  map[string]int                                    // how often each was asked for
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{blobs: map[string]int{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before := s.before
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			s.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]++
		}
		s.mu.Unlock()
		if before == nil || !before(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	s.host = strings.TrimPrefix(s.URL, "http://")
	return s
}

// on puts something before the registry.
func (s *shelf) on(before func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *shelf) asked(t *testing.T, layer v1.Layer) int {
	t.Helper()
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[digest.String()]
}

// push stores an image and returns its reference.
func (s *shelf) push(t *testing.T, path string, img v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(s.host + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	if err := remote.Write(ref, img, remote.WithTransport(transport)); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// item is an entry of a layer.
type item struct {
	name string
	kind byte // a regular file if 0
	body string
	link string
	mode int64
	uid  int
	pax  map[string]string
	size int64 // what the header says, if not the truth
}

func dir(name string) item        { return item{name: name, kind: tar.TypeDir, mode: 0o755} }
func file(name, body string) item { return item{name: name, body: body} }

func tarOf(tb testing.TB, items ...item) []byte {
	tb.Helper()
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	for _, i := range items {
		h := &tar.Header{
			Name: i.name, Typeflag: i.kind, Linkname: i.link, Mode: i.mode, Uid: i.uid, Gid: i.uid,
			Size: int64(len(i.body)), ModTime: time.Unix(1_700_000_000, 0), PAXRecords: i.pax,
		}
		if i.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if i.mode == 0 {
			h.Mode = 0o644
		}
		if i.size > 0 {
			h.Size = i.size
		}
		if err := out.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(out, i.body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := out.Flush(); err == nil {
		_ = out.Close()
	}
	return buf.Bytes()
}

func layerOf(t *testing.T, items ...item) v1.Layer {
	t.Helper()
	data := tarOf(t, items...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return configure(t, img, func(c *v1.ConfigFile) {
		c.OS, c.Architecture = "linux", runtime.GOARCH
	})
}

func configure(t *testing.T, img v1.Image, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	change(config)
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func openStore(t *testing.T, config Config) *Store {
	t.Helper()
	if config.Dir == "" {
		config.Dir = filepath.Join(t.TempDir(), "images")
	}
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustPull(t *testing.T, s *Store, reference string) *Handle {
	t.Helper()
	h, err := s.Pull(t.Context(), Request{Reference: reference})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// stored lists what a store has on the disk.
func (s *Store) stored(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, name := range []string{layersName, imagesName, tempName} {
		list, err := os.ReadDir(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		counts[name] = len(list)
	}
	return counts
}

func wantStored(t *testing.T, s *Store, layers, images int) {
	t.Helper()
	got := s.stored(t)
	if got[layersName] != layers || got[imagesName] != images || got[tempName] != 0 {
		t.Errorf("stored %v, want %d layers, %d images and nothing else", got, layers, images)
	}
}
