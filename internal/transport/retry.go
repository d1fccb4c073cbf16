package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Retry is a policy for repeating requests.
type Retry struct {
	MaxAttempts int           // including the first; below 2 never repeats
	BaseDelay   time.Duration // before the first repetition, doubled each time
	MaxDelay    time.Duration // of one pause
}

// maxRetryAfter is the longest pause a server may ask for; a longer one ends
// the attempts, and the answer carries it.
const maxRetryAfter = time.Minute

// retry repeats a request as its Call allows. The pause before repetition n,
// from 0, is BaseDelay*2^n and up to BaseDelay more, at most MaxDelay; after
// 429 it is the server's Retry-After, or BaseDelay, times 2^n.
func retry(next Doer, policy Retry) Doer {
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		if callOf(req).Upgrade {
			return send(next, req)
		}
		for n := 0; ; n++ {
			attempt, err := rewound(req, n)
			if err != nil {
				return nil, err
			}
			resp, err := send(next, attempt)
			if n+1 >= policy.MaxAttempts || !repeatable(req, resp, err) {
				return resp, tried(err, n+1)
			}
			pause, ok := policy.pause(n, resp)
			if !ok || !waits(req.Context(), pause) {
				return resp, tried(err, n+1)
			}
			discard(resp)
			if err := sleep(req.Context(), pause); err != nil {
				return nil, err
			}
		}
	})
}

// tried names the number of attempts in the error of the last one.
func tried(err error, attempts int) error {
	if err == nil || attempts == 1 {
		return err
	}
	return fmt.Errorf("%w (after %d attempts)", err, attempts)
}

// rewound returns the request of attempt n, with its body from the start.
func rewound(req *http.Request, n int) (*http.Request, error) {
	if n == 0 || req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("rewind the request body: %w", err)
	}
	again := req.Clone(req.Context())
	again.Body = body
	return again, nil
}

func repeatable(req *http.Request, resp *http.Response, err error) bool {
	if req.Context().Err() != nil {
		return false
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if err != nil {
		return Unsent(err) && !errors.Is(err, ErrPlaintext)
	}
	repeat := callOf(req).Repeat
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return repeat >= RepeatRefused
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return repeat >= RepeatSafe
	default:
		return false
	}
}

func (p Retry) pause(n int, resp *http.Response) (time.Duration, bool) {
	doubled := min(n, 20)
	jitter := time.Duration(rand.Float64() * float64(p.BaseDelay)) //nolint:gosec // spreads load, hides nothing
	if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		after, ok := RetryAfter(resp.Header)
		if !ok {
			after = p.BaseDelay
		}
		return after<<doubled + jitter, after <= maxRetryAfter
	}
	pause := min(p.BaseDelay<<doubled+jitter, p.MaxDelay)
	if resp != nil {
		after, _ := RetryAfter(resp.Header)
		return max(pause, after), after <= maxRetryAfter
	}
	return pause, true
}

// RetryAfter is the pause that a server asks for, in seconds or as a date; a
// moment in the past is no pause.
func RetryAfter(h http.Header) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(v, 64); err == nil && seconds < 1<<30 {
		return max(0, time.Duration(seconds*float64(time.Second))), true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

// waits reports whether ctx outlives a pause.
func waits(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > pause
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// discard lets the connection be used again, if what is left is short.
func discard(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	_ = resp.Body.Close()
}

// send marks an error as unsent when no connection was made.
func send(next Doer, req *http.Request) (*http.Response, error) {
	var asked, connected atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	resp, err := next.Do(req.WithContext(ctx))
	if err != nil && (dialed(err) || asked.Load() && !connected.Load()) {
		err = &unsentError{err}
	}
	return resp, err
}

func dialed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// Unsent reports whether err is of a request of which nothing was sent.
func Unsent(err error) bool {
	var u *unsentError
	return errors.As(err, &u) || errors.Is(err, ErrPlaintext)
}
