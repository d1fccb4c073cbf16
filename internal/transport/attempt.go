package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errAttempt ends one attempt that took too long. It is no context error:
// the caller's context still stands.
var errAttempt = errors.New("no answer in time")

// attempt bounds one attempt, the reading of its answer included.
func attempt(next Doer, timeout time.Duration) Doer {
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		call := callOf(req)
		d := call.Timeout
		if d == 0 {
			d = timeout
		}
		if d <= 0 || call.Upgrade {
			return next.Do(req)
		}
		ctx, cancel := context.WithTimeoutCause(req.Context(), d, errAttempt)
		resp, err := next.Do(req.WithContext(ctx))
		if err != nil {
			err = expired(req.Context(), ctx, err, d)
			cancel()
			return nil, err
		}
		resp.Body = &attemptBody{ReadCloser: resp.Body, outer: req.Context(), ctx: ctx, cancel: cancel, timeout: d}
		return resp, nil
	})
}

// expired tells the end of the attempt from the end of the caller's context.
func expired(outer, ctx context.Context, err error, d time.Duration) error {
	if outer.Err() == nil && errors.Is(context.Cause(ctx), errAttempt) {
		return fmt.Errorf("%w (%s)", errAttempt, d)
	}
	return err
}

type attemptBody struct {
	io.ReadCloser
	outer, ctx context.Context //nolint:containedctx // the body's life is the attempt's
	cancel     context.CancelFunc
	timeout    time.Duration
}

func (b *attemptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = expired(b.outer, b.ctx, err, b.timeout)
	}
	return n, err
}

func (b *attemptBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// TimedOut reports whether err is an attempt that took too long.
func TimedOut(err error) bool { return errors.Is(err, errAttempt) }
