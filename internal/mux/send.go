package mux

// enqueue queues a frame without payload. mu is held.
func (s *Session) enqueue(h header) {
	if s.err != nil {
		return
	}
	s.queue = h.append(s.queue)
	s.work.Signal()
}

// control queues a frame without payload.
func (s *Session) control(h header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue(h)
}

// send queues data, and waits for room. It reports false if the stream came
// to a stop, or the session to its end.
func (s *Session) send(st *Stream, p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) >= queueSize && s.err == nil && !st.stalled.Load() {
		s.room.Wait()
	}
	if s.err != nil || st.stalled.Load() {
		return false
	}
	s.queue = header{typeData, 0, st.id, uint32(len(p))}.append(s.queue) //nolint:gosec // at most maxPayload
	s.queue = append(s.queue, p...)
	s.work.Signal()
	return true
}

// await makes the receiver wait until no more than n bytes are queued, so that
// a peer cannot ask for more than it takes. mu is held.
func (s *Session) await(n int) error {
	for len(s.queue) > n && s.err == nil {
		s.room.Wait()
	}
	return s.err
}

func (s *Session) wakeWriters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.Broadcast()
}

// flush sends what is queued. It closes the connection when the session has
// ended.
func (s *Session) flush() {
	defer s.loops.Done()
	for last := false; !last; {
		var batch []byte
		batch, last = s.batch()
		if len(batch) == 0 {
			continue
		}
		if _, err := s.conn.Write(batch); err != nil {
			s.fail(err, -1)
			break
		}
	}
	s.mu.Lock()
	told, hurry := s.told, s.hurry
	s.mu.Unlock()
	if !told {
		s.conn.Abort()
	}
	_ = s.conn.Close()
	hurry.Stop()
}

// batch waits for something to send, and returns it.
func (s *Session) batch() (b []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && s.err == nil {
		s.work.Wait()
	}
	b = s.queue
	s.queue, s.spare = s.spare[:0], b
	if cap(s.queue) > 4*queueSize {
		s.queue = nil
	}
	s.room.Broadcast()
	return b, s.err != nil
}
