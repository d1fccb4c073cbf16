package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// patient is a chain with the default policy but more attempts.
func patient(attempts int, hc *http.Client) transport.Doer {
	return transport.New(transport.Config{
		Endpoint: &url.URL{Scheme: "https", Host: "h.test"},
		Client:   hc,
		Retry:    transport.Retry{MaxAttempts: attempts, BaseDelay: time.Second, MaxDelay: 10 * time.Second},
		Logger:   slog.New(slog.DiscardHandler),
	})
}

// TestPauses: the pause before repetition n is the base times 2^n and up to one
// base more, at most the policy's; what the server asks for counts as well, at
// most a minute.
func TestPauses(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tests := map[string]struct {
		status     int // 0: no connection
		retryAfter string
		least      []float64 // seconds; one base more is the most, if that is below bound
		bound      int
	}{
		"no connection":           {0, "", []float64{1, 2, 4, 8, 10, 10}, 10},
		"bad gateway":             {502, "", []float64{1, 2, 4, 8, 10, 10}, 10},
		"unavailable":             {503, "", []float64{1, 2, 4, 8, 10, 10}, 10},
		"gateway timeout":         {504, "", []float64{1, 2, 4, 8, 10, 10}, 10},
		"unavailable, asks":       {503, "20", []float64{20, 20, 20, 20, 20, 20}, 20},
		"unavailable, asks less":  {503, "3", []float64{3, 3, 4, 8, 10, 10}, 10},
		"quota":                   {429, "", []float64{1, 2, 4, 8, 10, 10}, 10},
		"quota, garbage":          {429, "soon", []float64{1, 2, 4, 8, 10, 10}, 10},
		"quota, asks":             {429, "2", []float64{2, 4, 8, 16, 32, 60}, 60},
		"quota, asks for none":    {429, "0", []float64{0, 0, 0, 0, 0, 0}, 60},
		"quota, asks for a past":  {429, "-5", []float64{0, 0, 0, 0, 0, 0}, 60},
		"quota, asks for most":    {429, "60", []float64{60, 60, 60, 60, 60, 60}, 60},
		"quota, asks in fraction": {429, "0.5", []float64{0.5, 1, 2, 4, 8, 16}, 60},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent []time.Time
				hc := scripted(func(int, *http.Request) (*http.Response, error) {
					sent = append(sent, time.Now())
					if tt.status == 0 {
						return nil, refused
					}
					return status(tt.status, tt.retryAfter), nil
				}).client()
				resp, err := patient(len(tt.least)+1, hc).Do(request(t, http.MethodGet, "https://h.test/", nil))
				if tt.status == 0 != errors.Is(err, refused) || tt.status != 0 && resp.StatusCode != tt.status {
					t.Fatalf("answer %v, error %v", resp, err)
				}
				if len(sent) != len(tt.least)+1 {
					t.Fatalf("%d attempts, want %d", len(sent), len(tt.least)+1)
				}
				for i, low := range tt.least {
					pause := sent[i+1].Sub(sent[i])
					least := time.Duration(low * float64(time.Second))
					most := min(least+time.Second, time.Duration(tt.bound)*time.Second)
					if pause < least || pause > most {
						t.Errorf("pause %d is %s, want %s to %s", i, pause, least, most)
					}
				}
			})
		})
	}
}

// TestPausesAreSpread: clients that failed together do not come back together.
func TestPausesAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pauses := map[time.Duration]bool{}
		for range 20 {
			start := time.Now()
			hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
				return status(map[int]int{1: 503, 2: 200}[n], ""), nil
			}).client()
			resp, err := patient(2, hc).Do(request(t, http.MethodGet, "https://h.test/", nil))
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("answer %v, error %v", resp, err)
			}
			pauses[time.Since(start)] = true
		}
		if len(pauses) < 10 {
			t.Errorf("20 clients had %d different pauses", len(pauses))
		}
	})
}

// TestWhatIsRepeated: the methods and answers after which a request is sent
// again, for each kind of call.
func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	all := []int{0, 400, 404, 408, 409, 422, 429, 500, 501, 502, 503, 504}
	tests := map[string]struct {
		method   string
		repeat   transport.Repeat
		repeated []int // statuses; 0 is no connection
	}{
		"read":                        {http.MethodGet, transport.RepeatByMethod, []int{0, 429, 502, 503, 504}},
		"change":                      {http.MethodPatch, transport.RepeatByMethod, []int{0, 429, 502, 503, 504}},
		"delete":                      {http.MethodDelete, transport.RepeatByMethod, []int{0, 429, 502, 503, 504}},
		"post, unknown":               {http.MethodPost, transport.RepeatByMethod, []int{0}},
		"post that runs":              {http.MethodPost, transport.RepeatUnsent, []int{0}},
		"post that runs in a sandbox": {http.MethodPost, transport.RepeatStarting, []int{0}},
		"post that creates":           {http.MethodPost, transport.RepeatRefused, []int{0, 429, 503}},
		"post that may be repeated":   {http.MethodPost, transport.RepeatSafe, []int{0, 429, 502, 503, 504}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, code := range all {
				synctest.Test(t, func(t *testing.T) {
					attempts := 0
					hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
						attempts = n
						if code == 0 {
							return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
						}
						return status(code, ""), nil
					}).client()
					req := request(t, tt.method, "https://h.test/", nil)
					req = req.WithContext(transport.WithCall(req.Context(), transport.Call{Repeat: tt.repeat}))
					_, err := patient(2, hc).Do(req)
					if code == 0 != (err != nil) {
						t.Errorf("%d: error %v", code, err)
					}
					want := 1
					for _, c := range tt.repeated {
						if c == code {
							want = 2
						}
					}
					if attempts != want {
						t.Errorf("%d: %d attempts, want %d", code, attempts, want)
					}
				})
			}
		})
	}
}

// TestShortDeadline: when the context ends before the pause would, the answer
// that there is comes back at once.
func TestShortDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		start := time.Now()
		hc := scripted(func(int, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(failingReader{})}, nil
		}).client()
		resp, err := patient(4, hc).Do(request(t, http.MethodGet, "https://h.test/", nil).WithContext(ctx))
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("answer %v, error %v", resp, err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
