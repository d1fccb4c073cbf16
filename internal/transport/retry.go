package transport

import (
	"bytes"
	"context"
	"encoding/json"
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
// from 0, is BaseDelay*2^n and up to BaseDelay more, at most MaxDelay. After
// 429 the server's Retry-After takes the place of BaseDelay and a minute that of
// MaxDelay; after other answers the pause is at least Retry-After.
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
			if ended := sleep(req.Context(), pause); ended != nil {
				return nil, unbegun(ended, resp)
			}
		}
	})
}

// unbegun marks the end of a pause as unsent, unless the answer before it left
// open what happened.
func unbegun(ended error, resp *http.Response) error {
	if resp == nil || refused(resp) {
		return &unsentError{ended}
	}
	return ended
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
	if refused(resp) {
		return repeat >= RepeatRefused || repeat == RepeatStarting && starting(resp)
	}
	lost := resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout
	return lost && repeat >= RepeatSafe
}

// refused reports whether an answer says that nothing was begun.
func refused(resp *http.Response) bool {
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
}

// maxStarting is as much as is read of an answer to see what it says.
const maxStarting = 4 << 10

// starting reports whether an answer says that the sandbox is starting. Its
// body can still be read from the start.
func starting(resp *http.Response) bool {
	if resp.StatusCode != http.StatusServiceUnavailable {
		return false
	}
	head, _ := ReadHead(resp.Body, maxStarting)
	resp.Body = &readAgain{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	var envelope struct {
		Detail struct {
			Error   string `json:"error"`
			Message string `json:"message"`
		} `json:"detail"`
	}
	return json.Unmarshal(head, &envelope) == nil && envelope.Detail.Error == "ServiceUnavailable" &&
		strings.Contains(strings.ToLower(envelope.Detail.Message), "starting")
}

type readAgain struct {
	io.Reader
	io.Closer
}

func (p Retry) pause(n int, resp *http.Response) (time.Duration, bool) {
	doubled := min(n, 20)
	jitter := time.Duration(rand.Float64() * float64(p.BaseDelay)) //nolint:gosec // spreads load, hides nothing
	pause := min(p.BaseDelay<<doubled+jitter, p.MaxDelay)
	if resp == nil {
		return pause, true
	}
	after, asked := RetryAfter(resp.Header)
	if asked && resp.StatusCode == http.StatusTooManyRequests {
		return min(after<<doubled+jitter, maxRetryAfter), after <= maxRetryAfter
	}
	return max(pause, after), after <= maxRetryAfter
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

// send marks an error as unsent when no connection was made, and sends nothing
// once the context has ended.
func send(next Doer, req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &unsentError{err}
	}
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
