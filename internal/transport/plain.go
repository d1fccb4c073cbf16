package transport

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
)

// Plain sends requests that are not for the API: without credentials, headers
// and cookies of the client, never repeated, bounded by their context alone.
// Redirects and connections (101) are answers, passed on as they are. hc is
// copied, never changed.
func Plain(hc *http.Client, log *slog.Logger) Doer {
	c := http.Client{
		Transport:     hc.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return logging(DoerFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := c.Do(req)
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return resp, err
	}), log)
}
