package sandboxserver

import (
	"context"
	"slices"
	"time"

	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
	// breather is how long a start that replaces a sandbox leaves the machine to
	// the one who got it.
	breather = 20 * time.Millisecond
)

// warm is a started sandbox that waits in a pool.
type warm struct {
	id    string
	sb    runtime.Sandbox
	held  *image.Handle // nil over the host's /usr
	taken chan struct{} // closed when it leaves the pool
}

// announce wakes those who wait for the pool. mu is held.
func (p *pool) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) stopRetry() {
	if p.retry != nil {
		p.retry.Stop()
		p.retry = nil
	}
}

// fill starts what a pool lacks, as far as the quotas go. mu is held.
func (e *engine) fill(p *pool) {
	if e.closed || p.retry != nil || p.ctx.Err() != nil {
		return
	}
	each := e.templates.byID[p.templateID].amounts
	for len(p.ready)+p.starting < p.replicas {
		if e.sandboxQuota(1, each) != nil {
			return // tried again when something is deleted
		}
		p.starting++
		p.tasks.Add(1)
		e.tasks.Go(func() {
			defer p.tasks.Done()
			e.warmOne(p)
		})
	}
}

// fillAll is for when quota became free. mu is held.
func (e *engine) fillAll() {
	for _, p := range e.pools.all() {
		e.fill(p)
	}
}

// warmOne starts one sandbox for a pool.
func (e *engine) warmOne(p *pool) {
	w := &warm{id: newID(), taken: make(chan struct{})}
	sb, held, err := e.startWarm(p.ctx, p.templateID, w.id)
	e.mu.Lock()
	w.sb, w.held = sb, held
	p.starting--
	keep := err == nil && !e.closed && p.ctx.Err() == nil && len(p.ready) < p.replicas
	switch {
	case keep:
		p.ready = append(p.ready, w)
		p.failures, p.failure = 0, nil
		p.announce()
		e.tasks.Go(func() { e.watchWarm(p, w) })
	case err != nil && p.ctx.Err() == nil:
		e.log.Warn("pool could not start a sandbox", "pool", p.name, "error", err)
		e.retryLater(p, err)
	}
	e.mu.Unlock()
	if err == nil && !keep {
		e.closeWarm(w)
	}
}

func (e *engine) startWarm(ctx context.Context, templateID, id string) (runtime.Sandbox, *image.Handle, error) {
	select {
	case e.warmUp <- struct{}{}:
		defer func() { <-e.warmUp }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	e.mu.Lock()
	l := launch{spec: runtime.Spec{ID: id, HostNetwork: e.cfg.HostNetwork}}
	if t := e.templates.byID[templateID]; t != nil { // else the pool goes, too
		l.image, l.proxy, l.spec.Limits = e.asking(e.root(t.image, t.registryID)), cloneProxy(t.proxy), t.amounts.limits()
		l.spec.Limits.FileBytes = e.fileBytes(t.disk(), t, nil)
	}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	return e.create(ctx, l)
}

// closeWarm ends a sandbox that nobody gets any more.
func (e *engine) closeWarm(w *warm) {
	e.closeSandbox(w.id, w.sb)
	release(w.held)
}

// retryLater fills the pool again after a pause that grows with the failures
// in a row. mu is held.
func (e *engine) retryLater(p *pool, failure error) {
	p.failure = failure
	if e.closed || p.retry != nil || p.ctx.Err() != nil {
		return
	}
	pause := min(firstRetry<<min(p.failures, 10), maxRetry)
	p.failures++
	e.fillAfter(p, pause)
}

// fillAfter fills a pool after a pause, and not before. mu is held.
func (e *engine) fillAfter(p *pool, pause time.Duration) {
	p.retry = time.AfterFunc(pause, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		p.retry = nil
		e.fill(p)
	})
}

// watchWarm replaces a waiting sandbox that ended by itself.
func (e *engine) watchWarm(p *pool, w *warm) {
	select {
	case <-w.taken:
		return
	case <-w.sb.Done():
	}
	e.mu.Lock()
	at := slices.Index(p.ready, w)
	if at >= 0 {
		p.ready = slices.Delete(p.ready, at, at+1)
		e.retryLater(p, runtime.ErrClosed)
	}
	e.mu.Unlock()
	if at >= 0 {
		e.closeWarm(w)
	}
}

// shrink ends what a pool has too many of. mu is held and the engine is open.
func (e *engine) shrink(p *pool) {
	for len(p.ready) > p.replicas {
		w := p.take()
		p.tasks.Add(1)
		e.tasks.Go(func() {
			defer p.tasks.Done()
			e.closeWarm(w)
		})
	}
}

// take removes the oldest waiting sandbox. mu is held.
func (p *pool) take() *warm {
	w := p.ready[0]
	p.ready = slices.Delete(p.ready, 0, 1)
	close(w.taken)
	return w
}

// takeWarm hands out a waiting sandbox of a template, or nil. The pool is to
// be filled once the sandbox is counted elsewhere. mu is held.
func (e *engine) takeWarm(templateID string) *warm {
	for _, p := range e.pools.all() {
		if p.templateID != templateID {
			continue
		}
		for len(p.ready) > 0 {
			w := p.take()
			select {
			case <-w.sb.Done(): // ended, and not noticed yet
				e.tasks.Go(func() { e.closeWarm(w) })
			default:
				if p.retry == nil {
					e.fillAfter(p, breather)
				}
				return w
			}
		}
	}
	return nil
}
