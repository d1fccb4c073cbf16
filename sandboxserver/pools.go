package sandboxserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

const defaultPoolTimeout = 30 * time.Second

// pool holds started sandboxes of one template; poolfill.go keeps it full.
type pool struct {
	meta
	templateID string
	replicas   int

	ready    []*warm
	starting int
	failures int           // in a row; delays the next attempt
	failure  error         // of the last attempt
	retry    *time.Timer   // the next attempt after failures
	changed  chan struct{} // closed and replaced when something became ready

	ctx    context.Context //nolint:containedctx // the pool's: ends with it
	cancel context.CancelFunc
	tasks  sync.WaitGroup // starts on their way
}

func (e *engine) newPool(m meta, templateID string, replicas int) *pool {
	p := &pool{meta: m, templateID: templateID, replicas: replicas, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(e.ctx)
	return p
}

// poolView shows a pool with the present name of its template. mu is held.
func (e *engine) poolView(p *pool) gen.Pool {
	return gen.Pool{
		ID: p.id, Name: p.name, TemplateName: e.templates.byID[p.templateID].name, Replicas: p.replicas,
		CreatedAt: p.created, UpdatedAt: p.updated,
	}
}

func (e *engine) createPool(ctx context.Context, req gen.CreatePool) (view gen.Pool, err error) {
	var p *pool
	if err := e.do(func() error {
		if p, err = e.addPool(req); err == nil {
			view = e.poolView(p)
		}
		return err
	}); err != nil {
		return view, err
	}
	if req.WaitForReady != nil && !*req.WaitForReady {
		return view, nil
	}
	ctx, cancel := context.WithTimeout(ctx, secondsOr(req.Timeout, defaultPoolTimeout))
	defer cancel()
	if err := e.waitPool(ctx, p); err != nil {
		return view, err
	}
	return view, nil
}

// addPool checks the request and starts filling the pool. mu is held.
func (e *engine) addPool(req gen.CreatePool) (*pool, error) {
	if err := e.pools.free(req.Name); err != nil {
		return nil, err
	}
	t, err := e.templates.get(req.TemplateName)
	if err != nil {
		return nil, problem(400, codeTemplateNotFound, "template %q not found", req.TemplateName)
	}
	if len(t.volumes) > 0 {
		return nil, problem(400, codeValidation, "template %q mounts volumes and cannot be pooled", t.name)
	}
	if err := e.sandboxQuota(req.Replicas, t.amounts); err != nil {
		return nil, err
	}
	p := e.newPool(e.newMeta(newID(), req.Name), t.id, req.Replicas)
	e.pools.add(p)
	e.fill(p)
	return p, nil
}

// waitPool waits until one sandbox is ready. A pool that is not ready in time
// is taken away again: clients repeat a 504, and must not meet their own pool.
// One whose client went away stays.
func (e *engine) waitPool(ctx context.Context, p *pool) error {
	for {
		var changed chan struct{}
		var failure error
		var some bool
		if err := e.look(func() error {
			if e.pools.byID[p.id] != p {
				return problem(409, codeConflict, "the pool was deleted while it started")
			}
			changed, failure, some = p.changed, p.failure, len(p.ready) > 0
			return nil
		}); err != nil || some {
			return err
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
		}
		if ctx.Err() != context.DeadlineExceeded || e.ctx.Err() != nil {
			return ctx.Err()
		}
		why := ""
		if failure != nil {
			why = ": " + startProblem(failure).message
		}
		_ = e.dropPool(context.WithoutCancel(ctx), p)
		return problem(504, codeTimeout, "no sandbox of pool %q was ready in time%s", p.name, why)
	}
}

func (e *engine) getPool(name string) (view gen.Pool, err error) {
	return view, e.look(func() error {
		p, err := e.pools.get(name)
		if err == nil {
			view = e.poolView(p)
		}
		return err
	})
}

func (e *engine) listPools(p gen.ListPoolsParams) (out gen.PoolList, err error) {
	l := listing[*pool]{nameContains: value(p.NameContains), limit: value(p.Limit), offset: value(p.Offset)}
	return out, e.look(func() error {
		page, next := l.page(e.pools.all())
		out = gen.PoolList{Pools: views(page, e.poolView), Offset: next}
		return nil
	})
}

func (e *engine) updatePool(name string, req gen.PoolUpdate) (view gen.Pool, err error) {
	return view, e.do(func() error {
		p, err := e.pools.get(name)
		if err != nil {
			return err
		}
		replicas := p.replicas
		if req.Replicas != nil {
			replicas = *req.Replicas
		}
		if more := replicas - len(p.ready) - p.starting; replicas > p.replicas && more > 0 {
			if err := e.sandboxQuota(more, e.templates.byID[p.templateID].amounts); err != nil {
				return err
			}
		}
		if err := e.pools.rename(p, req.Name); err != nil {
			return err
		}
		p.replicas = replicas
		e.pools.changed(p)
		e.shrink(p)
		e.fillAll()
		view = e.poolView(p)
		return nil
	})
}

func (e *engine) deletePool(ctx context.Context, name string) error {
	var p *pool
	if err := e.look(func() (err error) { p, err = e.pools.get(name); return err }); err != nil {
		return err
	}
	return e.dropPool(ctx, p)
}

// dropPool takes a pool away and waits until its sandboxes are gone.
func (e *engine) dropPool(ctx context.Context, p *pool) error {
	var gone *transition
	if err := e.do(func() error {
		if e.pools.byID[p.id] != p {
			return notFound(e.pools.kind, p.name)
		}
		e.pools.remove(p)
		p.cancel()
		p.stopRetry()
		p.replicas = 0
		p.announce()
		e.shrink(p)
		e.fillAll()
		gone = e.begin(nil, func() error { p.tasks.Wait(); return nil })
		return nil
	}); err != nil {
		return err
	}
	if err := gone.wait(ctx); err != nil {
		return fmt.Errorf("wait for the pool's sandboxes to end: %w", err)
	}
	return nil
}
