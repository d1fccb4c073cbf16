package sandboxserver

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

const (
	defaultIdle       = 600               // seconds
	defaultAfterStop  = 14 * 24 * 60 * 60 // seconds
	defaultBoxTimeout = 30 * time.Second
	maxVCPUs          = 1 << 16
)

// createBox makes a sandbox. The sandbox goes on starting when ctx ends before
// it is ready, and can be found by its name.
func (e *engine) createBox(ctx context.Context, req gen.CreateSandbox) (view gen.Sandbox, err error) {
	wait := req.WaitForReady == nil || *req.WaitForReady
	b, err := newBox(req)
	if err == nil {
		err = e.checkProxy(b.proxy)
	}
	if err == nil {
		err = e.checkUser(b.traits.runs.User)
	}
	if err != nil {
		return view, err
	}
	var starting *transition
	if err := e.look(func() error { //nolint:contextcheck // the sandbox outlives the request
		if starting, err = e.addBox(b, req, wait); err == nil {
			view = e.boxView(b)
		}
		return err
	}); err != nil {
		return view, err
	}
	if !wait {
		return view, e.save()
	}
	if err := starting.wait(ctx); err != nil {
		return view, e.failedCreate(ctx, b, err)
	}
	if err := e.saveBox(b); err != nil {
		return view, err
	}
	return view, e.look(func() error { view = e.boxView(b); return nil })
}

// newBox checks what can be checked without the stores.
func newBox(req gen.CreateSandbox) (*box, error) {
	if err := checkName(req.Name); err != nil {
		return nil, err
	}
	if extra := extraSource(req); extra != "" {
		return nil, invalid("template_name, snapshot_id, snapshot_name and snapshot exclude each other", extra)
	}
	b := &box{
		idle: defaultIdle, afterStop: defaultAfterStop,
		sizes: sizes{vcpus: req.VCPUs, millicores: req.CPUMillicores, memory: req.MemBytes, disk: req.FSCapacityBytes},
	}
	if err := checkCPU(req.VCPUs, req.CPUMillicores); err != nil {
		return nil, err
	}
	if err := b.sizes.check(req.TemplateName == "", req.Persistent == nil || *req.Persistent); err != nil {
		return nil, err
	}
	if req.TemplateName != "" {
		b.afterStop = 0 // the first generation deletes without a stop
	}
	setTimers(
		timer{&b.ttl, req.TTLSeconds}, timer{&b.idle, req.IdleTTLSeconds}, timer{&b.afterStop, req.DeleteAfterStopSeconds},
	)
	var err error
	if b.traits, err = newTraits(req); err != nil {
		return nil, err
	}
	b.proxy, err = storedProxy(req.ProxyConfig, gen.ProxyConfig{})
	return b, err
}

func checkCPU(vcpus, millicores int) error {
	if vcpus > maxVCPUs {
		return invalid(fmt.Sprintf("vcpus must be at most %d", maxVCPUs), "vcpus")
	}
	if millicores > maxVCPUs*1000 {
		return invalid(fmt.Sprintf("cpu_millicores must be at most %d", maxVCPUs*1000), "cpu_millicores")
	}
	return nil
}

// extraSource names the second source of a request, which is one too many.
func extraSource(req gen.CreateSandbox) string {
	named := false
	for _, source := range []struct{ member, value string }{
		{"template_name", req.TemplateName}, {"snapshot_id", req.SnapshotID}, {"snapshot_name", req.SnapshotName}, {"snapshot", req.Snapshot},
	} {
		if source.value != "" && named {
			return source.member
		}
		named = named || source.value != ""
	}
	return ""
}

// addBox enters a sandbox and starts it, or takes a started one from a pool.
// mu is held.
func (e *engine) addBox(b *box, req gen.CreateSandbox, wait bool) (*transition, error) {
	var t *template
	if req.TemplateName != "" {
		var err error
		if t, err = e.templates.get(req.TemplateName); err != nil {
			return nil, problem(400, codeTemplateNotFound, "template %q not found", req.TemplateName)
		}
	}
	name := req.Name
	if name == "" {
		name = e.newBoxName()
	}
	if err := e.boxes.free(name); err != nil {
		return nil, err
	}
	var err error
	if b.volumes, err = e.attachVolumes(req.Volumes, t); err != nil {
		return nil, err
	}
	b.meta = e.newMeta(newID(), name)
	if ref := cmp.Or(req.SnapshotID, req.SnapshotName, req.Snapshot); ref != "" {
		s, err := e.findSnapshot(ref)
		if err != nil {
			return nil, problem(400, codeSnapshotNotFound, "snapshot %q not found", ref)
		}
		if err := b.inherit(s, req); err != nil {
			return nil, err
		}
	}
	b.take(t)
	b.root = e.rootOf(b, t)
	if t != nil && b.sizes == (sizes{}) && len(b.volumes) == 0 {
		if w := e.takeWarm(t.id); w != nil {
			return e.addWarm(b, w), nil
		}
	}
	if err := e.sandboxQuota(1, b.amounts); err != nil {
		return nil, err
	}
	e.boxes.add(b)
	timeout := secondsOr(req.Timeout, defaultBoxTimeout)
	if !wait {
		timeout = e.cfg.StartTimeout
	}
	starting := e.start(b, timeout)
	e.arm(b)
	return starting, nil
}

// addWarm makes a sandbox of one that waited in a pool. mu is held.
func (e *engine) addWarm(b *box, w *warm) *transition {
	b.id, b.held = w.id, w.held
	if b.held != nil {
		b.root.Digest = b.held.Image.Digest
	}
	e.boxes.add(b)
	starting := e.adopt(b, w.sb)
	e.fillAll()
	return starting
}

// rootOf is what a new sandbox is made of. mu is held.
func (e *engine) rootOf(b *box, t *template) rootImage {
	if t != nil {
		return e.root(t.image, t.registryID)
	}
	if s := e.snapshotOf(b); s != nil {
		return s.root
	}
	return rootImage{}
}

func (e *engine) newBoxName() string {
	for {
		name := "sb-" + randomHex(5)
		if e.boxes.free(name) == nil {
			return name
		}
	}
}

// take works out what the sandbox is counted with.
func (b *box) take(t *template) {
	b.amounts = defaultAmounts
	if t != nil {
		b.templateID, b.amounts = t.id, t.amounts
		if !given(b.proxy) {
			b.proxy = cloneProxy(t.proxy)
		}
	}
	b.amounts = b.sizes.counted(b.amounts, t != nil)
}

// failedCreate answers a create whose sandbox did not start. The sandbox is
// taken away before the answer, unless the client is gone: then it can still
// be found.
func (e *engine) failedCreate(ctx context.Context, b *box, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var gone *transition
	if err := e.look(func() error { gone = e.remove(b); return nil }); err != nil {
		return err
	}
	if err := gone.wait(ctx); err != nil {
		return err
	}
	return asStartProblem(err)
}

func (e *engine) getBox(name string) (view gen.Sandbox, err error) {
	return view, e.look(func() error {
		b, err := e.boxes.find(name)
		if err == nil {
			view = e.boxView(b)
		}
		return err
	})
}

// hasBox reports a sandbox that does not exist.
func (e *engine) hasBox(id string) error {
	return e.look(func() error {
		if e.boxes.byID[id] == nil {
			return notFound("sandbox", id)
		}
		return nil
	})
}

func (e *engine) boxStatus(name string) (out gen.StatusReport, err error) {
	return out, e.look(func() error {
		b, err := e.boxes.find(name)
		if err == nil {
			out = gen.StatusReport{Status: b.status, StatusMessage: b.message}
		}
		return err
	})
}

func (e *engine) listBoxes(p gen.ListSandboxesParams) (out gen.SandboxList, err error) {
	l := listing[*box]{
		order: "sandboxes " + string(value(p.SortBy)), key: e.boxKey(value(p.SortBy)),
		direction: cmp.Or(value(p.SortOrder), value(p.SortDirection)), nameContains: value(p.NameContains),
		limit: cmp.Or(value(p.PageSize), value(p.Limit)), offset: value(p.Offset), cursor: value(p.Cursor),
		keep: func(b *box) bool {
			return (p.Status == nil || b.status == *p.Status) && (p.TemplateName == nil || e.templateName(b) == *p.TemplateName) &&
				labelled(b.traits.labels, p.Labels) && b.traits.tagged(p.TagValueIDs)
		},
	}
	return out, e.look(func() error {
		page, err := l.pages(e.boxes.all())
		items := views(page.items, e.boxView)
		out = gen.SandboxList{Items: items, Sandboxes: items, Offset: page.offset, NextCursor: page.cursor}
		return err
	})
}

// boxKey is what sandboxes are sorted by; nil is their creation.
func (e *engine) boxKey(by gen.SandboxSortBy) func(*box) string {
	number := func(n int64) string { return fmt.Sprintf("%020d", n) }
	switch by {
	case gen.SandboxSortByCreatedAt:
	case gen.SandboxSortByName:
		return byName[*box]
	case gen.SandboxSortByStatus:
		return func(b *box) string { return string(b.status) }
	case gen.SandboxSortByTemplateName:
		return e.templateName
	case gen.SandboxSortByStoppedAt:
		return func(b *box) string {
			if b.stopped.IsZero() {
				return ""
			}
			return number(b.stopped.UnixNano())
		}
	case gen.SandboxSortByIdleTTLSeconds:
		return func(b *box) string { return number(int64(b.idle)) }
	case gen.SandboxSortByDeleteAfterStopSeconds:
		return func(b *box) string { return number(int64(b.afterStop)) }
	}
	return nil
}

func (e *engine) deleteBox(ctx context.Context, name string) error {
	var b *box
	var gone *transition
	if err := e.look(func() (err error) {
		if b, err = e.boxes.find(name); err == nil {
			gone = e.remove(b)
		}
		return err
	}); err != nil {
		return err
	}
	if err := gone.wait(ctx); err != nil {
		return err
	}
	return e.saveBox(b)
}

func (e *engine) deleteBoxes(ctx context.Context, names []string) (gen.BatchDeleteResult, error) {
	out := emptyBatch()
	going := make([]*transition, len(names))
	problems := make([]error, len(names))
	if err := e.look(func() error {
		for i, name := range names {
			var b *box
			if b, problems[i] = e.boxes.find(name); problems[i] == nil {
				going[i] = e.remove(b)
			}
		}
		return nil
	}); err != nil {
		return out, err
	}
	for i, name := range names {
		if going[i] != nil {
			if err := going[i].wait(ctx); err != nil {
				return out, err
			}
		}
		batched(&out, name, problems[i])
	}
	return out, e.save()
}
