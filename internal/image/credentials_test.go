package image

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// elsewhere is a server that a registry sends to, and what it was shown.
type elsewhere struct {
	*httptest.Server

	mu   sync.Mutex
	seen []string
}

func newElsewhere(t *testing.T, answer http.HandlerFunc) *elsewhere {
	t.Helper()
	e := new(elsewhere)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.seen = append(e.seen, r.Header.Get("Authorization")+" "+r.URL.RawQuery+" "+r.Header.Get("Referer"))
		e.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *elsewhere) shown() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// TestBlobsElsewhere: a registry may have its blobs elsewhere, which is shown
// no credentials of the registry.
func TestBlobsElsewhere(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("x", "1"))))
	inner := shelf.Config.Handler
	blobs := newElsewhere(t, func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) })
	shelf.on(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret-word" {
			if r.Host == shelf.host {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}
		if strings.Contains(r.URL.Path, "/blobs/") && r.Host == shelf.host {
			http.Redirect(w, r, blobs.URL+r.URL.Path+"?signature=s", http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	h, err := openStore(t, Config{}).Pull(t.Context(), Request{Reference: reference, Credentials: Credentials{"me", "secret-word"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Release()
	seen := blobs.shown()
	if len(seen) != 2 { // the configuration and the layer
		t.Errorf("asked %q", seen)
	}
	for _, s := range seen {
		if !strings.HasPrefix(s, " signature=s ") || strings.Contains(s, "secret-word") {
			t.Errorf("shown %q", s)
		}
	}
}

// TestTokens: the server of a registry's tokens gets the credentials, and the
// registry its token only. What the server complains about is no secret.
func TestTokens(t *testing.T) {
	t.Parallel()
	shelf := newShelf(t)
	reference := shelf.push(t, "a", imageOf(t, layerOf(t, file("x", "1"))))
	tokens := newElsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret-word" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "granted"})
	})
	shelf.on(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Header.Get("Authorization") {
		case "Bearer granted":
			return false
		case "":
		default:
			t.Errorf("the registry was shown %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(tokens.URL, "127.0.0.1", "localhost", 1)+`/token",service="s"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	s := openStore(t, Config{})
	_, err := s.Pull(t.Context(), Request{Reference: reference, Credentials: Credentials{"me", "other-word"}})
	if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "other-word") {
		t.Errorf("wrong password: %v", err)
	}
	h, err := s.Pull(t.Context(), Request{Reference: reference, Credentials: Credentials{"me", "secret-word"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Release()
}
