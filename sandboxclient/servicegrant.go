package sandboxclient

import (
	"context"
	"sync"
	"time"
)

const (
	// serviceMargin is how long before its end a token is renewed, so that a
	// request on its way arrives with one that is good. Of a short life it is
	// half.
	serviceMargin = 30 * time.Second
	// serviceRetry is the pause after a renewal that failed while the old
	// token was still good.
	serviceRetry = 5 * time.Second
)

// serviceGrant is one answer of the server.
type serviceGrant struct {
	answer  ServiceURL
	expires time.Time // zero is never
}

// serviceGrants keeps the latest answer and renews it.
type serviceGrants struct {
	mint     func(ctx context.Context, first bool) (*ServiceURL, error)
	lifetime time.Duration // as asked for

	mu     sync.Mutex
	now    *serviceGrant // nil before the first
	rest   time.Time     // no renewal before, while now is good
	flight *serviceFlight
}

// serviceFlight is a renewal on its way, and what those who wait for it get.
// Grant and err are set before done is closed.
type serviceFlight struct {
	done    chan struct{}
	grant   *serviceGrant
	err     error
	waiting int // guarded by the grants' mu
	cancel  context.CancelFunc
}

func newServiceGrants(lifetime time.Duration, mint func(context.Context, bool) (*ServiceURL, error)) *serviceGrants {
	return &serviceGrants{mint: mint, lifetime: lifetime}
}

// last is the latest answer, or nil.
func (s *serviceGrants) last() *serviceGrant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// get returns an answer that is good for a while, renewed if need be. The
// renewal has the values of the context that began it, and ends when nobody
// waits for it any more.
func (s *serviceGrants) get(ctx context.Context) (*serviceGrant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.good(time.Now()) {
		defer s.mu.Unlock()
		return s.now, nil
	}
	f := s.flight
	if f == nil {
		f = s.take(ctx)
	}
	f.waiting++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.grant, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if s.flight == f {
			s.flight = nil
		}
	}
	return nil, ctx.Err()
}

// good reports whether the present answer needs no renewal. mu is held.
func (s *serviceGrants) good(now time.Time) bool {
	if s.now == nil {
		return false
	}
	left := s.now.expires.Sub(now)
	return s.now.expires.IsZero() || left > min(serviceMargin, s.lifetime/2) || left > 0 && now.Before(s.rest)
}

// take begins a renewal. mu is held.
func (s *serviceGrants) take(ctx context.Context) *serviceFlight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &serviceFlight{done: make(chan struct{}), cancel: cancel}
	s.flight = f
	first := s.now == nil
	go func() {
		defer cancel()
		begin := time.Now()
		answer, err := s.mint(ctx, first)
		s.land(f, answer, err, begin)
	}()
	return f
}

// land takes over the outcome of a renewal, unless nobody waited for it.
func (s *serviceGrants) land(f *serviceFlight, answer *ServiceURL, err error, begin time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	if s.flight != f {
		return
	}
	s.flight = nil
	switch now := time.Now(); {
	case err == nil:
		s.now = &serviceGrant{answer: *answer, expires: expiry(answer, begin.Add(s.lifetime))}
	case s.now != nil && now.Before(s.now.expires):
		s.rest, err = now.Add(serviceRetry), nil
	}
	f.grant, f.err = s.now, err
	if err != nil {
		f.grant = nil
	}
}

// expiry is when a token expires: as the server says, and not after latest,
// which a clock here that is slow would not notice.
func expiry(answer *ServiceURL, latest time.Time) time.Time {
	if answer.Token == "" {
		return time.Time{}
	}
	// Without a zone it is UTC.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, answer.ExpiresAt); err == nil && t.Before(latest) {
			return t
		}
	}
	return latest
}
