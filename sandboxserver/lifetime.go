package sandboxserver

import (
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// ending is what a timer does to a sandbox.
type ending int

const (
	endNever ending = iota
	endStop
	endDelete
)

// expires is when the absolute lifetime ends; zero is never.
func (b *box) expires() time.Time {
	if b.ttl == 0 {
		return time.Time{}
	}
	return b.created.Add(seconds(b.ttl))
}

// due is what happens to a sandbox next if nobody uses it, and when. Idle
// sandboxes of templates are deleted, others stop and are deleted after a
// while, as the API has it. A command that runs is activity for as long as it
// runs.
func (b *box) due(now time.Time) (ending, time.Time) {
	what, at := endNever, time.Time{}
	if b.status == gen.StatusDeleting {
		return what, at
	}
	if b.ttl > 0 {
		what, at = endDelete, b.expires()
	}
	if b.afterStop > 0 && b.status == gen.StatusStopped {
		if end := b.stopped.Add(seconds(b.afterStop)); what == endNever || end.Before(at) {
			what, at = endDelete, end
		}
	}
	// The idle time of one that its server cut off goes on, if it ends with
	// the sandbox.
	idles := b.status == gen.StatusReady || b.cutOff && b.status == gen.StatusStopped && b.templateID != ""
	if b.idle == 0 || !idles {
		return what, at
	}
	since := b.active
	if b.busy > 0 {
		since = now
	}
	if idle := since.Add(seconds(b.idle)); what == endNever || idle.Before(at) {
		what, at = endStop, idle
		if b.templateID != "" {
			what = endDelete
		}
	}
	return what, at
}

// arm sets the timer for what is due next. Activity does not touch it: it
// rings at the earlier time, and is set again. mu is held.
func (e *engine) arm(b *box) {
	b.disarm()
	now := time.Now()
	what, at := b.due(now)
	if what == endNever || e.closed {
		return
	}
	b.timer = time.AfterFunc(at.Sub(now), func() { e.ring(b) })
}

// ring does what is due.
func (e *engine) ring(b *box) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	now := time.Now()
	what, at := b.due(now)
	switch {
	case what == endNever:
	case at.After(now):
		e.arm(b)
	case what == endDelete:
		e.log.Info("sandbox reached the end of its lifetime", "sandbox", b.id)
		e.remove(b)
	case what == endStop:
		e.log.Info("idle sandbox stops", "sandbox", b.id)
		e.stop(b)
	}
}
