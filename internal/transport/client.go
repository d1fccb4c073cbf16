package transport

import (
	"errors"
	"net/http"
	"net/url"
)

// client sends with a copy of hc that follows no redirect: the API has none,
// and one could carry a key or a request body to where it does not belong. The
// redirect itself is the answer. Errors lose the address that net/http puts
// before them: its query may hold what no log should, and callers say
// themselves what they asked for.
func client(hc *http.Client) Doer {
	c := *hc
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := c.Do(req)
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return resp, err
	})
}
