package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestRestart: a store finds what another one has pulled, and removes what is
// not whole.
func TestRestart(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	base := layerOf(t, file("base", "1"))
	first := shelf.push(t, "a", imageOf(t, base))
	second := shelf.push(t, "b", imageOf(t, base, layerOf(t, file("b", "1"))))
	config := Config{Dir: filepath.Join(t.TempDir(), "images")}
	s := openStore(t, config)
	if _, err := Open(config); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second store for the directory: %v", err)
	}
	a, b := mustPull(t, s, first), mustPull(t, s, second)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a.Release() // may come late
	// What a crash can leave, and what nobody made.
	stray := strings.Repeat("ab", 32)
	for _, dir := range []string{"tmp/1234/root", "layers/" + stray + "/root", "layers/nonsense"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.path("layers", stray, noteName), []byte(`{"size":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("images", "torn.json"), []byte(`{"dig`), 0o600); err != nil {
		t.Fatal(err)
	}
	// The upper layer of the second image is gone.
	if err := os.RemoveAll(filepath.Dir(b.Image.Layers[1])); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, config)
	wantStored(t, s, 1, 1)
	h, err := s.Acquire(t.Context(), a.Image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if h.Image.Size != a.Image.Size || show(t, h.Image.Layers[0]+"/base") != "1" {
		t.Errorf("image %+v, was %+v", h.Image, a.Image)
	}
	if _, err := s.Acquire(t.Context(), b.Image.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image without all its layers: %v", err)
	}
	mustPull(t, s, second).Release()
	if n := shelf.asked(t, base); n != 1 {
		t.Errorf("the common layer was fetched %d times", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		config.Owner = Owner{UID: 200000, GID: 200000, Size: 10}
		wantStored(t, openStore(t, config), 0, 0)
	}
}

// TestEvict: images that nobody holds make room, the one used longest ago
// first, and layers go with the last image that has them.
func TestEvict(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	body := strings.Repeat("x", 40<<10)
	shared := layerOf(t, file("shared", body))
	var references []string
	for _, name := range []string{"a", "b", "c"} {
		references = append(references, shelf.push(t, name, imageOf(t, shared, layerOf(t, file(name, body)))))
	}
	s := openStore(t, Config{MaxBytes: 160 << 10}) // three layers, and no fourth
	a := mustPull(t, s, references[0])
	b := mustPull(t, s, references[1])
	_, err := s.Pull(t.Context(), Request{Reference: references[2]})
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("all are held: %v", err)
	}
	wantStored(t, s, 3, 2)
	a.Release()
	b.Release()
	again, err := s.Acquire(t.Context(), a.Image.Digest) // b is older now
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	if err := os.Remove(s.recordPath(b.Image.Digest)); err != nil { // by somebody else: it is no reason to keep the layers
		t.Fatal(err)
	}
	c := mustPull(t, s, references[2])
	wantStored(t, s, 3, 2)
	if _, err := s.Acquire(t.Context(), b.Image.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("the image used longest ago is there: %v", err)
	}
	if show(t, c.Image.Layers[0]+"/shared") != body || show(t, b.Image.Layers[1]) != "missing" {
		t.Error("the wrong layers went")
	}
	_, err = s.Pull(t.Context(), Request{Reference: shelf.push(t, "d", imageOf(t, layerOf(t, file("d", body+body+body+body+body))))})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("larger than all: %v", err)
	}
	c.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantStored(t, openStore(t, Config{Dir: s.config.Dir, MaxBytes: 100 << 10}), 2, 1)
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	for _, errno := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := classify(t.Context(), "x", &os.PathError{Op: "write", Path: "f", Err: errno})
		if !errors.Is(err, ErrNoSpace) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	err := classify(t.Context(), "x", &os.PathError{Op: "mkdir", Path: "f", Err: syscall.EACCES})
	if errors.Is(err, ErrInvalidImage) || !errors.Is(err, syscall.EACCES) {
		t.Errorf("a fault of the machine: %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{{}, {Dir: t.TempDir(), MaxBytes: -1}, {Dir: t.TempDir(), Limits: Limits{Layers: -1}}} {
		if _, err := Open(config); err == nil {
			t.Errorf("%+v: no error", config)
		}
	}
	for _, hash := range []v1.Hash{{}, {Algorithm: "sha256", Hex: "../../x"}, {Algorithm: "md5", Hex: strings.Repeat("a", 64)}, {Algorithm: "sha256", Hex: strings.Repeat("A", 64)}} {
		if checkHash(hash) == nil {
			t.Errorf("%v may name a directory", hash)
		}
	}
}

// TestRoom: layers on their way have a bound together, whoever pulls them, and
// what is taken is given back whatever becomes of them.
func TestRoom(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	body := strings.Repeat("x", 40<<10)
	good := shelf.push(t, "good", imageOf(t, layerOf(t, file("a", body))))
	bad := shelf.push(t, "bad", imageOf(t, layerOf(t, file("b", body), file("../c", body))))
	s := openStore(t, Config{MaxBytes: 100 << 10})
	if err := s.room.take(70 << 10); err != nil { // by another pull
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), Request{Reference: good}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("no room: %v", err)
	}
	wantStored(t, s, 0, 0)
	s.room.give(70 << 10)
	if _, err := s.Pull(t.Context(), Request{Reference: bad}); !errors.Is(err, ErrInvalidImage) {
		t.Errorf("bad image: %v", err)
	}
	mustPull(t, s, good).Release()
	if left := s.room.left.Load(); left != 100<<10 {
		t.Errorf("%d bytes of room are left", left)
	}
}
