package transport

import (
	"errors"
	"net/http"
)

// maxRedirects is net/http's own limit.
const maxRedirects = 10

// client returns a copy of hc that follows redirects only where nothing can
// leak or run twice: GET and HEAD on the same origin. Any other redirect is
// the answer.
func client(hc *http.Client) *http.Client {
	c := *hc
	asked := c.CheckRedirect
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		if first.Method != http.MethodGet && first.Method != http.MethodHead {
			return http.ErrUseLastResponse
		}
		if !SameOrigin(req.URL, first.URL) {
			return http.ErrUseLastResponse
		}
		if asked != nil {
			return asked(req, via)
		}
		if len(via) >= maxRedirects {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	return &c
}
