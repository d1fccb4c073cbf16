package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// hanging answers no request, until its context ends.
func hanging(_ int, req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// stalling answers with the beginning of a body.
func stalling(_ int, req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(io.MultiReader(strings.NewReader("beginning"), endOf{req.Context()}))}, nil
}

type endOf struct{ ctx context.Context } //nolint:containedctx // the body's life is the request's

func (e endOf) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// TestAttemptTimeout: the bound of an attempt covers the answer's body and is
// told apart from the end of the caller's context.
func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer   scripted
		deadline time.Duration // of the caller; 0 is none
		timeout  time.Duration // of the call; 0 is the chain's ten seconds
		took     time.Duration
		timedOut bool
	}{
		"no answer":                      {hanging, 0, 0, 10 * time.Second, true},
		"no answer, call's own bound":    {hanging, 0, time.Minute, time.Minute, true},
		"no answer, caller ends first":   {hanging, 3 * time.Second, 0, 3 * time.Second, false},
		"no answer, caller alone":        {hanging, time.Hour, -1, time.Hour, false},
		"half a body":                    {stalling, 0, 0, 10 * time.Second, true},
		"half a body, caller ends first": {stalling, 3 * time.Second, 0, 3 * time.Second, false},
		"half a body, caller alone":      {stalling, time.Hour, -1, time.Hour, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := transport.WithCall(t.Context(), transport.Call{Timeout: tt.timeout})
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				doer := transport.New(transport.Config{
					Endpoint: parsed(t, "https://h.test"), Client: tt.answer.client(), Timeout: 10 * time.Second,
					Retry: transport.Retry{MaxAttempts: 3}, Logger: slog.New(slog.DiscardHandler),
				})
				start := time.Now()
				resp, err := doer.Do(request(t, http.MethodGet, "https://h.test/", nil).WithContext(ctx))
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					if string(body) != "beginning" {
						t.Errorf("body %q", body)
					}
					_ = resp.Body.Close()
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				if transport.TimedOut(err) != tt.timedOut || errors.Is(err, context.DeadlineExceeded) == tt.timedOut {
					t.Errorf("error %v: timed out: %t, want %t", err, transport.TimedOut(err), tt.timedOut)
				}
				if transport.Unsent(err) {
					t.Errorf("error %v claims that nothing was sent", err)
				}
			})
		})
	}
}

// TestCloseFreesAttempt: closing a body ends the context of its attempt.
func TestCloseFreesAttempt(t *testing.T) {
	t.Parallel()
	var attempt context.Context
	hc := scripted(func(_ int, req *http.Request) (*http.Response, error) {
		attempt = req.Context() //nolint:fatcontext // to look at it later
		return status(http.StatusOK, ""), nil
	}).client()
	doer := transport.New(transport.Config{Endpoint: parsed(t, "https://h.test"), Client: hc, Timeout: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	resp, err := doer.Do(request(t, http.MethodGet, "https://h.test/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if attempt.Err() != nil {
		t.Error("the context of the attempt ended before its body was read")
	}
	if err := resp.Body.Close(); err != nil || attempt.Err() == nil {
		t.Errorf("close: %v, the context of the attempt: %v", err, attempt.Err())
	}
}
