package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Snapshots manages snapshots, the root file systems that sandboxes start
// from. It is safe for concurrent use.
//
// A snapshot is reached by its id; servers of the second generation also take
// "name:tag" in its place, and a name alone for "name:latest".
type Snapshots struct{ c *Client }

var snapshotRules = [][]rule{{notFound(resourceSnapshot)}, generic}

var snapshotCreateRules = [][]rule{{
	{status: http.StatusConflict, kinds: kinds(ErrExists, ErrConflict), resource: resourceSnapshot},
}, generic}

var snapshotDeleteRules = [][]rule{{
	notFound(resourceSnapshot),
	{status: http.StatusConflict, kinds: kinds(ErrInUse, ErrConflict), resource: resourceSnapshot},
}, generic}

// Create makes a snapshot of an image (POST /snapshots) and waits until it is
// ready, as [Snapshots.Wait] does; wait may be nil. Name, DockerImage and
// FSCapacityBytes are required. Errors: [ErrInvalid], [ErrExists], [ErrQuota],
// [ErrUnsupported], and those of Wait.
func (s *Snapshots) Create(ctx context.Context, req *CreateSnapshot, wait *WaitOptions) (*Snapshot, error) {
	op := operation{name: "create snapshot", effect: true, rules: snapshotCreateRules}
	op.call.Repeat = transport.RepeatRefused
	ck := checks{op: op.name}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	ck.snapshot(req.Name, req.Tag, req.Description, req.RunConfig)
	ck.required("image", req.DockerImage)
	if req.FSCapacityBytes <= 0 {
		ck.fail("disk", "is %d bytes, and has to be given", req.FSCapacityBytes)
	}
	if ck.err != nil {
		return nil, ck.err
	}
	op.resource = req.Name
	return s.made(ctx, op, wait, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.CreateSnapshot(ctx, *req)
	})
}

// made asks for a snapshot, however it comes about, and waits for it.
func (s *Snapshots) made(ctx context.Context, op operation, wait *WaitOptions, send func(context.Context) (*http.Response, error)) (*Snapshot, error) {
	made, err := fetch[Snapshot](ctx, op, send)
	if err != nil || pointed(wait).NoWait {
		return made, err
	}
	if made.ID == "" {
		return nil, &APIError{Op: op.name, Name: op.resource, Message: "the answer has no id to wait for", kinds: kinds(ErrProtocol, ErrOutcomeUnknown)}
	}
	return s.wait(ctx, *made, wait)
}

const (
	maxSnapshotName        = 255
	maxSnapshotTag         = 128
	maxSnapshotDescription = 1024
)

// snapshot checks what a request says of the snapshot to make.
func (c *checks) snapshot(name, tag, description string, config RunConfig) {
	c.snapshotName(name)
	if len(name) > maxSnapshotName {
		c.fail("name", "has %d characters, more than %d", len(name), maxSnapshotName)
	}
	if strings.HasPrefix(name, "system/") {
		c.fail("name", "is %q; system/ is the server's", name)
	}
	if strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ':' || r == '/' }) {
		c.fail("tag", "is %q; blanks, colons and slashes are not allowed", tag)
	}
	if len(tag) > maxSnapshotTag {
		c.fail("tag", "has %d characters, more than %d", len(tag), maxSnapshotTag)
	}
	if n := utf8.RuneCountInString(description); n > maxSnapshotDescription {
		c.fail("description", "has %d characters, more than %d", n, maxSnapshotDescription)
	}
	c.runConfig(config)
}

// snapshotName checks the name of a snapshot, of which slashes are part.
func (c *checks) snapshotName(name string) {
	c.segment("name", name)
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) {
		c.fail("name", "is %q; colons and control characters are not allowed", name)
	}
}

// Get returns a snapshot by its id, or by "name:tag" (GET
// /snapshots/{snapshot}). Errors: [ErrNotFound].
func (s *Snapshots) Get(ctx context.Context, id string) (*Snapshot, error) {
	op, err := named("get snapshot", id, snapshotRules)
	if err != nil {
		return nil, err
	}
	return fetch[Snapshot](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.GetSnapshot(ctx, id)
	})
}

// ByName returns the tags of a snapshot name and what they point to (GET
// /snapshots-by-name/{name}). Errors: [ErrNotFound].
func (s *Snapshots) ByName(ctx context.Context, name string) (*SnapshotTags, error) {
	op, err := named("get snapshot tags", name, snapshotRules)
	ck := checks{op: op.name, err: err}
	if ck.snapshotName(name); ck.err != nil {
		return nil, ck.err
	}
	return fetch[SnapshotTags](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.GetSnapshotTags(ctx, name)
	})
}

// List yields snapshots (GET /snapshots), page by page, the newest first if
// params do not say otherwise; they may be nil. Servers take pages of at most
// 500. The error, if any, comes last.
func (s *Snapshots) List(ctx context.Context, params *ListSnapshotsParams) iter.Seq2[*Snapshot, error] {
	paging := func(q *ListSnapshotsParams) paging {
		return paging{&q.Limit, &q.Offset, &q.PageSize, &q.Cursor}
	}
	return list(ctx, "list snapshots", params, paging, s.c.api.ListSnapshots, func(l *gen.SnapshotList) page[Snapshot] {
		return page[Snapshot]{items(l.Items, l.Snapshots), l.Offset, l.NextCursor}
	})
}

// Delete deletes a snapshot by its id, or by "name:tag" (DELETE
// /snapshots/{snapshot}). Errors: [ErrNotFound], [ErrInUse] while a sandbox
// needs it.
func (s *Snapshots) Delete(ctx context.Context, id string) error {
	op, err := changing("delete snapshot", id, snapshotDeleteRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.DeleteSnapshot(ctx, id)
	})
}

// Wait polls a snapshot until it is ready, every two seconds if opts, which
// may be nil, say nothing else. It fails with a [WaitError]: [ErrProvision]
// with the server's reason when the snapshot failed, [ErrTimeout] when the
// context or the timeout ended first. Errors of the requests end the wait:
// [ErrNotFound] is a snapshot that is deleted meanwhile.
func (s *Snapshots) Wait(ctx context.Context, id string, opts *WaitOptions) (*Snapshot, error) {
	return s.wait(ctx, Snapshot{ID: id}, opts)
}

func (s *Snapshots) wait(ctx context.Context, last Snapshot, opts *WaitOptions) (*Snapshot, error) {
	id := last.ID
	ended := func(kind, cause error) error {
		return &WaitError{
			ResourceType: resourceSnapshot, Name: id, LastStatus: Status(last.Status), StatusMessage: last.StatusMessage,
			kind: kind, cause: cause,
		}
	}
	err := pointed(opts).poll(ctx, 2*time.Second, func() (done bool, err error) {
		now, err := s.Get(ctx, id)
		switch {
		case err != nil && ctx.Err() != nil:
			return true, ended(ErrTimeout, ctx.Err())
		case err != nil:
			return true, err
		}
		last = *now
		switch last.Status {
		case SnapshotReady:
			return true, nil
		case SnapshotFailed:
			return true, ended(ErrProvision, nil)
		case SnapshotBuilding, SnapshotDeleting:
		}
		return false, nil
	}, func(cause error) error { return ended(ErrTimeout, cause) })
	if err != nil {
		return nil, err
	}
	return &last, nil
}

// Capture makes a snapshot of the sandbox, which goes on as it was (POST
// /boxes/{name}/snapshot), and waits until it is ready, as [Snapshots.Wait]
// does; wait may be nil. Name is required. Errors: [ErrInvalid],
// [ErrNotFound], [ErrConflict], [ErrQuota], [ErrUnsupported], and those of
// Wait.
func (s *Sandbox) Capture(ctx context.Context, req *CaptureSnapshot, wait *WaitOptions) (*Snapshot, error) {
	name := s.Name()
	op, err := changing("capture sandbox", name, sandboxRules)
	op.call.Repeat = transport.RepeatRefused
	ck := checks{op: op.name, err: err}
	if ck.present(req == nil); ck.err != nil {
		return nil, ck.err
	}
	ck.snapshot(req.Name, req.Tag, req.Description, req.RunConfig)
	ck.atLeastZero("disk", req.FSCapacityBytes)
	if req.IncludeMemory && req.Checkpoint != "" {
		ck.fail("memory", "is not part of a checkpoint")
	}
	for _, port := range req.ImageConfig.ExposedPorts {
		ck.between("exposed port", port, 1, 65535)
	}
	for _, setting := range req.Include {
		ck.required("setting to include", string(setting))
	}
	if ck.err != nil {
		return nil, ck.err
	}
	return s.c.Snapshots.made(ctx, op, wait, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.CaptureSandbox(ctx, name, *req)
	})
}
