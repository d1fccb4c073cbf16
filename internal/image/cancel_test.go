package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestCancel: a pull that is broken off ends, and leaves nothing; another one
// that waits for the same layer gets it.
func TestCancel(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	slow := layerOf(t, file("x", strings.Repeat("some text ", 100)))
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("quick", "1")), slow))
	digest, _ := slow.Digest()
	diff, _ := slow.DiffID()
	began, goOn := make(chan struct{}, 10), make(chan struct{})
	shelf.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, digest.String()) || r.Method != http.MethodGet {
			return false
		}
		began <- struct{}{}
		select {
		case <-goOn:
			return false
		case <-r.Context().Done():
			return true
		}
	})
	s := openStore(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	pull := func(ctx context.Context) {
		h, err := s.Pull(ctx, Request{Reference: reference})
		if err == nil {
			h.Release()
		}
		results <- err
	}
	go pull(ctx)
	<-began
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	wantStored(t, s, 0, 0)

	ctx, cancel = context.WithCancel(t.Context())
	go pull(ctx)
	<-began
	go pull(t.Context())
	for { // until the second waits for the first one's download
		s.mu.Lock()
		f := s.flights[diff]
		both := f != nil && f.waiters == 2
		s.mu.Unlock()
		if both {
			break
		}
		runtime.Gosched()
	}
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(goOn)
	if err := <-results; err != nil {
		t.Errorf("the other pull: %v", err)
	}
	if len(began) != 0 {
		t.Error("the layer was fetched again")
	}
	wantStored(t, s, 2, 1)
}

// TestCloseBreaksOff: closing a store ends the pulls.
func TestCloseBreaksOff(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("x", "1"))))
	began := make(chan struct{}, 10)
	shelf.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		began <- struct{}{}
		<-r.Context().Done()
		return true
	})
	s := openStore(t, Config{})
	result := make(chan error, 1)
	go func() {
		_, err := s.Pull(context.WithoutCancel(t.Context()), Request{Reference: reference})
		result <- err
	}()
	<-began
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Pull(t.Context(), Request{Reference: reference}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// TestConcurrent: many pulls fetch each layer once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	var layers []v1.Layer
	var references []string
	for i := range 4 {
		layers = append(layers, layerOf(t, file(fmt.Sprint("f", i), strings.Repeat("x", 10_000))))
		references = append(references, shelf.push(t, fmt.Sprint("a", i), imageOf(t, layers...)))
	}
	s := openStore(t, Config{})
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			h, err := s.Pull(t.Context(), Request{Reference: references[i%4]})
			if err != nil {
				t.Error(err)
				return
			}
			for _, dir := range h.Image.Layers {
				if _, err := os.Lstat(dir); err != nil {
					t.Error(err)
				}
			}
			h.Release()
		})
	}
	group.Wait()
	for i, l := range layers {
		if n := shelf.asked(t, l); n != 1 {
			t.Errorf("layer %d was fetched %d times", i, n)
		}
	}
	wantStored(t, s, 4, 4)
}
