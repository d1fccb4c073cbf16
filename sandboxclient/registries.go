package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Registries manages image registries and the credentials for them, which the
// server never returns. It is safe for concurrent use.
type Registries struct{ c *Client }

var registryRules = [][]rule{{notFound(resourceRegistry)}, generic}

var registryCreateRules = [][]rule{{
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourceRegistry},
}, generic}

var registryUpdateRules = [][]rule{{
	notFound(resourceRegistry),
	{status: http.StatusConflict, kinds: kinds(ErrNameConflict, ErrConflict), resource: resourceRegistry},
}, generic}

var registryDeleteRules = [][]rule{{
	notFound(resourceRegistry),
	{status: http.StatusConflict, kinds: kinds(ErrInUse, ErrConflict), resource: resourceRegistry},
}, generic}

// Create makes a registry (POST /registries). Username and Password go
// together; AuthType [RegistryAuthAWSRole] has AWSRoleARN instead. Errors:
// [ErrInvalid], [ErrExists], [ErrUnsupported].
func (r *Registries) Create(ctx context.Context, req *CreateRegistry) (*Registry, error) {
	op := operation{name: "create registry", effect: true, rules: registryCreateRules}
	op.call.Repeat = transport.RepeatRefused
	ck := checks{op: op.name}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	ck.name("name", req.Name)
	ck.required("url", req.URL)
	ck.registry(req.URL, req.AuthType, req.AWSRoleARN, req.Username+req.Password)
	if (req.Username == "") != (req.Password == "") {
		ck.fail("user name and password", "go together, and only one is given")
	}
	if req.AuthType == RegistryAuthAWSRole && req.AWSRoleARN == "" {
		ck.fail("AWS role", "is empty, and the only way to log in with %s", req.AuthType)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	op.resource = req.Name
	return fetch[Registry](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return r.c.api.CreateRegistry(ctx, *req)
	})
}

// registry checks what a request may say of a registry, created or changed.
func (c *checks) registry(address string, auth RegistryAuthType, role, credentials string) {
	withScheme := address
	if !strings.Contains(address, "://") {
		withScheme = "https://" + address
	}
	u, err := url.Parse(withScheme)
	switch {
	case address == "":
	case err != nil || u.Host == "":
		c.fail("url", "is no address of a registry") // not repeated: it may hold a secret
	case u.User != nil:
		c.fail("url", "holds credentials, which would be returned to everybody: use Username and Password")
	}
	if role != "" && (auth == RegistryAuthDockerConfig || credentials != "") {
		c.fail("AWS role", "excludes user name and password")
	}
	if auth == RegistryAuthAWSRole && credentials != "" {
		c.fail("user name and password", "have no place in %s", auth)
	}
}

// Get returns a registry (GET /registries/{name}). Errors: [ErrNotFound].
func (r *Registries) Get(ctx context.Context, name string) (*Registry, error) {
	return r.get(ctx, "get registry", name)
}

func (r *Registries) get(ctx context.Context, opName, name string) (*Registry, error) {
	op, err := named(opName, name, registryRules)
	if err != nil {
		return nil, err
	}
	return fetch[Registry](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return r.c.api.GetRegistry(ctx, name)
	})
}

// List yields registries (GET /registries), page by page, the newest first;
// params may be nil. The error, if any, comes last.
func (r *Registries) List(ctx context.Context, params *ListRegistriesParams) iter.Seq2[*Registry, error] {
	paging := func(q *ListRegistriesParams) paging {
		return paging{&q.Limit, &q.Offset, &q.PageSize, &q.Cursor}
	}
	return list(ctx, "list registries", params, paging, r.c.api.ListRegistries, func(l *gen.RegistryList) page[Registry] {
		return page[Registry]{items(l.Items, l.Registries), l.Offset, l.NextCursor}
	})
}

// Update changes a registry (PATCH /registries/{name}); zero fields stay as
// they are, and an update without fields reads it. Servers of the first
// generation take URL, Username and Password together only. Errors:
// [ErrInvalid], [ErrNotFound], [ErrNameConflict], [ErrUnsupported].
func (r *Registries) Update(ctx context.Context, name string, update *RegistryUpdate) (*Registry, error) {
	body := pointed(update)
	if body == (RegistryUpdate{}) {
		return r.get(ctx, "update registry", name)
	}
	op, err := changing("update registry", name, registryUpdateRules)
	ck := checks{op: op.name, err: err}
	ck.optionalName("new name", body.Name)
	ck.registry(body.URL, body.AuthType, body.AWSRoleARN, body.Username+body.Password)
	if ck.err != nil {
		return nil, ck.err
	}
	return fetch[Registry](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return r.c.api.UpdateRegistry(ctx, name, body)
	})
}

// Delete deletes a registry (DELETE /registries/{name}). Errors:
// [ErrNotFound], [ErrInUse] while a template uses it.
func (r *Registries) Delete(ctx context.Context, name string) error {
	op, err := changing("delete registry", name, registryDeleteRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return r.c.api.DeleteRegistry(ctx, name)
	})
}
