package sandboxclient

import (
	"context"
	"iter"
	"net/http"

	"github.com/langsandbox/sandbox-go/gen"
)

// Pools manages pools, sandboxes of one template that are started in advance
// (first generation of the API). It is safe for concurrent use.
type Pools struct{ c *Client }

const maxReplicas = 100

var poolRules = [][]rule{{notFound(resourcePool)}, generic}

var poolTemplateRules = []rule{
	{status: http.StatusBadRequest, code: "TemplateNotFound", kinds: kinds(ErrNotFound), resource: resourceTemplate},
	{status: http.StatusBadRequest, code: "ValidationError", kinds: kinds(ErrInvalid)},
	{status: http.StatusGatewayTimeout, kinds: kinds(ErrTimeout), resource: resourcePool},
}

var poolCreateRules = [][]rule{poolTemplateRules, {
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourcePool},
}, generic}

var poolUpdateRules = [][]rule{poolTemplateRules, {
	notFound(resourcePool),
	{status: http.StatusConflict, kinds: kinds(ErrNameConflict, ErrConflict), resource: resourcePool},
}, generic}

// Create makes a pool (POST /pools) and, unless WaitForReady says otherwise,
// waits until a sandbox of it is ready: for Timeout seconds, else as long as
// the context allows, 30 seconds without a deadline. Errors: [ErrInvalid],
// [ErrNotFound] for the template, [ErrExists], [ErrQuota], [ErrTimeout].
func (p *Pools) Create(ctx context.Context, req *CreatePool) (*Pool, error) {
	op := operation{name: "create pool", effect: true, rules: poolCreateRules}
	ck := checks{op: op.name}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	ck.poolName("name", req.Name)
	ck.segment("template name", req.TemplateName)
	ck.between("replicas", req.Replicas, 1, maxReplicas)
	if req.Timeout != 0 {
		ck.between("timeout", req.Timeout, 10, 600)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	body := *req
	body.WaitForReady, body.Timeout, op.call = waiting(ctx, req.WaitForReady, req.Timeout, 30, 10, 600)
	op.resource = req.Name
	return fetch[Pool](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return p.c.api.CreatePool(ctx, body)
	})
}

// Get returns a pool (GET /pools/{name}). Errors: [ErrNotFound].
func (p *Pools) Get(ctx context.Context, name string) (*Pool, error) {
	return p.get(ctx, "get pool", name)
}

func (p *Pools) get(ctx context.Context, opName, name string) (*Pool, error) {
	op, err := named(opName, name, poolRules)
	if err != nil {
		return nil, err
	}
	return fetch[Pool](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return p.c.api.GetPool(ctx, name)
	})
}

// List yields pools (GET /pools), page by page; params may be nil. The error,
// if any, comes last.
func (p *Pools) List(ctx context.Context, params *ListPoolsParams) iter.Seq2[*Pool, error] {
	paging := func(q *ListPoolsParams) paging { return paging{offset: &q.Offset} }
	return list(ctx, "list pools", params, paging, p.c.api.ListPools, func(l *gen.PoolList) page[Pool] {
		return page[Pool]{items: l.Pools, offset: l.Offset}
	})
}

// Update renames or resizes a pool (PATCH /pools/{name}); 0 replicas pause it.
// An update without fields reads the pool. Errors: [ErrNotFound],
// [ErrNameConflict], [ErrQuota], [ErrTimeout].
func (p *Pools) Update(ctx context.Context, name string, update *PoolUpdate) (*Pool, error) {
	body := pointed(update)
	if body == (PoolUpdate{}) {
		return p.get(ctx, "update pool", name)
	}
	op, err := changing("update pool", name, poolUpdateRules)
	ck := checks{op: op.name, err: err}
	if body.Name != "" {
		ck.poolName("new name", body.Name)
	}
	if body.Replicas != nil {
		ck.between("replicas", *body.Replicas, 0, maxReplicas)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	return fetch[Pool](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return p.c.api.UpdatePool(ctx, name, body)
	})
}

// Delete deletes a pool and the sandboxes that wait in it (DELETE
// /pools/{name}). Errors: [ErrNotFound].
func (p *Pools) Delete(ctx context.Context, name string) error {
	op, err := changing("delete pool", name, poolRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return p.c.api.DeletePool(ctx, name)
	})
}
