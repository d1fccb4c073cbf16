package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// bodies notes what each attempt of a call sent and answers 503 to all.
func bodies(sent *[]string) *http.Client {
	return scripted(func(_ int, req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		*sent = append(*sent, string(body))
		return status(http.StatusServiceUnavailable, ""), nil
	}).client()
}

func safe(req *http.Request) *http.Request {
	return req.WithContext(transport.WithCall(req.Context(), transport.Call{Repeat: transport.RepeatSafe}))
}

// TestBodyIsRewound: each attempt has the whole body.
func TestBodyIsRewound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		resp, err := patient(3, bodies(&sent)).Do(safe(request(t, http.MethodPost, "https://h.test/", strings.NewReader("content"))))
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("answer %v, error %v", resp, err)
		}
		if diff := cmp.Diff([]string{"content", "content", "content"}, sent); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

// TestBodyThatCannotBeRewound is sent once: a second attempt would send the
// rest of it, or nothing.
func TestBodyThatCannotBeRewound(t *testing.T) {
	t.Parallel()
	var sent []string
	body := struct{ io.Reader }{strings.NewReader("content")}
	resp, err := patient(3, bodies(&sent)).Do(safe(request(t, http.MethodPost, "https://h.test/", body)))
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("answer %v, error %v", resp, err)
	}
	if diff := cmp.Diff([]string{"content"}, sent); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
}

// TestRewindFails: the error of the body is the error of the call.
func TestRewindFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		errRewind := errors.New("the file is gone")
		req := safe(request(t, http.MethodPost, "https://h.test/", strings.NewReader("content")))
		req.GetBody = func() (io.ReadCloser, error) { return nil, errRewind }
		if _, err := patient(3, bodies(&sent)).Do(req); !errors.Is(err, errRewind) || len(sent) != 1 {
			t.Errorf("error %v after %d attempts", err, len(sent))
		}
	})
}

// TestCallersRequestIsLeftAlone: the chain sends copies.
func TestCallersRequestIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		req := safe(request(t, http.MethodPost, "https://h.test/a", strings.NewReader("content")))
		req.Header.Set("X-Mine", "1")
		header, address := req.Header.Clone(), req.URL.String()
		if _, err := patient(2, bodies(&sent)).Do(req); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(header, req.Header); diff != "" || req.URL.String() != address {
			t.Errorf("the request is for %s now, headers (-was +is):\n%s", req.URL, diff)
		}
	})
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size, limit int64
		want        error
	}{{0, 0, nil}, {1, 0, transport.ErrTooLarge}, {9, 10, nil}, {10, 10, nil}, {11, 10, transport.ErrTooLarge}} {
		data := bytes.Repeat([]byte("x"), int(tt.size))
		got, err := transport.ReadAll(bytes.NewReader(data), tt.limit)
		if !errors.Is(err, tt.want) {
			t.Errorf("%d of at most %d bytes: error %v, want %v", tt.size, tt.limit, err, tt.want)
		}
		if want := min(tt.size, tt.limit); int64(len(got)) != want {
			t.Errorf("%d of at most %d bytes: %d bytes, want %d", tt.size, tt.limit, len(got), want)
		}
	}
	if _, err := transport.ReadAll(failingReader{}, 1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want the reader's", err)
	}
}

// TestReadHead: what was read counts, and an error only when there is nothing.
func TestReadHead(t *testing.T) {
	t.Parallel()
	got, err := transport.ReadHead(strings.NewReader("0123456789"), 4)
	if err != nil || string(got) != "0123" {
		t.Errorf("%q, %v; want the first four bytes", got, err)
	}
	got, err = transport.ReadHead(io.MultiReader(strings.NewReader("01"), failingReader{}), 4)
	if err != nil || string(got) != "01" {
		t.Errorf("%q, %v; want what there was", got, err)
	}
	if got, err = transport.ReadHead(failingReader{}, 4); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 0 {
		t.Errorf("%q, %v; want the error", got, err)
	}
}
