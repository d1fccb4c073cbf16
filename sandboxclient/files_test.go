package sandboxclient_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// dataplane is a real server and a sandbox whose data plane it is.
func dataplane(t *testing.T, handler http.HandlerFunc) *sandboxclient.Sandbox {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := sandboxclient.New(
		sandboxclient.WithEndpoint(srv.URL),
		sandboxclient.WithHTTPClient(srv.Client()),
		sandboxclient.WithRetry(sandboxclient.RetryPolicy{MaxAttempts: 3}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return c.FromInfo(sandboxclient.Info{Name: "box1", DataplaneURL: srv.URL + "/sb-1/"})
}

// TestUploadStreams: the server has the beginning of a file before the end of
// it exists.
func TestUploadStreams(t *testing.T) {
	t.Parallel()
	source, feed := io.Pipe()
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sb-1/upload" || r.URL.Query().Get("path") != "/app/a b+c%d&e=ü" {
			t.Errorf("request for %s", r.URL)
		}
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		part, err := form.NextPart()
		if err != nil {
			t.Error(err)
			return
		}
		first := make([]byte, 5)
		if _, err := io.ReadFull(part, first); err != nil || string(first) != "first" {
			t.Errorf("the beginning is %q: %v", first, err)
		}
		go func() {
			_, _ = io.WriteString(feed, "second")
			_ = feed.Close()
		}()
		rest, err := io.ReadAll(part)
		if err != nil || string(rest) != "second" {
			t.Errorf("the rest is %q: %v", rest, err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	go func() { _, _ = io.WriteString(feed, "first") }()
	if err := sb.Upload(t.Context(), "/app/a b+c%d&e=ü", source); err != nil {
		t.Error(err)
	}
}

// TestUploadOfStreamIsNotRepeated: it cannot be read again; bytes can.
func TestUploadOfStreamIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		upload   func(*sandboxclient.Sandbox) error
		requests int
	}{
		{"stream", func(sb *sandboxclient.Sandbox) error {
			return sb.Upload(t.Context(), "/a", io.MultiReader(strings.NewReader("content")))
		}, 1},
		{"bytes", func(sb *sandboxclient.Sandbox) error { return sb.WriteFile(t.Context(), "/a", []byte("content")) }, 3},
	} {
		var bodies [][]byte
		sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			bodies = append(bodies, body)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		if err := tt.upload(sb); !errors.Is(err, sandboxclient.ErrUnavailable) {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if len(bodies) != tt.requests {
			t.Fatalf("%s: %d requests, want %d", tt.name, len(bodies), tt.requests)
		}
		for _, body := range bodies {
			if !bytes.Equal(body, bodies[0]) || !bytes.Contains(body, []byte("content")) {
				t.Errorf("%s: body %q", tt.name, body)
			}
		}
	}
}

// TestUploadReaderFails: the caller's own error comes back.
func TestUploadReaderFails(t *testing.T) {
	t.Parallel()
	errRead := errors.New("disk on fire")
	sb := dataplane(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	source, feed := io.Pipe()
	go feed.CloseWithError(errRead)
	if err := sb.Upload(t.Context(), "/a", source); !errors.Is(err, errRead) {
		t.Errorf("error %v does not match the reader's", err)
	}
}

// TestDownloadStreams: the caller has the beginning of a file before the end of
// it was sent.
func TestDownloadStreams(t *testing.T) {
	t.Parallel()
	got := make(chan struct{})
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		select {
		case <-got:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "second")
	})
	r, err := sb.Download(t.Context(), "/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(r, first); err != nil || string(first) != "first" {
		t.Fatalf("the beginning is %q: %v", first, err)
	}
	close(got)
	rest, err := io.ReadAll(r)
	if err != nil || string(rest) != "second" {
		t.Errorf("the rest is %q: %v", rest, err)
	}
}

// TestDownloadCut: half a file is an error, not a file.
func TestDownloadCut(t *testing.T) {
	t.Parallel()
	sb := dataplane(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
	})
	_, err := sb.ReadFile(t.Context(), "/a")
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, sandboxclient.ErrConnection) {
		t.Errorf("error %v, want a cut connection", err)
	}
}

// TestSeekFromAnUnknownEnd: a server need not tell the size of a file.
func TestSeekFromAnUnknownEnd(t *testing.T) {
	t.Parallel()
	sb := box(client(t, &fake{answer: always(200, "content")}))
	file, err := sb.FS(t.Context(), "/d").Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if at, err := file.(io.Seeker).Seek(-1, io.SeekEnd); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("at %d, %v", at, err)
	}
}
