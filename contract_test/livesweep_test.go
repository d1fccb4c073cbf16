package contract_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// sweepTime bounds what is deleted at the end, which no context ends.
const sweepTime = 3 * time.Minute

// tidy deletes what a row has asked for, but for what others use, too.
// What it misses is swept at the end.
func (r *liveRun) tidy(ctx context.Context, before int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, thing := range r.guard.since(before) {
		if thing.name == r.prefix+sharedName || thing.kind == "snapshot" {
			continue
		}
		if r.generation == 1 && thing.kind == "template" {
			continue // the shared sandbox may be of it
		}
		_ = r.remove(ctx, thing)
	}
}

func (r *liveRun) remove(ctx context.Context, thing liveThing) error {
	remove := map[string]func(context.Context, string) error{
		"sandbox": r.c.Delete, "pool": r.c.Pools.Delete, "template": r.c.Templates.Delete,
		"volume": r.c.Volumes.Delete, "registry": r.c.Registries.Delete, "snapshot": r.c.Snapshots.Delete,
	}[thing.kind]
	name := thing.name
	if thing.id != "" {
		name = thing.id
		r.guard.allowID(name)
	}
	if err := remove(ctx, name); err != nil && !errors.Is(err, sandboxclient.ErrNotFound) {
		return err
	}
	return nil
}

// sweep deletes everything whose name fits, again and again until there is
// nothing: some things cannot be deleted before others are gone, or while they
// are being made.
func (r *liveRun) sweep(ctx context.Context, fits func(name string) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		left, err := r.sweepOnce(ctx, fits)
		if left == 0 && err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%d things are left, delete them: %w", left, errors.Join(err, ctx.Err()))
		}
	}
}

// sweepOnce returns how many things it has met: those that it has deleted may
// take a while to go.
func (r *liveRun) sweepOnce(ctx context.Context, fits func(name string) bool) (met int, err error) {
	for _, list := range r.lists(ctx) {
		for thing, listErr := range list {
			if listErr != nil {
				if !errors.Is(listErr, sandboxclient.ErrUnsupported) && !errors.Is(listErr, sandboxclient.ErrNotFound) {
					err = errors.Join(err, listErr)
				}
				break
			}
			if !fits(thing.name) || !liveName.MatchString(thing.name) {
				continue
			}
			met++
			if removeErr := r.remove(ctx, thing); removeErr != nil {
				err = errors.Join(err, fmt.Errorf("%s %s: %w", thing.kind, thing.name, removeErr))
			}
		}
	}
	return met, err
}

// lists are all things of the kinds that live runs make, those that use others
// first.
func (r *liveRun) lists(ctx context.Context) []iter.Seq2[liveThing, error] {
	lists := []iter.Seq2[liveThing, error]{
		things("sandbox", r.c.List(ctx, nil), func(sb *sandboxclient.Sandbox) (string, string) { return sb.Name(), "" }),
		things("snapshot", r.c.Snapshots.List(ctx, nil), func(s *sandboxclient.Snapshot) (string, string) { return s.Name, s.ID }),
		things("volume", r.c.Volumes.List(ctx, nil), func(v *sandboxclient.Volume) (string, string) { return v.Name, "" }),
		things("registry", r.c.Registries.List(ctx, nil), func(v *sandboxclient.Registry) (string, string) { return v.Name, "" }),
	}
	if r.generation == 1 {
		lists = append([]iter.Seq2[liveThing, error]{
			things("pool", r.c.Pools.List(ctx, nil), func(p *sandboxclient.Pool) (string, string) { return p.Name, "" }),
		}, append(lists, things("template", r.c.Templates.List(ctx, nil), func(v *sandboxclient.Template) (string, string) { return v.Name, "" }))...)
	}
	return lists
}

func things[T any](kind string, list iter.Seq2[*T, error], describe func(*T) (name, id string)) iter.Seq2[liveThing, error] {
	return func(yield func(liveThing, error) bool) {
		for item, err := range list {
			thing := liveThing{kind: kind}
			if err == nil {
				thing.name, thing.id = describe(item)
			}
			if !yield(thing, err) {
				return
			}
		}
	}
}
