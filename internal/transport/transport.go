// Package transport sends the requests of sandboxclient: a chain of small
// handlers, each in a file of its own, put together in New.
package transport

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Doer sends a request. *http.Client is one, and so is each link of the chain.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// DoerFunc is a function that is a Doer.
type DoerFunc func(req *http.Request) (*http.Response, error)

// Do calls f.
func (f DoerFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }

// Config says what the chain does. It is not retained.
type Config struct {
	Endpoint  *url.URL      // the origin that gets the credentials
	APIKey    string        // sent as X-Api-Key; empty sends none
	Header    http.Header   // sent with every request to the endpoint or a sandbox
	UserAgent string        // sent with every request
	Client    *http.Client  // copied, never changed
	Retry     Retry         // for requests that may be repeated
	Timeout   time.Duration // of one attempt, where the call sets none
	Logger    *slog.Logger
	// AllowPlaintext lets credentials travel over http to other machines.
	AllowPlaintext bool
}

// New assembles the chain. A request passes it from top to bottom.
func New(cfg Config) Doer {
	next := client(cfg.Client)
	next = credentials(next, cfg)
	next = logging(next, cfg.Logger)
	next = attempt(next, cfg.Timeout)
	next = retry(next, cfg.Retry)
	next = userAgent(next, cfg.UserAgent)
	return next
}

func userAgent(next Doer, agent string) Doer {
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		if req.Header.Get("User-Agent") == "" {
			req.Header.Set("User-Agent", agent)
		}
		return next.Do(req)
	})
}
