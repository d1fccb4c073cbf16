package mux

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// receive handles what the peer sends until that ends.
func (s *Session) receive() {
	defer s.loops.Done()
	// Payloads are mostly larger than the buffer and go past it.
	r := bufio.NewReaderSize(s.conn, 4<<10)
	var buf [headerSize]byte
	for {
		h, err := readHeader(r, &buf)
		if err == nil {
			err = s.handle(h, r)
		}
		if err != nil {
			s.fail(err, code(err))
			return
		}
	}
}

// code is what the peer is told of an error.
func code(err error) int {
	if errors.Is(err, ErrProtocol) {
		return goAwayProtocol
	}
	return -1
}

var errGoAway = errors.New("the peer closed the session")

func (s *Session) handle(h header, r *bufio.Reader) error {
	switch h.kind {
	case typePing:
		return s.pinged(h)
	case typeGoAway:
		return fmt.Errorf("%w (%d)", errGoAway, h.length)
	}
	st, err := s.find(h)
	if err != nil {
		return err
	}
	if h.kind == typeData && h.length > 0 {
		err = payload(st, r, h.length)
	}
	if err == nil && st != nil {
		st.flagged(h)
	}
	return err
}

// payload takes in what a frame carries; st may be nil.
func payload(st *Stream, r *bufio.Reader, length uint32) error {
	take := discard
	if st != nil {
		take = st.receive
	}
	err := take(r, length)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// find returns the stream of a frame, nil if it is not known (any more).
func (s *Session) find(h header) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[h.stream]
	if !h.has(flagSYN) || s.cfg.Accept == nil {
		return st, nil
	}
	if st != nil || h.stream%2 == 0 {
		return nil, fmt.Errorf("%w: stream %d opened again", ErrProtocol, h.stream)
	}
	if s.err != nil {
		return nil, s.err
	}
	if len(s.streams) >= s.cfg.MaxStreams || s.serving >= 2*s.cfg.MaxStreams {
		s.enqueue(header{typeWindow, flagRST, h.stream, 0})
		return nil, s.await(maxQueue)
	}
	st = newStream(s, h.stream)
	s.streams[h.stream] = st
	s.enqueue(header{typeWindow, flagACK, h.stream, 0})
	s.serving++
	s.loops.Go(func() { s.serve(st) })
	return st, s.await(maxQueue)
}

func (s *Session) serve(st *Stream) {
	s.cfg.Accept(st)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
}

// receive takes a payload in.
func (st *Stream) receive(r *bufio.Reader, length uint32) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if length > st.allowed {
		return fmt.Errorf("%w: %d bytes for a window of %d", ErrProtocol, length, st.allowed)
	}
	st.allowed -= length
	for length > 0 {
		if st.closed || st.ended || st.err != nil {
			st.breakOff()
			st.mu.Unlock()
			err := discard(r, length)
			st.mu.Lock()
			return err
		}
		space := st.received.space(int(length))
		st.mu.Unlock()
		n, err := r.Read(space)
		st.mu.Lock()
		if st.closed {
			st.received.filling = false
		} else {
			st.received.filled(n)
			st.readable.Signal()
		}
		length -= uint32(n) //nolint:gosec // at most length
		if err != nil {
			return err
		}
	}
	return nil
}

// flagged does what a frame says besides its payload.
func (st *Stream) flagged(h header) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if h.kind == typeWindow && h.length > 0 {
		st.credit += int64(h.length)
		st.writable.Signal()
	}
	if h.has(flagFIN) && !st.ended {
		st.ended = true
		if st.finished {
			st.session.forget(st)
		}
		st.readable.Broadcast()
	}
	if h.has(flagRST) {
		st.end(ErrReset)
	}
}
