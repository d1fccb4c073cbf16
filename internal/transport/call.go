package transport

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Repeat says when a request may be sent again.
type Repeat int

const (
	// RepeatByMethod is RepeatSafe for all methods but POST, and RepeatUnsent
	// for POST.
	RepeatByMethod Repeat = iota
	// RepeatUnsent repeats only what never left: a connection that failed.
	RepeatUnsent
	// RepeatStarting also repeats what did not reach a sandbox because it is
	// starting: 503 that says so, and not one that any proxy might answer.
	RepeatStarting
	// RepeatRefused also repeats what the server refused to begin: 429, 503.
	RepeatRefused
	// RepeatSafe also repeats what may have happened: 502, 504.
	RepeatSafe
)

// Call is what the chain needs to know of one call; it travels in the context.
type Call struct {
	Repeat Repeat
	// Timeout bounds each attempt; zero means the chain's default, negative
	// means the context alone.
	Timeout time.Duration
	// Dataplane is the data-plane address of the sandbox, which gets the
	// credentials as the endpoint does; nil on the control plane.
	Dataplane *url.URL
	// Upgrade is a handshake whose answer, if it is 101, becomes a connection:
	// that is passed on untouched, and nothing is repeated or timed here, since
	// the connection lives on.
	Upgrade bool
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callOf(req *http.Request) Call {
	c, _ := req.Context().Value(callKey{}).(Call)
	if c.Repeat == RepeatByMethod {
		c.Repeat = RepeatSafe
		if req.Method == http.MethodPost {
			c.Repeat = RepeatUnsent
		}
	}
	return c
}

type headerKey struct{}

// WithHeader returns a context whose requests carry key, over what the client
// sends by default.
func WithHeader(ctx context.Context, key, value string) context.Context {
	h := headerOf(ctx).Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(key, value)
	return context.WithValue(ctx, headerKey{}, h)
}

// WithoutHeader returns a context without what WithHeader added.
func WithoutHeader(ctx context.Context) context.Context {
	return context.WithValue(ctx, headerKey{}, http.Header(nil))
}

func headerOf(ctx context.Context) http.Header {
	h, _ := ctx.Value(headerKey{}).(http.Header)
	return h
}
