package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Names in the directory of a store.
const (
	layersName = "layers"
	imagesName = "images"
	tempName   = "tmp"
	lockName   = "lock"
	ownerName  = "owner.json"
)

// Store keeps images. It is safe for concurrent use. Whatever its process is
// stopped by, the directory holds whole layers only, under their names.
type Store struct {
	config    Config
	transport *http.Transport
	lock      *os.File
	stop      context.CancelFunc
	ctx       context.Context //nolint:containedctx // ends the downloads
	going     sync.WaitGroup  // added to with mu held, and closed false
	room      *budget         // of what is unpacked, and not among the layers

	mu      sync.Mutex
	closed  bool
	bytes   int64
	layers  map[v1.Hash]*layer
	images  map[string]*kept
	flights map[v1.Hash]*flight
}

// layer is one that is there. It goes when nothing needs it any more.
type layer struct {
	note
	diff v1.Hash
	refs int // images, and pulls that go on
}

// kept is an image that is there.
type kept struct {
	Image
	diffs []v1.Hash // each once
	holds int
	used  time.Time
}

// Open takes the directory, and removes from it what is not whole.
func Open(config Config) (*Store, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	if !supported {
		return nil, ErrUnsupported
	}
	if config.Dir, err = filepath.Abs(config.Dir); err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	// Nobody else gets to the programs of others in there.
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	lock, err := lockDir(filepath.Join(config.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	s := &Store{
		config: config, lock: lock, transport: http.DefaultTransport.(*http.Transport).Clone(), //nolint:errcheck,forbidigo // a copy: nobody else has a say in how registries are reached
		room:   newRoom(config.MaxBytes),
		layers: map[v1.Hash]*layer{}, images: map[string]*kept{}, flights: map[v1.Hash]*flight{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("image store: %w", err), s.Close())
	}
	return s, nil
}

// Close breaks pulls off, and waits for them. Images stay for the next store,
// and their layers are there as long as someone uses them.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.going.Wait()
	s.transport.CloseIdleConnections()
	return s.lock.Close()
}

func (s *Store) path(names ...string) string {
	return filepath.Join(append([]string{s.config.Dir}, names...)...)
}

func (s *Store) layerPath(diff v1.Hash) string { return s.path(layersName, diff.Hex) }

func (s *Store) recordPath(digest string) string {
	return s.path(imagesName, strings.TrimPrefix(digest, "sha256:")+".json")
}

// record is an image on the disk. Its time is when it was used last.
type record struct {
	Image
	Diffs []v1.Hash `json:"layers"`
}

// load reads what is there, and removes what a process that was killed has
// left.
func (s *Store) load() error {
	if err := s.config.Remove(s.path(tempName)); err != nil {
		return err
	}
	if err := s.checkOwner(); err != nil {
		return err
	}
	for _, name := range []string{tempName, layersName, imagesName} {
		if err := os.MkdirAll(s.path(name), 0o700); err != nil {
			return err
		}
	}
	if err := s.loadLayers(); err != nil {
		return err
	}
	if err := s.loadImages(); err != nil {
		return err
	}
	var trash []string
	s.mu.Lock()
	for _, l := range s.layers {
		if l.refs == 0 {
			trash = append(trash, s.drop(l))
		}
	}
	trash = append(trash, s.evict()...)
	s.mu.Unlock()
	return s.remove(trash)
}

// checkOwner clears a directory whose files belong to others than asked for.
func (s *Store) checkOwner() error {
	want, err := json.Marshal(s.config.Owner)
	if err != nil {
		return err
	}
	name := s.path(ownerName)
	if have, err := os.ReadFile(name); err == nil && string(have) == string(want) {
		return nil
	}
	for _, dir := range []string{imagesName, layersName} {
		if err := s.config.Remove(s.path(dir)); err != nil {
			return err
		}
	}
	return os.WriteFile(name, want, 0o600)
}

func (s *Store) loadLayers() error {
	entries, err := os.ReadDir(s.path(layersName))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		diff := v1.Hash{Algorithm: "sha256", Hex: entry.Name()}
		n, err := readNote(s.layerPath(diff))
		if checkHash(diff) != nil || err != nil {
			if err := s.config.Remove(s.path(layersName, entry.Name())); err != nil {
				return err
			}
			continue
		}
		s.layers[diff] = &layer{note: n, diff: diff}
		s.bytes += n.Size
	}
	return nil
}

func (s *Store) loadImages() error {
	entries, err := os.ReadDir(s.path(imagesName))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := s.path(imagesName, entry.Name())
		if err := s.loadImage(name); err != nil {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) loadImage(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	for _, diff := range r.Diffs {
		if s.layers[diff] == nil {
			return fs.ErrNotExist
		}
	}
	if s.recordPath(r.Digest) != name || len(r.Diffs) == 0 {
		return fs.ErrInvalid
	}
	s.keep(r, info.ModTime())
	return nil
}

// keep enters an image whose layers are there. The caller has s.mu, or the
// store for itself.
func (s *Store) keep(r record, used time.Time) *kept {
	k := &kept{Image: r.Image, used: used}
	seen := map[v1.Hash]bool{}
	for _, diff := range r.Diffs {
		l := s.layers[diff]
		if l.Opaque {
			k.Layers = nil // overlayfs does not ask for it at the root
		}
		k.Layers = append(k.Layers, filepath.Join(s.layerPath(diff), rootName))
		if !seen[diff] {
			seen[diff] = true
			l.refs++
			k.diffs = append(k.diffs, diff)
			k.Size += l.Size
		}
	}
	s.images[r.Digest] = k
	return k
}

// hold makes a handle. The caller has s.mu.
func (s *Store) hold(k *kept) *Handle {
	k.holds++
	k.used = time.Now()
	// Only what is evicted first depends on it.
	_ = os.Chtimes(s.recordPath(k.Digest), k.used, k.used)
	return &Handle{Image: k.Image, store: s}
}

func (s *Store) release(h *Handle) {
	s.mu.Lock()
	if h.released || s.closed {
		s.mu.Unlock()
		return
	}
	h.released = true
	s.images[h.Image.Digest].holds-- // it is there as long as it is held
	trash := s.evict()
	s.going.Add(1)
	s.mu.Unlock()
	defer s.going.Done()
	_ = s.remove(trash) // what is left is removed by the next Open
}

// evict takes out images that nobody holds until the rest fits, and returns
// what to remove. The caller has s.mu.
func (s *Store) evict() (trash []string) {
	for s.bytes > s.config.MaxBytes {
		var oldest *kept
		for _, k := range s.images {
			if k.holds == 0 && (oldest == nil || k.used.Before(oldest.used)) {
				oldest = k
			}
		}
		if oldest == nil {
			break
		}
		if err := os.Remove(s.recordPath(oldest.Digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		delete(s.images, oldest.Digest)
		trash = append(trash, s.unref(oldest.diffs)...)
	}
	return trash
}

// unref gives layers up and returns what to remove. The caller has s.mu.
func (s *Store) unref(diffs []v1.Hash) (trash []string) {
	for _, diff := range diffs {
		l := s.layers[diff]
		if l.refs--; l.refs == 0 {
			trash = append(trash, s.drop(l))
		}
	}
	return trash
}

// drop takes a layer's name away from it, so that nobody finds part of it.
// The caller has s.mu.
func (s *Store) drop(l *layer) string {
	delete(s.layers, l.diff)
	s.bytes -= l.Size
	dir, err := s.temp()
	if err != nil || os.Rename(s.layerPath(l.diff), filepath.Join(dir, layersName)) != nil {
		return s.layerPath(l.diff)
	}
	return dir
}

// temp makes a directory for what is not whole.
func (s *Store) temp() (string, error) { return os.MkdirTemp(s.path(tempName), "") }

func (s *Store) remove(trash []string) error {
	var all []error
	for _, dir := range trash {
		all = append(all, s.config.Remove(dir))
	}
	return errors.Join(all...)
}

// removeTree removes a directory, with those in it that their owner may not
// read.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && err == nil {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
