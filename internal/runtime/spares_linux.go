package runtime

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
)

// spares are agents that were started ahead, in namespaces and cgroups of their
// own: what is left of a creation is to set one up. Nothing of a sandbox is
// known to them before.
type spares struct {
	n    *native
	most int

	mu      sync.Mutex
	ready   []*spare
	busy    int // creations that go on
	created int
	started int
	filling bool
	closed  bool
	work    sync.WaitGroup
}

// spare is an agent that is not set up yet.
type spare struct {
	box        *sandbox
	complaints *os.File
}

// sparesAfter is how many creations come before the first spare: who makes one
// sandbox is not to pay for two.
const sparesAfter = 2

// begin tells of a creation, and returns an agent for it if there is one.
func (s *spares) begin(spec Spec) *spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	for len(s.ready) > 0 && !spec.HostNetwork {
		next := s.ready[0]
		s.ready = s.ready[1:]
		select {
		case <-next.box.done:
			s.work.Go(next.end) // ended by itself
		default:
			return next
		}
	}
	return nil
}

// finish tells of the end of a creation. Agents are started once nobody waits
// for another one.
func (s *spares) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.created++
	if s.wanted() && !s.filling {
		s.filling = true
		s.work.Go(s.fill)
	}
}

// wanted reports whether to start one more. mu is held.
func (s *spares) wanted() bool {
	return !s.closed && s.busy == 0 && s.created >= sparesAfter && len(s.ready) < s.most
}

func (s *spares) fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.wanted() {
		s.started++
		group := "." + strconv.Itoa(s.started) // no sandbox is called like that
		s.mu.Unlock()
		next, err := s.n.startSpare(group)
		s.mu.Lock()
		if err != nil {
			s.n.log.Debug("no agent ahead", "error", err)
			break
		}
		s.ready = append(s.ready, next)
	}
	s.filling = false
}

// close ends the agents that nobody took.
func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	for _, left := range slices.Backward(s.ready) {
		left.end()
	}
}

// take returns what a sandbox is made of; nil without a spare.
func (s *spare) take() (*sandbox, *os.File) {
	if s == nil {
		return nil, nil
	}
	return s.box, s.complaints
}

func (s *spare) end() {
	if err := s.box.end(); err != nil {
		s.box.rt.log.Warn("an agent that was started ahead did not end", "error", err)
	}
	s.complaints.Close()
}

// startSpare starts an agent and moves it to where its limits will be.
func (n *native) startSpare(group string) (*spare, error) {
	box := &sandbox{rt: n, group: group, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	complaints, err := n.launch(ctx, box, Spec{})
	if err != nil {
		return nil, errors.Join(err, box.removeCgroup())
	}
	go box.serve()
	s := &spare{box, complaints}
	for _, controller := range controllers {
		if !n.limiter.has(controller, n.cgroups) {
			continue
		}
		if err := n.limiter.places[controller].limit(box, nil); err != nil {
			s.end()
			return nil, err
		}
	}
	return s, nil
}
