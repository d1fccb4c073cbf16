package image

import (
	"archive/tar"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPull(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	low := layerOf(t, dir("etc/"), file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:10:20::/srv:/bin/sh\n"),
		file("etc/group", "web:x:30:app\n"), dir("gone/"), file("gone/file", "1"), dir("old/"), file("old/file", "1"))
	high := layerOf(t, file(".wh.gone", ""), dir("old/"), file("old/.wh..wh..opq", ""), file("old/new", "2"))
	img := configure(t, imageOf(t, low, high), func(c *v1.ConfigFile) {
		c.Config = v1.Config{
			User: "app", WorkingDir: "/srv", Env: []string{"A=b"}, Entrypoint: []string{"/run"}, Cmd: []string{"me"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}}, Labels: map[string]string{"l": "v"},
		}
	})
	reference := shelf.push(t, "some/app:v1", img)
	s := openStore(t, Config{})
	var last Progress
	h, err := s.Pull(t.Context(), Request{Reference: reference, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	want := Boot{
		User:       User{UID: 10, GID: 20, Groups: []int{30}, Name: "app", Home: "/srv"},
		WorkingDir: "/srv", Env: []string{"A=b"}, Entrypoint: []string{"/run"}, Cmd: []string{"me"},
		Exposed: []string{"53/udp", "80/tcp"}, Labels: map[string]string{"l": "v"},
	}
	if diff := cmp.Diff(want, h.Image.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if digest, _ := img.Digest(); h.Image.Digest != digest.String() {
		t.Errorf("digest %s, want %s", h.Image.Digest, digest)
	}
	if last.Layers != 2 || last.LayersDone != 2 || last.Bytes == 0 || last.BytesDone != last.Bytes {
		t.Errorf("progress ends with %+v", last)
	}
	if len(h.Image.Layers) != 2 || h.Image.Size == 0 {
		t.Fatalf("image %+v", h.Image)
	}
	for name, want := range map[string]string{"gone": "whiteout", "old": "opaque", "old/new": "2"} {
		if got := show(t, filepath.Join(h.Image.Layers[1], name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	again := mustPull(t, s, reference)
	if again.Image.Digest != h.Image.Digest || shelf.asked(t, low) != 1 || shelf.asked(t, high) != 1 {
		t.Error("the second pull fetched layers again")
	}
	again.Release()
	h.Release()
	h.Release()
	wantStored(t, s, 2, 1)
}

// show says what a file is.
func show(t *testing.T, name string) string {
	t.Helper()
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return "missing"
	case isWhiteout(info):
		return "whiteout"
	case info.Mode()&os.ModeSymlink != 0:
		target, _ := os.Readlink(name)
		return "-> " + target
	case info.IsDir():
		if opaque, _ := opaqueDir(name); opaque {
			return "opaque"
		}
		return "directory"
	}
	data, _ := os.ReadFile(name)
	return string(data)
}

// TestSharedLayers: images have their common layers once.
func TestSharedLayers(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	base := layerOf(t, file("base", "1"))
	first := shelf.push(t, "a", imageOf(t, base, layerOf(t, file("a", "1"))))
	second := shelf.push(t, "b", imageOf(t, base, layerOf(t, file("b", "1")), base))
	s := openStore(t, Config{})
	a, b := mustPull(t, s, first), mustPull(t, s, second)
	if a.Image.Layers[0] != b.Image.Layers[0] || len(b.Image.Layers) != 3 || b.Image.Layers[2] != b.Image.Layers[0] {
		t.Errorf("layers %q and %q", a.Image.Layers, b.Image.Layers)
	}
	if n := shelf.asked(t, base); n != 1 {
		t.Errorf("the common layer was fetched %d times", n)
	}
	wantStored(t, s, 3, 2)
}

// TestOpaqueRoot: overlayfs does not look for the mark at the root.
func TestOpaqueRoot(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("below", "1")), layerOf(t, file(".wh..wh..opq", ""), file("top", "1"))))
	h := mustPull(t, openStore(t, Config{}), reference)
	if len(h.Image.Layers) != 1 || show(t, h.Image.Layers[0]+"/top") != "1" {
		t.Errorf("layers %q", h.Image.Layers)
	}
}

func TestPullFails(t *testing.T) {
	t.Parallel()
	small := Limits{Layers: 2, Bytes: 64 << 10, Compressed: 1 << 20, Entries: 20, PathLength: 100}
	var many []item
	for i := range 21 {
		many = append(many, file(strconv.Itoa(i), ""))
	}
	zeros := strings.Repeat("\x00", 1<<20)
	tests := []struct {
		name string
		want error
		text string
		make func(t *testing.T, shelf *shelf) string
	}{
		{"no such image", ErrNotFound, "", func(_ *testing.T, s *shelf) string { return s.host + "/none" }},
		{"bad reference", ErrInvalidReference, "", func(*testing.T, *shelf) string { return "UPPER//x" }},
		{"long reference", ErrInvalidReference, "", func(*testing.T, *shelf) string { return strings.Repeat("a", 2000) }},
		{"too many layers", ErrTooLarge, "3 layers", func(t *testing.T, s *shelf) string {
			return s.push(t, "a", imageOf(t, layerOf(t, file("1", "")), layerOf(t, file("2", "")), layerOf(t, file("3", ""))))
		}},
		{"no layers", ErrInvalidImage, "no layers", func(t *testing.T, s *shelf) string { return s.push(t, "a", imageOf(t)) }},
		{"too many entries", ErrTooLarge, "entries", func(t *testing.T, s *shelf) string { return s.push(t, "a", imageOf(t, layerOf(t, many...))) }},
		{"bomb", ErrTooLarge, "larger", func(t *testing.T, s *shelf) string {
			return s.push(t, "a", imageOf(t, layerOf(t, file("zeros", zeros))))
		}},
		{"leaves the image", ErrInvalidImage, `"../x"`, func(t *testing.T, s *shelf) string {
			return s.push(t, "a", imageOf(t, layerOf(t, file("ok", "")), layerOf(t, file("../x", ""))))
		}},
		{"other platform", ErrNoPlatform, "plan9/mips", func(t *testing.T, s *shelf) string {
			return s.push(t, "a", configure(t, imageOf(t, layerOf(t, file("x", ""))), func(c *v1.ConfigFile) { c.OS, c.Architecture = "plan9", "mips" }))
		}},
		{"unknown user", ErrInvalidImage, `"nobody-knows"`, func(t *testing.T, s *shelf) string {
			return s.push(t, "a", configure(t, imageOf(t, layerOf(t, file("x", ""))), func(c *v1.ConfigFile) { c.Config.User = "nobody-knows" }))
		}},
		{"another content", ErrInvalidImage, "digest", func(t *testing.T, s *shelf) string {
			img := imageOf(t, layerOf(t, file("x", "good")))
			return s.push(t, "a", configure(t, img, func(c *v1.ConfigFile) { c.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64) }))
		}},
		{"two layers, one id", ErrInvalidImage, "2 layers", func(t *testing.T, s *shelf) string {
			img := imageOf(t, layerOf(t, file("x", "good")), layerOf(t, file("y", "good")))
			return s.push(t, "a", configure(t, img, func(c *v1.ConfigFile) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] }))
		}},
		{"registry is ill", ErrUnavailable, "Bad Gateway", func(_ *testing.T, s *shelf) string {
			s.on(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusBadGateway)
				return true
			})
			return s.host + "/a"
		}},
		{"registry is gone", ErrUnavailable, "", func(_ *testing.T, s *shelf) string { s.Close(); return s.host + "/a" }},
		{"manifest of zeros", ErrInvalidImage, "", func(_ *testing.T, s *shelf) string {
			s.on(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				for range 8 {
					_, _ = w.Write([]byte(zeros))
				}
				return true
			})
			return s.host + "/a"
		}},
		{"manifest of zeros elsewhere", ErrInvalidImage, "too long", func(_ *testing.T, s *shelf) string {
			s.on(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case strings.Contains(r.URL.Path, "/manifests/"):
					http.Redirect(w, r, "/blobs/x", http.StatusTemporaryRedirect)
					return true
				case r.URL.Path != "/blobs/x":
					return false
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				for range 8 {
					_, _ = w.Write([]byte(zeros))
				}
				return true
			})
			return s.host + "/a"
		}},
		{"large with what is there", ErrTooLarge, "larger", func(t *testing.T, s *shelf) string {
			there := layerOf(t, file("zeros", zeros[:40<<10]))
			if h, err := s.store.Pull(t.Context(), Request{Reference: s.push(t, "b", imageOf(t, there))}); err == nil {
				defer h.Release()
			} else {
				t.Error(err)
			}
			return s.push(t, "a", imageOf(t, there, layerOf(t, file("more", zeros[:40<<10]))))
		}},
		{"many complaints", ErrUnavailable, "Bad Request", func(_ *testing.T, s *shelf) string {
			s.on(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"errors":[` + strings.Repeat(`{"code":"UNKNOWN","message":"no"},`, 1000) + `{}]}`))
				return true
			})
			return s.host + "/a"
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shelf, s := newShelf(t), openStore(t, Config{Limits: small})
			shelf.store = s
			reference := test.make(t, shelf)
			had := s.stored(t)
			_, err := s.Pull(t.Context(), Request{Reference: reference})
			if failed, ok := errors.AsType[*Error](err); !ok || !errors.Is(failed.Kind, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("error %v, want %v with %q", err, test.want, test.text)
			}
			if n := len(err.Error()); n > 2000 {
				t.Errorf("an error of %d bytes", n)
			}
			wantStored(t, s, had[layersName], had[imagesName])
		})
	}
}

// TestWrongBlob: what is sent is not what was asked for.
func TestWrongBlob(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	l := layerOf(t, file("x", "good"))
	reference := shelf.push(t, "a", imageOf(t, l))
	digest, _ := l.Digest()
	other := tarOf(t, file("x", "evil"))
	shelf.on(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.String()) {
			_, _ = w.Write(other)
			return true
		}
		return false
	})
	s := openStore(t, Config{})
	if _, err := s.Pull(t.Context(), Request{Reference: reference}); !errors.Is(err, ErrInvalidImage) {
		t.Errorf("error %v", err)
	}
	wantStored(t, s, 0, 0)
	shelf.on(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, digest.String()) {
			return false
		}
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(other[:100])
		panic(http.ErrAbortHandler)
	})
	if _, err := s.Pull(t.Context(), Request{Reference: reference}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("broken off: error %v", err)
	}
	wantStored(t, s, 0, 0)
	shelf.on(nil)
	mustPull(t, s, reference)
	wantStored(t, s, 1, 1)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("x", "1"))))
	shelf.on(func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "me" && password == "secret-word" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	s := openStore(t, Config{})
	for _, c := range []Credentials{{}, {Username: "me", Password: "other-secret"}} {
		_, err := s.Pull(t.Context(), Request{Reference: reference, Credentials: c})
		if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "other-secret") {
			t.Errorf("%v: error %v", c.Username, err)
		}
	}
	h, err := s.Pull(t.Context(), Request{Reference: reference, Credentials: Credentials{"me", "secret-word"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Release()
	if _, err := s.Pull(t.Context(), Request{Reference: reference}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("an image that is there is for everybody: %v", err)
	}
}

// TestInsecure: other machines are not asked without TLS, also not when a
// registry says so, and none sends requests back to this machine.
func TestInsecure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		registry, url string
		plain         bool
		want          error
	}{
		{"example.com", "http://example.com/v2/", false, ErrInsecure},
		{"10.1.2.3:5000", "http://10.1.2.3:5000/v2/", false, ErrInsecure},
		{"example.com", "http://example.com/v2/", true, nil},
		{"example.com", "http://other.example/v2/", true, ErrInsecure},
		{"example.com", "https://cdn.example/", false, nil},
		{"example.com", "https://127.0.0.1/", false, ErrInvalidImage},
		{"example.com", "http://localhost:1/", true, ErrInvalidImage},
		{"example.com", "http://[::1]:1/", true, ErrInvalidImage},
		{"127.0.0.1:5000", "http://127.0.0.1:5000/v2/", false, nil},
		{"localhost:5000", "http://example.com/", false, ErrInsecure},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		p := &policy{registry: test.registry, plain: test.plain, base: sender(func(*http.Request) (*http.Response, error) {
			return &http.Response{Body: http.NoBody}, nil
		})}
		response, err := p.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%+v: error %v", test, err)
		}
	}
}

type sender func(*http.Request) (*http.Response, error)

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// TestIndex: the image for this machine is chosen from an index.
func TestIndex(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	mine, other := imageOf(t, layerOf(t, file("mine", "1"))), imageOf(t, layerOf(t, file("other", "1")))
	push := func(path string, list ...mutate.IndexAddendum) string {
		ref, err := name.ParseReference(shelf.host + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		transport := new(http.Transport)
		defer transport.CloseIdleConnections()
		if err := remote.WriteIndex(ref, mutate.AppendManifests(empty.Index, list...), remote.WithTransport(transport)); err != nil {
			t.Fatal(err)
		}
		return ref.String()
	}
	forPlatform := func(img v1.Image, system, architecture, variant string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: system, Architecture: architecture, Variant: variant},
		}}
	}
	s := openStore(t, Config{})
	h := mustPull(t, s, push("both", forPlatform(other, "linux", "s390x", ""), forPlatform(mine, "linux", runtime.GOARCH, "")))
	if show(t, h.Image.Layers[0]+"/mine") != "1" {
		t.Error("another platform's image was chosen")
	}
	reference := push("none", forPlatform(other, "windows", runtime.GOARCH, ""))
	if _, err := s.Pull(t.Context(), Request{Reference: reference}); !errors.Is(err, ErrNoPlatform) || !strings.Contains(err.Error(), "windows/") {
		t.Errorf("error %v", err)
	}
}

// TestPacked: layers may be packed in any way that images know, whatever their
// type says.
func TestPacked(t *testing.T) {
	t.Parallel()
	plain := tarOf(t, file("x", "1"), item{name: "d", kind: tar.TypeDir, mode: 0o755})
	for name, data := range map[string][]byte{"plain": plain, "zstd": zstdOf(t, plain)} {
		shelf := newShelf(t)
		reference := shelf.push(t, "a", imageOf(t, &rawLayer{data: data, plain: plain}))
		h := mustPull(t, openStore(t, Config{}), reference)
		if got := show(t, h.Image.Layers[0]+"/x"); got != "1" {
			t.Errorf("%s: x is %s", name, got)
		}
	}
}
