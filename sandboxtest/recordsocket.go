package sandboxtest

import (
	"errors"
	"fmt"
	"io"
)

// recordedSocket is a connection after 101, whose frames are taped.
type recordedSocket struct {
	io.ReadWriteCloser
	r              *recorder
	n              int
	server, client frameReader // the lock of the recorder guards them
	closed, cut    bool
}

func (s *recordedSocket) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	s.tape(&s.server, p[:n], func(e *entry, f *tapedFrame) { e.Server = f })
	if err != nil {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		if !s.closed && !s.cut {
			s.cut = true
			s.r.add(entry{N: s.n, Cut: true}, 0)
		}
	}
	return n, err
}

// Write tapes what it sends before the server can answer.
func (s *recordedSocket) Write(p []byte) (int, error) {
	s.tape(&s.client, p, func(e *entry, f *tapedFrame) { e.Client = f })
	return s.ReadWriteCloser.Write(p)
}

func (s *recordedSocket) Close() error {
	s.r.mu.Lock()
	s.closed = true
	s.r.mu.Unlock()
	return s.ReadWriteCloser.Close()
}

func (s *recordedSocket) tape(from *frameReader, p []byte, put func(*entry, *tapedFrame)) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	frames, err := from.feed(p)
	for _, f := range frames {
		if f.op.taped() && !s.cut {
			e := entry{N: s.n}
			put(&e, &tapedFrame{Kind: f.op, More: !f.final, content: contentOf(f.payload)})
			s.r.add(e, len(f.payload))
		}
	}
	if err != nil && s.r.err == nil {
		s.r.err = fmt.Errorf("exchange %d: %w", s.n, err)
	}
	if len(from.buf) > tapeLimit && s.r.err == nil {
		s.r.err = errors.New("a frame is too large")
	}
}
