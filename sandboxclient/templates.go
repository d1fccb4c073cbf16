package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Templates manages templates, the blueprints of sandboxes (first generation
// of the API). It is safe for concurrent use.
type Templates struct{ c *Client }

var templateRules = [][]rule{{notFound(resourceTemplate)}, generic}

var templateCreateRules = [][]rule{{
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourceTemplate},
}, generic}

var templateUpdateRules = [][]rule{{
	notFound(resourceTemplate),
	{status: http.StatusConflict, kinds: kinds(ErrNameConflict, ErrConflict), resource: resourceTemplate},
}, generic}

var templateDeleteRules = [][]rule{{
	notFound(resourceTemplate),
	{status: http.StatusConflict, kinds: kinds(ErrInUse, ErrConflict), resource: resourceTemplate},
}, generic}

// Create makes a template (POST /templates). CPU and memory left empty are
// 500m and 512Mi. Errors: [ErrInvalid], [ErrExists], [ErrQuota].
func (t *Templates) Create(ctx context.Context, req *CreateTemplate) (*Template, error) {
	op := operation{name: "create template", effect: true, rules: templateCreateRules}
	op.call.Repeat = transport.RepeatRefused
	ck := checks{op: op.name}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	ck.name("name", req.Name)
	ck.required("image", req.Image)
	ck.proxy(req.ProxyConfig)
	for _, m := range req.VolumeMounts {
		ck.segment("volume name", m.VolumeName)
		if !strings.HasPrefix(m.MountPath, "/") {
			ck.fail("mount path", "is %q, not an absolute path", m.MountPath)
		}
	}
	if ck.err != nil {
		return nil, ck.err
	}
	body := *req
	if body.Resources.CPU == "" {
		body.Resources.CPU = "500m"
	}
	if body.Resources.Memory == "" {
		body.Resources.Memory = "512Mi"
	}
	op.resource = req.Name
	return fetch[Template](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return t.c.api.CreateTemplate(ctx, body)
	})
}

// Get returns a template (GET /templates/{name}). Errors: [ErrNotFound].
func (t *Templates) Get(ctx context.Context, name string) (*Template, error) {
	op, err := named("get template", name, templateRules)
	if err != nil {
		return nil, err
	}
	return fetch[Template](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return t.c.api.GetTemplate(ctx, name)
	})
}

// List yields templates (GET /templates), page by page; params may be nil. The
// error, if any, comes last.
func (t *Templates) List(ctx context.Context, params *ListTemplatesParams) iter.Seq2[*Template, error] {
	paging := func(q *ListTemplatesParams) paging { return paging{offset: &q.Offset} }
	return list(ctx, "list templates", params, paging, t.c.api.ListTemplates, func(l *gen.TemplateList) page[Template] {
		return page[Template]{items: l.Templates, offset: l.Offset}
	})
}

// Update renames a template (PATCH /templates/{name}); all else about it is
// fixed. Errors: [ErrNotFound], [ErrNameConflict].
func (t *Templates) Update(ctx context.Context, name string, update *TemplateUpdate) (*Template, error) {
	op, err := changing("update template", name, templateUpdateRules)
	ck := checks{op: op.name, err: err}
	body := pointed(update)
	ck.name("new name", body.Name)
	if ck.err != nil {
		return nil, ck.err
	}
	return fetch[Template](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return t.c.api.UpdateTemplate(ctx, name, body)
	})
}

// Delete deletes a template (DELETE /templates/{name}). Errors: [ErrNotFound],
// [ErrInUse] while a sandbox or pool uses it.
func (t *Templates) Delete(ctx context.Context, name string) error {
	op, err := changing("delete template", name, templateDeleteRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return t.c.api.DeleteTemplate(ctx, name)
	})
}

// DeleteBatch deletes the templates that nothing uses and says which were
// skipped (POST /templates/batch-delete).
func (t *Templates) DeleteBatch(ctx context.Context, names ...string) (*BatchDeleteResult, error) {
	return deleteBatch(ctx, "delete templates", names, func(ctx context.Context, body gen.BatchDelete) (*http.Response, error) {
		return t.c.api.BatchDeleteTemplates(ctx, body)
	})
}

// deleteBatch deletes by name; its send is one of the two operations.
func deleteBatch(ctx context.Context, name string, names []string, send func(context.Context, gen.BatchDelete) (*http.Response, error)) (*BatchDeleteResult, error) {
	op := operation{name: name, rules: [][]rule{generic}, effect: true}
	op.call.Repeat = transport.RepeatRefused
	ck := checks{op: name}
	for _, n := range names {
		ck.segment("name", n)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	if len(names) == 0 {
		return &BatchDeleteResult{}, nil
	}
	return fetch[BatchDeleteResult](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return send(ctx, gen.BatchDelete{Names: names})
	})
}
