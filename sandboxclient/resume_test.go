package sandboxclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func parse(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func bounds(t *testing.T, span string) (from, to int) {
	t.Helper()
	if _, err := fmt.Sscanf(span, "%d-%d", &from, &to); err != nil {
		t.Fatal(err)
	}
	return from, to
}

// short is a connection that ends after some bytes of the content.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(s.left, len(p))])
	if s.left -= n; s.left == 0 && err == nil {
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// TestDownloadResumes: a download whose connections are lost is whole.
func TestDownloadResumes(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300_000)
	rand.New(rand.NewSource(1)).Read(content)
	var ranges []string
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range")+" "+r.Header.Get("If-Range"))
		w.Header().Set("ETag", `"v1"`)
		if len(ranges) == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if len(ranges) < 5 {
			w = &short{w, 50_000}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	for i, tt := range []struct {
		opts *sandboxclient.DownloadOptions
		want []byte
	}{
		{nil, content},
		{&sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(1000, 200_000)}, content[1000:201_000]},
		{&sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(200_000)}, content[100_000:]},
	} {
		ranges = nil
		d, err := sb.Download(t.Context(), "/f", tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(d)
		if err := errors.Join(err, d.Close()); err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%d: %d bytes of %d, %v", i, len(got), len(tt.want), err)
		}
		if len(ranges) != 5 || !strings.HasSuffix(ranges[1], ` "v1"`) {
			t.Errorf("%d: requests %q", i, ranges)
		}
	}
}

// TestDownloadWriteTo: io.Copy has it write all, and tells which side failed.
func TestDownloadWriteTo(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 50_000)
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	for _, limit := range []int{len(content), 1000} {
		d, err := sb.Download(t.Context(), "/f", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		n, err := io.Copy(limited{&got, limit}, d)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if n != int64(got.Len()) || got.String() != content[:got.Len()] || limit == len(content) && (err != nil || got.Len() != limit) || limit == 1000 && !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("limit %d: %d bytes, %v", limit, n, err)
		}
	}
}

// limited is a writer that takes so much in one call.
type limited struct {
	io.Writer
	limit int
}

func (l limited) Write(p []byte) (int, error) { return l.Writer.Write(p[:min(len(p), l.limit)]) }

// TestDownloadDoesNotResume: what cannot be gone on with is an error, and never
// a file put together from two.
func TestDownloadDoesNotResume(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 10_000)
	for name, tt := range map[string]struct {
		again func(w http.ResponseWriter, r *http.Request) // after the cut
		etag  string
		is    error
		tries int
	}{
		"another file": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v2"`)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		}, `"v1"`, sandboxclient.ErrChanged, 2},
		"a file that is gone": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, `"v1"`, fs.ErrNotExist, 2},
		"no ranges": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			_, _ = io.WriteString(w, content)
		}, `"v1"`, io.ErrUnexpectedEOF, 2},
		"another part": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Range", "bytes 0-9/100000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, content[:10])
		}, `"v1"`, io.ErrUnexpectedEOF, 2},
		"a weak validator": {nil, `W/"v1"`, io.ErrUnexpectedEOF, 1},
		"no validator":     {nil, "", io.ErrUnexpectedEOF, 1},
		"nothing comes any more": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Range", r.Header.Get("Range"))
			w.Header().Set("Content-Length", strconv.Itoa(len(content)-1000))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}, `"v1"`, io.ErrUnexpectedEOF, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
				tries++
				if tries > 1 {
					tt.again(w, r)
					return
				}
				if tt.etag != "" {
					w.Header().Set("ETag", tt.etag)
				}
				http.ServeContent(&short{w, 1000}, r, "", time.Time{}, strings.NewReader(content))
			})
			d, err := sb.Download(t.Context(), "/f", nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(d)
			if _, isPath := errors.AsType[*fs.PathError](err); !isPath || !errors.Is(err, tt.is) || string(got) != content[:1000] || tries != tt.tries {
				t.Errorf("%d bytes in %d requests, %v", len(got), tries, err)
			}
			if _, again := d.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("and then %v", again)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
