package mux

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// queueSize is how much data waits to be sent at most, in bytes. It also
	// bounds what goes into one message.
	queueSize = 64 << 10
	// maxQueue is where answers that the peer asks for wait, too.
	maxQueue = 1 << 20
	// maxWindow bounds the window of one stream, in bytes, and maxExtra what
	// the windows of all have grown by.
	maxWindow = 16 << 20
	maxExtra  = 64 << 20

	defaultKeepAlive = 30 * time.Second
	// lastWords is how long the end of a session waits for what is to be sent.
	lastWords = 2 * time.Second
	// stale is how old a measured round trip may be.
	stale = 10 * time.Second
)

// Conn is what a session goes over. Read and Write carry a byte stream, in
// which a call of Write is a message. Close tells the peer; Abort does not,
// and ends calls under way.
type Conn interface {
	io.ReadWriteCloser
	Abort()
}

// Config configures a session.
type Config struct {
	// Accept makes the session a server's. It is called in a goroutine of its
	// own with each stream that the client opens, and closes it. The session
	// is not over before it returns.
	Accept func(*Stream)
	// MaxStreams bounds the open streams; 0 means no bound. Calls of Accept
	// may be twice as many: some are not done yet with what the peer broke off.
	MaxStreams int
	// KeepAlive is the pause between pings, and how long an answer may take;
	// 0 means 30 seconds.
	KeepAlive time.Duration
}

// Session is one end of a connection that carries streams. It is safe for
// concurrent use.
type Session struct {
	conn  Conn
	cfg   Config
	done  chan struct{}
	loops sync.WaitGroup

	mu      sync.Mutex
	streams map[uint32]*Stream
	next    uint32
	serving int // calls of Accept
	err     error
	told    bool        // the peer is told of the end
	hurry   *time.Timer // breaks the end off
	queue   []byte
	spare   []byte
	room    sync.Cond // there is room in the queue
	work    sync.Cond // there is something in the queue

	pings struct {
		timer *time.Timer
		value uint32
		open  bool
		sent  time.Time
		trip  time.Duration // 0 is not known
		at    time.Time
	}
	extra int64 // what windows may still grow by
}

// New begins a session. It ends with Close or by itself, and owns conn.
func New(conn Conn, cfg Config) *Session {
	s := &Session{conn: conn, cfg: cfg, done: make(chan struct{}), streams: make(map[uint32]*Stream), next: 1, extra: maxExtra}
	if s.cfg.KeepAlive <= 0 {
		s.cfg.KeepAlive = defaultKeepAlive
	}
	if s.cfg.MaxStreams <= 0 {
		s.cfg.MaxStreams = 1 << 29
	}
	s.room.L, s.work.L = &s.mu, &s.mu
	s.pings.timer = time.AfterFunc(s.cfg.KeepAlive, s.keepAlive)
	s.loops.Add(2)
	go s.receive()
	go s.flush()
	return s
}

// Open opens a stream. It does not wait for the peer.
func (s *Session) Open() (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case len(s.streams) >= s.cfg.MaxStreams:
		return nil, fmt.Errorf("%d streams are open, which is the limit", len(s.streams))
	case s.next > 1<<32-3:
		return nil, errors.New("no stream numbers are left")
	}
	st := newStream(s, s.next)
	s.next += 2
	s.streams[st.id] = st
	s.enqueue(header{typeWindow, flagSYN, st.id, 0})
	return st, nil
}

// Streams is how many streams are open.
func (s *Session) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session ended: ErrClosed after Close, nil before the end.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// OnEnd has f called when the session ends. It is not for one that may have
// ended already.
func (s *Session) OnEnd(f func()) {
	go func() {
		<-s.done
		f()
	}()
}

// Close tells the peer that the session is over, resets its streams and
// returns when nothing of it is left. It may be called more than once.
func (s *Session) Close() error {
	s.fail(ErrClosed, goAwayNormal)
	s.loops.Wait()
	return nil
}

// fail ends the session. A code that is not negative is told to the peer.
func (s *Session) fail(err error, code int) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if code >= 0 {
		s.enqueue(header{typeGoAway, 0, 0, uint32(code)}) //nolint:gosec // one of three
	}
	s.err, s.told = err, code >= 0
	s.pings.timer.Stop()
	s.hurry = time.AfterFunc(lastWords, s.conn.Abort)
	streams := s.streams
	s.streams = nil
	s.room.Broadcast()
	s.work.Broadcast()
	s.mu.Unlock()
	for _, st := range streams {
		st.mu.Lock()
		st.end(ErrReset)
		st.mu.Unlock()
	}
	close(s.done)
}

// forget removes a stream that is over. The stream's mu is held.
func (s *Session) forget(st *Stream) {
	if st.lingering != nil {
		st.lingering.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[st.id] == st {
		delete(s.streams, st.id)
		s.extra += int64(st.window) - initialWindow
	}
}

// widen is by how much a window may grow.
func (s *Session) widen(window uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := max(0, min(int64(window), maxWindow-int64(window), s.extra))
	s.extra -= more
	return uint32(more) //nolint:gosec // at most maxWindow
}
