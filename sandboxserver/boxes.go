package sandboxserver

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

const (
	defaultIdle       = 600 // seconds
	defaultBoxTimeout = 30 * time.Second
	maxVCPUs          = 1 << 16
)

// createBox makes a sandbox. The sandbox goes on starting when ctx ends before
// it is ready, and can be found by its name.
func (e *engine) createBox(ctx context.Context, req gen.CreateSandbox) (view gen.Sandbox, err error) {
	wait := req.WaitForReady == nil || *req.WaitForReady
	b, err := newBox(req)
	if err != nil {
		return view, err
	}
	var starting *transition
	if err := e.look(func() error { //nolint:contextcheck // the sandbox outlives the request
		if starting, err = e.addBox(b, req, wait); err == nil {
			view = e.boxView(b)
		}
		return err
	}); err != nil || !wait {
		return view, err
	}
	if err := starting.wait(ctx); err != nil {
		return view, e.failedCreate(ctx, b, err)
	}
	return view, e.look(func() error { view = e.boxView(b); return nil })
}

// newBox checks what can be checked without the stores.
func newBox(req gen.CreateSandbox) (*box, error) {
	if err := checkName(req.Name); err != nil {
		return nil, err
	}
	if extra := extraSource(req); extra != "" {
		return nil, invalid("template_name, snapshot_id and snapshot_name exclude each other", extra)
	}
	if snapshot := cmp.Or(req.SnapshotID, req.SnapshotName); snapshot != "" {
		return nil, problem(400, codeSnapshotNotFound, "snapshot %q not found: this server has no snapshots yet", snapshot)
	}
	b := &box{idle: defaultIdle, sizes: sizes{vcpus: req.VCPUs, memory: req.MemBytes, disk: req.FSCapacityBytes}}
	if req.VCPUs > maxVCPUs {
		return nil, invalid(fmt.Sprintf("vcpus must be at most %d", maxVCPUs), "vcpus")
	}
	if req.IdleTTLSeconds != nil {
		b.idle = *req.IdleTTLSeconds
	}
	if req.TTLSeconds != nil {
		b.ttl = *req.TTLSeconds
	}
	var err error
	b.proxy, err = storedProxy(req.ProxyConfig, gen.ProxyConfig{})
	return b, err
}

// extraSource names the second source of a request, which is one too many.
func extraSource(req gen.CreateSandbox) string {
	switch {
	case req.TemplateName != "" && req.SnapshotID != "":
		return "snapshot_id"
	case cmp.Or(req.TemplateName, req.SnapshotID) != "" && req.SnapshotName != "":
		return "snapshot_name"
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
	b.meta = e.newMeta(newID(), name)
	b.take(t)
	if t != nil && b.sizes == (sizes{}) {
		if w := e.takeWarm(t.id); w != nil {
			b.id = w.id
			e.boxes.add(b)
			e.ready(b, w.sb)
			e.fillAll()
			return arrived, nil
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
	if b.sizes.vcpus > 0 {
		b.amounts.cpu = int64(b.sizes.vcpus) * 1000
	}
	if b.sizes.memory > 0 {
		b.amounts.memory = b.sizes.memory
	}
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
		direction: value(p.SortDirection), nameContains: value(p.NameContains), limit: value(p.Limit), offset: value(p.Offset),
		keep: func(b *box) bool {
			return (p.Status == nil || b.status == *p.Status) && (p.TemplateName == nil || e.templateName(b) == *p.TemplateName)
		},
	}
	switch value(p.SortBy) {
	case gen.SandboxSortByCreatedAt, "": // as it is
	case gen.SandboxSortByName:
		l.key = byName[*box]
	case gen.SandboxSortByStatus:
		l.key = func(b *box) string { return string(b.status) }
	case gen.SandboxSortByTemplateName:
		l.key = e.templateName
	}
	return out, e.look(func() error {
		page, next := l.page(e.boxes.all())
		out = gen.SandboxList{Sandboxes: views(page, e.boxView), Offset: next}
		return nil
	})
}

func (e *engine) deleteBox(ctx context.Context, name string) error {
	var gone *transition
	if err := e.look(func() error {
		b, err := e.boxes.find(name)
		if err == nil {
			gone = e.remove(b)
		}
		return err
	}); err != nil {
		return err
	}
	return gone.wait(ctx)
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
	return out, nil
}
