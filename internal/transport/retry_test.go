package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

func chain(t *testing.T, hc *http.Client) transport.Doer {
	t.Helper()
	return transport.New(transport.Config{
		Endpoint:  &url.URL{Scheme: "https", Host: "h.test"},
		Client:    hc,
		UserAgent: transport.UserAgent(),
		Retry:     transport.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: time.Second},
		Logger:    slog.New(slog.DiscardHandler),
	})
}

func request(t *testing.T, method, address string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestUnsentIsRepeated: a connection that cannot be made is tried again, with
// the real transport, for a POST as well.
func TestUnsentIsRepeated(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = chain(t, &http.Client{Transport: &http.Transport{}}).Do(request(t, http.MethodPost, address, strings.NewReader("x")))
	if !transport.Unsent(err) || !strings.Contains(err.Error(), "after 3 attempts") {
		t.Errorf("error %v, want one of three attempts of which nothing was sent", err)
	}
}

// TestSentIsNotRepeated: what reached a server that then hung up is not sent
// again, not even a GET.
func TestSentIsNotRepeated(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		requests.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		requests.Store(0)
		_, err := chain(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request(t, method, srv.URL, nil))
		if err == nil || transport.Unsent(err) || requests.Load() != 1 {
			t.Errorf("%s: %d requests, error %v", method, requests.Load(), err)
		}
	}
}

type scripted func(n int, req *http.Request) (*http.Response, error)

func (s scripted) client() *http.Client {
	n := 0
	return &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		n++
		return s(n, req)
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func status(code int, retryAfter string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody}
}

// TestRetryAfterBounds: a pause that the caller or the policy has no time for
// is not begun, and the answer is returned as it is.
func TestRetryAfterBounds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		retryAfter string
		deadline   time.Duration
		attempts   int
		took       time.Duration
	}{
		"in time":          {"2", time.Minute, 3, 0},
		"after the end":    {"5", 4 * time.Second, 1, 0},
		"longer than ever": {"61", time.Hour, 1, 0},
		"garbage":          {"soon", time.Minute, 3, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
					attempts = n
					return status(http.StatusTooManyRequests, tt.retryAfter), nil
				}).client()
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				resp, err := chain(t, hc).Do(request(t, http.MethodGet, "https://h.test/", nil).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusTooManyRequests || attempts != tt.attempts {
					t.Errorf("status %d after %d attempts, want %d", resp.StatusCode, attempts, tt.attempts)
				}
			})
		})
	}
}

// TestCancelledPause: the end of the context ends a pause.
func TestCancelledPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hc := scripted(func(int, *http.Request) (*http.Response, error) {
			time.AfterFunc(time.Second, cancel)
			return status(http.StatusTooManyRequests, "30"), nil
		}).client()
		start := time.Now()
		_, err := chain(t, hc).Do(request(t, http.MethodGet, "https://h.test/", nil).WithContext(ctx))
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"2": 2 * time.Second, "1.5": 1500 * time.Millisecond, "-3": 0, "0": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			if got, ok := transport.RetryAfter(http.Header{"Retry-After": {value}}); !ok || got != want {
				t.Errorf("%q is %s, %t; want %s", value, got, ok, want)
			}
		}
		for _, value := range []string{"", "soon", "NaN", "1e40", "+Inf"} {
			if got, ok := transport.RetryAfter(http.Header{"Retry-After": {value}}); ok {
				t.Errorf("%q is %s", value, got)
			}
		}
	})
}

// FuzzRetryAfter: no value makes a pause that is negative or endless.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "-1", "1e9", "NaN", "Mon, 02 Jan 2006 15:04:05 GMT", "0x10", "1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if d, ok := transport.RetryAfter(http.Header{"Retry-After": {value}}); ok && d < 0 {
			t.Errorf("%q is %s", value, d)
		}
	})
}

func TestUserAgentIsTheCallersToSet(t *testing.T) {
	t.Parallel()
	var agents []string
	hc := scripted(func(_ int, req *http.Request) (*http.Response, error) {
		agents = append(agents, req.Header.Get("User-Agent"))
		return status(200, ""), nil
	}).client()
	for _, own := range []string{"", "mine/1"} {
		req := request(t, http.MethodGet, "https://h.test/", nil)
		if own != "" {
			req.Header.Set("User-Agent", own)
		}
		resp, err := chain(t, hc).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if !strings.HasPrefix(agents[0], "langsandbox-go/") || agents[1] != "mine/1" {
		t.Errorf("agents %q", agents)
	}
}
