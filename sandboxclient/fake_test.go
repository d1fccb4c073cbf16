package sandboxclient_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const (
	fakeHost = "https://api.test"
	fakeBase = fakeHost + "/v2/sandboxes"
	fakeKey  = "lsv2_very_secret"
)

// request is what a fake saw of a request.
type request struct {
	method, host, path, query string
	header                    http.Header
	body                      string
}

// fake is a transport that answers every request with a function and notes
// what it saw. Bodies are read to their end unless unread is set.
type fake struct {
	answer func(n int, req *http.Request) (*http.Response, error)
	unread bool

	mu   sync.Mutex
	seen []request
	open int // answers whose body is not closed
}

// RoundTrip notes the request and answers it.
func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	r := request{method: req.Method, host: req.URL.Host, path: req.URL.EscapedPath(), query: req.URL.RawQuery, header: req.Header.Clone()}
	if req.Body != nil && !f.unread {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		r.body = string(body)
	}
	f.mu.Lock()
	n := len(f.seen)
	f.seen = append(f.seen, r)
	f.mu.Unlock()
	if req.Body != nil {
		defer req.Body.Close()
	}
	resp, err := f.answer(n, req)
	if err == nil {
		f.mu.Lock()
		f.open++
		f.mu.Unlock()
		resp.Body = &tracked{ReadCloser: resp.Body, closed: sync.OnceFunc(func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.open--
		})}
	}
	return resp, err
}

// tracked is a body that tells when it is closed.
type tracked struct {
	io.ReadCloser
	closed func()
}

func (b *tracked) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}

func (f *fake) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// always answers every request alike.
func always(status int, body string) func(int, *http.Request) (*http.Response, error) {
	return func(int, *http.Request) (*http.Response, error) { return reply(status, body), nil }
}

func reply(status int, body string) *http.Response {
	return replyStream(status, strings.NewReader(body))
}

func replyStream(status int, body io.Reader) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body), ContentLength: -1,
	}
}

// endless is a body without an end that counts how much of it was read.
type endless struct {
	mu   sync.Mutex
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read += int64(len(p))
	copy(p, bytes.Repeat([]byte("x"), len(p)))
	return len(p), nil
}

// client is a client of the fake, without retries. The test fails if the body
// of an answer is still open at its end.
func client(t *testing.T, f *fake, opts ...sandboxclient.Option) *sandboxclient.Client {
	t.Helper()
	c, err := sandboxclient.New(append([]sandboxclient.Option{
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(fakeBase),
		sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: f}),
		sandboxclient.WithRetry(sandboxclient.RetryPolicy{}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open != 0 {
			t.Errorf("the bodies of %d answers were not closed", f.open)
		}
	})
	return c
}

// box is a handle on a sandbox of the fake.
func box(c *sandboxclient.Client) *sandboxclient.Sandbox {
	return c.FromInfo(sandboxclient.Info{Name: "box1", DataplaneURL: "https://router.test/sb-1"})
}
