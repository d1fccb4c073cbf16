package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestUploadBody: one part called file, with the bytes as they are.
func TestUploadBody(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"text": "grüß", "bytes": "\x00\x01\r\n--\xff", "nothing": ""} {
		for kind, upload := range map[string]func(context.Context, *sandboxclient.Sandbox) error{
			"WriteFile": func(ctx context.Context, sb *sandboxclient.Sandbox) error {
				return sb.WriteFile(ctx, "/app/data.bin", []byte(content))
			},
			"Upload": func(ctx context.Context, sb *sandboxclient.Sandbox) error {
				return sb.Upload(ctx, "/app/data.bin", strings.NewReader(content))
			},
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				f := &fake{answer: always(204, "")}
				if err := upload(t.Context(), box(client(t, f))); err != nil {
					t.Fatal(err)
				}
				r := f.requests()[0]
				if r.method != http.MethodPost || r.path != "/sb-1/upload" || r.query != "path=%2Fapp%2Fdata.bin" {
					t.Errorf("%s %s?%s", r.method, r.path, r.query)
				}
				media, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
				if err != nil || media != "multipart/form-data" {
					t.Fatalf("content type %q: %v", r.header.Get("Content-Type"), err)
				}
				form := multipart.NewReader(strings.NewReader(r.body), params["boundary"])
				part, err := form.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(part)
				if err != nil || string(got) != content || part.FormName() != "file" || part.FileName() != "file" || part.Header.Get("Content-Type") != "application/octet-stream" {
					t.Errorf("part %q with headers %v: %v", got, part.Header, err)
				}
				if _, err := form.NextPart(); !errors.Is(err, io.EOF) {
					t.Errorf("a second part: %v", err)
				}
			})
		}
	}
}

// closing tells when it is closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestUploadOfUnknownLength is chunked and leaves the reader open; bytes have a
// length.
func TestUploadOfUnknownLength(t *testing.T) {
	t.Parallel()
	var lengths []int64
	var chunked []bool
	sb := dataplane(t, func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || r.ContentLength >= 0 && r.ContentLength != n {
			t.Errorf("%d bytes of %d: %v", n, r.ContentLength, err)
		}
		lengths = append(lengths, r.ContentLength)
		chunked = append(chunked, len(r.TransferEncoding) == 1 && r.TransferEncoding[0] == "chunked")
	})
	source := &closing{Reader: strings.NewReader("content")}
	if err := errors.Join(sb.Upload(t.Context(), "/a", source), sb.WriteFile(t.Context(), "/a", []byte("content"))); err != nil {
		t.Fatal(err)
	}
	if source.closed {
		t.Error("the caller's reader was closed")
	}
	if len(lengths) != 2 || lengths[0] != -1 || !chunked[0] || lengths[1] <= 7 || chunked[1] {
		t.Errorf("lengths %v, chunked %v; want an unknown one and a known one", lengths, chunked)
	}
}

// TestWriteFileIsRepeated after a gateway gave up, with identical bytes: the
// same file twice is one file.
func TestWriteFileIsRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 502, 503, 504} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
				return reply(map[bool]int{true: status, false: 200}[n == 0], `{"path":"/a","written":7}`), nil
			}}
			sb := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy())))
			err := sb.WriteFile(t.Context(), "/a", []byte("content"))
			seen := f.requests()
			if err != nil || len(seen) != 2 || seen[0].body != seen[1].body || !strings.Contains(seen[0].body, "content") {
				t.Errorf("%d: error %v after %d requests %q", status, err, len(seen), seen)
			}
			f.seen = nil
			err = sb.Upload(t.Context(), "/a", io.MultiReader(strings.NewReader("content")))
			if err == nil || len(f.requests()) != 1 {
				t.Errorf("%d: a stream: error %v after %d requests", status, err, len(f.requests()))
			}
		})
	}
}

// TestTransfersAreNotBounded by the timeout of other requests, but by the
// context, and reading by it as well.
func TestTransfersAreNotBounded(t *testing.T) {
	t.Parallel()
	slow := func(_ int, req *http.Request) (*http.Response, error) {
		return replyStream(200, failing(func() error {
			select {
			case <-time.After(time.Hour):
				return io.EOF
			case <-req.Context().Done():
				return req.Context().Err()
			}
		})), nil
	}
	synctest.Test(t, func(t *testing.T) {
		sb := box(client(t, &fake{answer: slow}))
		start := time.Now()
		if got, err := sb.ReadFile(t.Context(), "/a"); err != nil || len(got) != 0 || time.Since(start) != time.Hour {
			t.Errorf("%q, %v after %s", got, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		r, err := sb.Download(ctx, "/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r)
		if !isPathError(err) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sandboxclient.ErrTimeout) || time.Since(start) != time.Minute {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestDownloadAsItIs: no unpacking on the way, and the path as the caller wrote
// it.
func TestDownloadAsItIs(t *testing.T) {
	t.Parallel()
	const path = "/app/a b+c%d&e=ü;f.gz"
	packed := []byte{0x1f, 0x8b, 0, 1, 2, 0xff}
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("path"); got != path || !strings.Contains(r.URL.RawQuery, "%2B") || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("query %s, headers %v", r.URL.RawQuery, r.Header)
		}
		_, _ = w.Write(packed)
	})
	got, err := sb.ReadFile(t.Context(), path)
	if err != nil || !bytes.Equal(got, packed) {
		t.Errorf("%x, %v; want %x", got, err, packed)
	}
}

// TestBadPaths are refused before any request, as a PathError.
func TestBadPaths(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, "")}
	sb := box(client(t, f))
	for _, path := range []string{"", " ", "/a\x00b"} {
		_, readErr := sb.ReadFile(t.Context(), path)
		_, openErr := sb.Download(t.Context(), path, nil)
		for op, err := range map[string]error{"read": readErr, "write": sb.WriteFile(t.Context(), path, nil)} {
			p, ok := errors.AsType[*fs.PathError](err)
			if !ok || p.Op != op || p.Path != path || !errors.Is(err, sandboxclient.ErrInvalid) || !errors.Is(openErr, sandboxclient.ErrInvalid) {
				t.Errorf("%q: error %#v", path, err)
			}
		}
	}
	if len(f.requests()) != 0 {
		t.Errorf("%d requests", len(f.requests()))
	}
}
