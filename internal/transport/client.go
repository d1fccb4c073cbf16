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
	upgrade := c
	upgrade.Timeout = 0 // would end the connection, and hides its writing half
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		do := c.Do
		if callOf(req).Upgrade {
			do = upgrade.Do
		}
		resp, err := do(req)
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return resp, err
	})
}
