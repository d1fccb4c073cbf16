package transport

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ErrPlaintext reports credentials that would have travelled over plain http
// to another machine.
var ErrPlaintext = errors.New("refused to send the API key over plain http to another machine")

// credentials adds key and headers, but only for the endpoint and the data
// plane of the sandbox called. It sits below the redirects' decision, so that
// another host never sees them.
func credentials(next Doer, cfg Config) Doer {
	header := cfg.Header.Clone()
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		dataplane := callOf(req).Dataplane
		if !SameOrigin(req.URL, cfg.Endpoint) && !SameOrigin(req.URL, dataplane) {
			return next.Do(req)
		}
		ctx := req.Context()
		req = req.Clone(ctx)
		if cfg.APIKey != "" {
			req.Header.Set("X-Api-Key", cfg.APIKey)
		}
		maps.Copy(req.Header, header)
		maps.Copy(req.Header, headerOf(ctx))
		if !cfg.AllowPlaintext && secret(req.Header) && Plaintext(req.URL) {
			return nil, fmt.Errorf("%s: %w", req.URL.Host, ErrPlaintext)
		}
		return next.Do(req)
	})
}

func secret(h http.Header) bool {
	return h.Get("X-Api-Key") != "" || h.Get("Authorization") != "" || h.Get("X-Service-Key") != ""
}

// SameOrigin reports whether a and b have the same scheme, host and port. It
// is false if one is nil.
func SameOrigin(a, b *url.URL) bool {
	return a != nil && b != nil && strings.EqualFold(a.Scheme, b.Scheme) &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// Plaintext reports whether u leaves this machine without encryption.
func Plaintext(u *url.URL) bool {
	if u.Scheme != "http" {
		return false
	}
	host := u.Hostname()
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}
