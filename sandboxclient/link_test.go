package sandboxclient_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// linkRoom is how much a link holds in each direction, as the buffers of two
// kernels would.
const linkRoom = 256 << 10

var errReset = errors.New("connection reset by peer")

// link is a connection in memory, between a client and a server, that can
// break in the ways in which a real one does.
type link struct {
	mu      sync.Mutex
	changed sync.Cond
	toward  [2][]byte // the bytes under way to each end
	closed  [2]bool   // by that end
	frozen  bool      // nothing arrives any more, and nobody is told
	over    error     // what both ends are told, behind what is under way
}

const (
	clientSide = 0
	serverSide = 1
)

func newLink() *link {
	l := &link{}
	l.changed.L = &l.mu
	return l
}

func (l *link) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.changed.Broadcast()
}

// cut ends the connection without a word; what is under way arrives.
func (l *link) cut() { l.set(func() { l.over = io.ErrUnexpectedEOF }) }

// reset ends the connection, and what is under way is lost.
func (l *link) reset() {
	l.set(func() { l.over, l.toward, l.frozen = errReset, [2][]byte{}, false })
}

// freeze lets nothing more through, and tells nobody: a half-open connection.
func (l *link) freeze() { l.set(func() { l.frozen = true }) }

// sever has writes fail, and reads wait for good.
func (l *link) sever() { l.set(func() { l.frozen, l.over = true, errReset }) }

func (l *link) closedBy(side int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed[side]
}

// end is one end of a link.
type end struct {
	link *link
	side int
}

func (e end) Read(p []byte) (int, error) {
	l := e.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch got := l.toward[e.side]; {
		case l.closed[e.side]:
			return 0, net.ErrClosed
		case l.frozen:
		case len(got) > 0:
			n := copy(p, got)
			l.toward[e.side] = got[n:]
			l.changed.Broadcast()
			return n, nil
		case l.over != nil:
			return 0, l.over
		case l.closed[1-e.side]:
			return 0, io.EOF
		}
		l.changed.Wait()
	}
}

func (e end) Write(p []byte) (int, error) {
	l := e.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := 0; ; l.changed.Wait() {
		switch room := linkRoom - len(l.toward[1-e.side]); {
		case l.closed[e.side]:
			return n, net.ErrClosed
		case l.frozen && room <= 0:
		case l.over != nil:
			return n, l.over
		case l.closed[1-e.side] && !l.frozen:
			return n, errReset
		case n == len(p):
			return n, nil
		case room > 0:
			part := p[n:min(n+room, len(p))]
			l.toward[1-e.side] = append(l.toward[1-e.side], part...)
			n += len(part)
			l.changed.Broadcast()
			if n == len(p) {
				return n, nil
			}
		}
	}
}

func (e end) Close() error {
	e.link.set(func() { e.link.closed[e.side] = true })
	return nil
}

func (end) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (end) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (end) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (end) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (end) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
