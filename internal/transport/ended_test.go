package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// closer tells that it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

// TestEndedContext: nothing is sent with it, which is said, and the body is
// closed as after a request.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := &closer{Reader: strings.NewReader("x")}
	hc := scripted(func(int, *http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return status(http.StatusOK, ""), nil
	}).client()
	_, err := patient(3, hc).Do(request(t, http.MethodPost, "https://h.test/", body).WithContext(ctx))
	if !errors.Is(err, context.Canceled) || !transport.Unsent(err) || !body.closed {
		t.Errorf("error %v, unsent: %t, body closed: %t", err, transport.Unsent(err), body.closed)
	}
}

// TestEndedPause: whether anything may have happened is up to the answer before
// it.
func TestEndedPause(t *testing.T) {
	t.Parallel()
	for code, unsent := range map[int]bool{429: true, 503: true, 502: false, 504: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			hc := scripted(func(int, *http.Request) (*http.Response, error) {
				time.AfterFunc(time.Millisecond, cancel)
				return status(code, ""), nil
			}).client()
			req := request(t, http.MethodPost, "https://h.test/", nil)
			_, err := patient(3, hc).Do(safe(req.WithContext(ctx)))
			if !errors.Is(err, context.Canceled) || transport.Unsent(err) != unsent {
				t.Errorf("%d: error %v, unsent: %t, want %t", code, err, transport.Unsent(err), unsent)
			}
		})
	}
}

// TestRedirectIsTheAnswer, whatever the caller's client does with them.
func TestRedirectIsTheAnswer(t *testing.T) {
	t.Parallel()
	attempts := 0
	hc := scripted(func(n int, req *http.Request) (*http.Response, error) {
		attempts = n
		resp := status(http.StatusFound, "")
		resp.Header.Set("Location", "https://h.test/elsewhere")
		resp.Request = req
		return resp, nil
	}).client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the caller's policy") }
	resp, err := patient(3, hc).Do(request(t, http.MethodGet, "https://h.test/", nil))
	if err != nil || resp.StatusCode != http.StatusFound || attempts != 1 {
		t.Errorf("answer %v, error %v after %d attempts", resp, err, attempts)
	}
}
