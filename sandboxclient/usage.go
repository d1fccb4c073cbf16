package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// UsageService reads quotas and what was used. It is safe for concurrent use.
type UsageService struct{ c *Client }

// Get returns the quotas and what is used of them (GET /usage).
func (u *UsageService) Get(ctx context.Context) (*Usage, error) {
	op := operation{name: "get usage", rules: [][]rule{generic}}
	return fetch[Usage](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return u.c.api.GetUsage(ctx)
	})
}

const (
	maxCostPeriod    = 31 * 24 * time.Hour
	maxCostResources = 100
)

// Costs yields what was used between StartTime and EndTime, 31 days at most,
// by resource and hour, or by resource (GET /usage/costs), page by page. The
// error, if any, comes last. What IncludeTotals and IncludeDaily add to the
// answer is not published; [Client.API] returns it as it is. Errors:
// [ErrInvalid], [ErrUnsupported] where nothing is charged for.
func (u *UsageService) Costs(ctx context.Context, params *ListUsageCostsParams) iter.Seq2[*UsageCost, error] {
	const name = "list usage costs"
	ck := checks{op: name}
	if ck.present(params == nil); ck.err == nil {
		switch period := params.EndTime.Sub(params.StartTime); {
		case params.StartTime.IsZero() || params.EndTime.IsZero():
			ck.fail("period", "needs a start time and an end time")
		case period <= 0:
			ck.fail("period", "ends before it begins")
		case period > maxCostPeriod:
			ck.fail("period", "is longer than 31 days")
		}
		totals := pointed(params.IncludeTotals)
		if totals && pointed(params.Granularity) != CostsByResource {
			ck.fail("totals", "take granularity %s", CostsByResource)
		}
		if pointed(params.IncludeDaily) && !totals {
			ck.fail("daily totals", "take the totals")
		}
		if n := len(params.ResourceIDs); n > maxCostResources {
			ck.fail("resources", "are %d, more than %d", n, maxCostResources)
		}
	}
	if ck.err != nil {
		return func(yield func(*UsageCost, error) bool) { yield(nil, ck.err) }
	}
	paging := func(q *ListUsageCostsParams) paging { return paging{pageSize: &q.PageSize, cursor: &q.Cursor} }
	return list(ctx, name, params, paging, u.c.api.ListUsageCosts, func(l *gen.UsageCostList) page[UsageCost] {
		return page[UsageCost]{items: l.Items, cursor: l.NextCursor}
	})
}
