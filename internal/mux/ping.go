package mux

import (
	"errors"
	"time"
)

var errSilent = errors.New("the peer does not answer")

// keepAlive pings the peer, and ends the session if the ping before was not
// answered.
func (s *Session) keepAlive() {
	s.mu.Lock()
	silent := s.pings.open && time.Since(s.pings.sent) >= s.cfg.KeepAlive
	if !silent && s.err == nil {
		s.ping()
		s.pings.timer.Reset(s.cfg.KeepAlive)
	}
	s.mu.Unlock()
	if silent {
		s.fail(errSilent, -1)
	}
}

// ping sends a ping unless one is on its way. mu is held.
func (s *Session) ping() {
	if s.pings.open {
		return
	}
	s.pings.value++
	s.pings.open, s.pings.sent = true, time.Now()
	s.enqueue(header{typePing, flagSYN, 0, s.pings.value})
}

// pinged handles a ping of the peer, or its answer to one.
func (s *Session) pinged(h header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.has(flagSYN) {
		s.enqueue(header{typePing, flagACK, 0, h.length})
		return s.await(maxQueue)
	}
	if p := &s.pings; h.has(flagACK) && p.open && h.length == p.value {
		p.open, p.at = false, time.Now()
		if trip := p.at.Sub(p.sent); p.trip == 0 || trip < p.trip {
			p.trip = max(trip, 1)
		}
	}
	return nil
}

// While both ends are busy a round trip takes leastTrip at least, whatever an
// idle one took. That is good for windows up to busyWindow: larger ones do not
// pay where the network is that fast.
const (
	leastTrip  = 500 * time.Microsecond
	busyWindow = 512 << 10
)

// roundTrip is how long the peer takes to answer a stream with a window, 0 if
// that is not known yet.
func (s *Session) roundTrip(window uint32) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pings.trip > 0 && window <= busyWindow {
		return max(s.pings.trip, leastTrip)
	}
	return s.pings.trip
}

// measure pings the peer if the round trip is not known, or not well.
func (s *Session) measure(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pings.trip == 0 || now.Sub(s.pings.at) > stale {
		s.ping()
	}
}
