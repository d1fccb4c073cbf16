package sandboxclient

import (
	"context"
	"net/http"
)

// UsageService reads quotas. It is safe for concurrent use.
type UsageService struct{ c *Client }

// Get returns the quotas and what is used of them (GET /usage).
func (u *UsageService) Get(ctx context.Context) (*Usage, error) {
	op := operation{name: "get usage", rules: [][]rule{generic}}
	return fetch[Usage](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return u.c.api.GetUsage(ctx)
	})
}
