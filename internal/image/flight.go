package image

import (
	"context"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// flight is the download of a layer, for all pulls that want it.
type flight struct {
	cancel  context.CancelFunc
	waiters int           // guarded by Store.mu
	done    chan struct{} // closed at the end
	err     error         // once done is closed
}

// need sees to it that a layer is there, and takes a reference to it. Pulls
// that want the same layer wait for one download, which goes on as long as one
// of them wants it. One that fails may have had the wrong credentials: the
// others try again.
func (s *Store) need(ctx context.Context, d *download) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		if l := s.layers[d.diff]; l != nil {
			l.refs++
			s.mu.Unlock()
			return nil
		}
		f := s.flights[d.diff]
		own := f == nil
		if own {
			f = s.launch(d) //nolint:contextcheck // it may outlive the pull that begins it
		}
		f.waiters++
		s.mu.Unlock()
		err := s.await(ctx, d.diff, f)
		if err != nil && (own || ctx.Err() != nil) {
			return err
		}
		if err == nil {
			return nil
		}
	}
}

// launch begins a download. The caller has s.mu, and counts in s.going.
func (s *Store) launch(d *download) *flight {
	ctx, cancel := context.WithCancel(s.ctx)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.flights[d.diff] = f
	s.going.Go(func() {
		defer cancel()
		n, dir, err := s.land(ctx, d)
		s.mu.Lock()
		var trash []string
		if err == nil {
			trash, err = s.settle(f, n, d.diff, dir)
		}
		f.err = err
		delete(s.flights, d.diff)
		s.mu.Unlock()
		s.room.give(n.Size)
		if err != nil && dir != "" {
			trash = append(trash, dir)
		}
		_ = s.remove(trash) // what is left is removed by the next Open
		close(f.done)
	})
	return f
}

// settle gives a layer its name, and room: other images go for it, and if none
// can it does not stay. The caller has s.mu.
func (s *Store) settle(f *flight, n note, diff v1.Hash, dir string) (trash []string, err error) {
	if f.waiters == 0 {
		return nil, context.Canceled
	}
	s.bytes += n.Size
	trash = s.evict()
	if s.bytes > s.config.MaxBytes {
		err = &problem{ErrNoSpace, "the images in use leave no room for it"}
	} else {
		err = os.Rename(dir, s.layerPath(diff))
	}
	if err != nil {
		s.bytes -= n.Size
		return trash, err
	}
	s.layers[diff] = &layer{note: n, diff: diff, refs: f.waiters}
	return trash, nil
}

// land fetches a layer into a directory that is nobody's yet.
func (s *Store) land(ctx context.Context, d *download) (n note, dir string, err error) {
	if dir, err = s.temp(); err != nil {
		return n, "", err
	}
	n, err = d.fetch(ctx, dir, s.config, s.room)
	return n, dir, err
}

// await waits for a download. With no error the waiter has a reference.
func (s *Store) await(ctx context.Context, diff v1.Hash, f *flight) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	landed := s.flights[diff] != f
	var trash []string
	if landed && f.err == nil {
		trash = s.unref([]v1.Hash{diff})
	}
	s.mu.Unlock()
	if last {
		f.cancel()
		<-f.done // nothing is left behind once the pull has returned
	}
	_ = s.remove(trash) // what is left is removed by the next Open
	return ctx.Err()
}
