package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Volumes manages volumes, persistent storage: templates mount those of the
// API's first generation, and sandboxes attach those of the second (see
// CreateSandbox.Volumes). It is safe for concurrent use.
type Volumes struct{ c *Client }

var volumeRules = [][]rule{{notFound(resourceVolume)}, generic}

var volumeCreateRules = [][]rule{{
	{status: http.StatusServiceUnavailable, kinds: kinds(ErrProvision), resource: resourceVolume, errorType: "VolumeProvisioning"},
	{status: http.StatusGatewayTimeout, kinds: kinds(ErrTimeout), resource: resourceVolume},
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourceVolume},
}, generic}

var volumeUpdateRules = [][]rule{{
	notFound(resourceVolume),
	{status: http.StatusBadRequest, kinds: kinds(ErrInvalid), errorType: "VolumeResize"},
	{status: http.StatusConflict, kinds: kinds(ErrNameConflict, ErrConflict), resource: resourceVolume},
}, generic}

var volumeDeleteRules = [][]rule{{
	notFound(resourceVolume),
	{status: http.StatusConflict, kinds: kinds(ErrInUse, ErrConflict), resource: resourceVolume},
}, generic}

// Create makes a volume (POST /volumes), of the first generation if Size says
// how large, of the second if SizeBytes does. The first is waited for until it
// is bound, unless WaitForReady says otherwise: for Timeout seconds, else as
// long as the context allows, 60 seconds without a deadline. The second is
// ready at once. Errors: [ErrInvalid], [ErrExists], [ErrQuota],
// [ErrProvision], [ErrTimeout].
func (v *Volumes) Create(ctx context.Context, req *CreateVolume) (*Volume, error) {
	op := operation{name: "create volume", effect: true, rules: volumeCreateRules}
	ck := checks{op: op.name}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	if ck.newVolume(req); ck.err != nil {
		return nil, ck.err
	}
	body := *req
	op.call.Repeat = transport.RepeatRefused
	if req.Size != "" {
		body.WaitForReady, body.Timeout, op.call = waiting(ctx, req.WaitForReady, req.Timeout, 60, 5, 300)
	}
	op.resource = req.Name
	return fetch[Volume](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return v.c.api.CreateVolume(ctx, body)
	})
}

func (c *checks) newVolume(req *CreateVolume) {
	c.name("name", req.Name)
	c.atLeastZero("size_bytes", req.SizeBytes)
	switch {
	case req.SizeBytes == 0:
		c.required("size", req.Size)
		if req.Description != "" || len(req.Labels) > 0 {
			c.fail("description and labels", "belong to volumes made with size_bytes, not with size")
		}
	case req.Size != "":
		c.fail("size and size_bytes", "exclude each other")
	case req.WaitForReady != nil || req.Timeout != 0:
		c.fail("wait_for_ready and timeout", "belong to volumes made with size; with size_bytes they are ready at once")
	}
	if req.Timeout != 0 {
		c.between("timeout", req.Timeout, 5, 300)
	}
}

// waiting completes the two fields of a create that waits.
func waiting(ctx context.Context, wait *bool, asked, byDefault, low, high int) (*bool, int, transport.Call) {
	call := transport.Call{Repeat: transport.RepeatRefused}
	if wait != nil && !*wait {
		return wait, 0, call
	}
	seconds := waitSeconds(ctx, asked, byDefault, low, high)
	call.Timeout = time.Duration(seconds)*time.Second + answerMargin
	return new(true), seconds, call
}

// Get returns a volume (GET /volumes/{name}), of the second generation also by
// its id. Errors: [ErrNotFound].
func (v *Volumes) Get(ctx context.Context, name string) (*Volume, error) {
	return v.get(ctx, "get volume", name)
}

func (v *Volumes) get(ctx context.Context, opName, name string) (*Volume, error) {
	op, err := named(opName, name, volumeRules)
	if err != nil {
		return nil, err
	}
	return fetch[Volume](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return v.c.api.GetVolume(ctx, name)
	})
}

// named is an operation on something that exists.
func named(op, name string, rules [][]rule) (operation, error) {
	ck := checks{op: op}
	ck.segment("name", name)
	return operation{name: op, resource: name, rules: rules}, ck.err
}

// changing is an operation that changes something that exists.
func changing(op, name string, rules [][]rule) (operation, error) {
	o, err := named(op, name, rules)
	o.effect = true
	return o, err
}

// List yields volumes (GET /volumes), page by page; params may be nil. The
// error, if any, comes last.
func (v *Volumes) List(ctx context.Context, params *ListVolumesParams) iter.Seq2[*Volume, error] {
	paging := func(q *ListVolumesParams) paging {
		return paging{&q.Limit, &q.Offset, &q.PageSize, &q.Cursor}
	}
	return list(ctx, "list volumes", params, paging, v.c.api.ListVolumes, func(l *gen.VolumeList) page[Volume] {
		return page[Volume]{items(l.Items, l.Volumes), l.Offset, l.NextCursor}
	})
}

// pointed copies what p points to; nil is the zero value.
func pointed[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// Update changes a volume (PATCH /volumes/{name}): name and size in the first
// generation, description and labels in the second. Labels that are empty and
// not nil remove those there are. An update without fields reads the volume.
// Errors: [ErrNotFound], [ErrNameConflict], [ErrInvalid] for a smaller size,
// [ErrQuota].
func (v *Volumes) Update(ctx context.Context, name string, update *VolumeUpdate) (*Volume, error) {
	body := pointed(update)
	if body.Name == "" && body.Size == "" && body.Description == nil && body.Labels == nil {
		return v.get(ctx, "update volume", name)
	}
	op, err := changing("update volume", name, volumeUpdateRules)
	ck := checks{op: op.name, err: err}
	ck.optionalName("new name", body.Name)
	if ck.err != nil {
		return nil, ck.err
	}
	return fetch[Volume](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return v.c.api.UpdateVolume(ctx, name, body)
	})
}

// Delete deletes a volume (DELETE /volumes/{name}). Errors: [ErrNotFound],
// [ErrInUse] while a template mounts it or a sandbox uses it.
func (v *Volumes) Delete(ctx context.Context, name string) error {
	op, err := changing("delete volume", name, volumeDeleteRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return v.c.api.DeleteVolume(ctx, name)
	})
}
