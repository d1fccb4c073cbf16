package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/internal/wire"
)

// line is one connection to a command. One goroutine reads, one at a time
// sends. Reads and writes have no context, which would cost the library a
// watcher each: whatever ends a line closes it.
type line struct {
	conn    *websocket.Conn
	release context.CancelCauseFunc // of what the handshake began
	policy  CommandPolicy
	message []byte
	disarm  func() // ends the bound on the first answer
	starts  bool   // it began with the frame that starts the command

	from  *readAhead
	held  atomic.Bool // this side does not read at present
	input atomic.Bool // input is on its way, and the peer may not read at present

	mu     sync.Mutex
	cause  error // why it was closed from here
	closed bool
	tasks  sync.WaitGroup
	beat   *time.Timer
	task   *time.Timer // of later
	doom   *time.Timer // of closeAfter
}

var (
	errSilent  = errors.New("no answer to a ping")
	errStalled = errors.New("the server takes no more frames")
	errHeld    = errors.New("nothing is read at present")
	errOver    = errors.New("connection closed")
)

func newLine(conn *websocket.Conn, from *readAhead, release context.CancelCauseFunc, p CommandPolicy) *line {
	l := &line{conn: conn, from: from, release: release, policy: p, disarm: func() {}}
	l.schedule()
	return l
}

// smallMessage is the room for a message at first, and largeMessage as much
// as is kept for the next.
const (
	smallMessage = 2 << 10
	largeMessage = 1 << 20
)

// read returns the next frame, which is valid until the next read.
func (l *line) read() (wire.Frame, error) {
	_, r, err := l.conn.Reader(context.Background())
	if err != nil {
		return wire.Frame{}, l.lost(err)
	}
	if cap(l.message) > largeMessage {
		l.message = nil
	}
	message, err := readInto(l.message[:0], r)
	l.message = message
	if err != nil {
		return wire.Frame{}, l.lost(err)
	}
	return wire.Decode(message)
}

// readInto is io.ReadAll into a buffer that is kept; the reader has a limit.
func readInto(b []byte, r io.Reader) ([]byte, error) {
	if cap(b) == 0 {
		b = make([]byte, 0, smallMessage)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// send sends one frame.
func (l *line) send(message []byte) error {
	if err := l.conn.Write(context.Background(), websocket.MessageText, message); err != nil {
		return l.lost(err)
	}
	return nil
}

// lostError is a connection that ended. What became of the command, it does
// not say.
type lostError struct {
	code websocket.StatusCode // -1 without a close frame
	err  error
}

func (e *lostError) Error() string {
	if e.code >= 0 {
		return fmt.Sprintf("the server closed the connection (%d)", int(e.code))
	}
	return e.err.Error()
}

func (e *lostError) Unwrap() error { return e.err }

// lost is the error of a connection on which something failed with err: if it
// was closed from here, the reason for that.
func (l *line) lost(err error) error {
	code := websocket.CloseStatus(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil && code < 0 {
		return &lostError{-1, l.cause}
	}
	return &lostError{code, err}
}

// close ends the connection at once, and waits for nobody.
func (l *line) close(cause error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed, l.cause = true, cause
	if l.doom != nil {
		l.doom.Stop()
	}
	for _, t := range []*time.Timer{l.beat, l.task} {
		if t != nil && t.Stop() {
			l.tasks.Done()
		}
	}
	l.mu.Unlock()
	_ = l.conn.CloseNow()
	l.release(cause)
}

// closeAfter closes the connection when a while has passed.
func (l *line) closeAfter(d time.Duration, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.doom == nil {
		l.doom = time.AfterFunc(d, func() { l.close(cause) })
	}
}

// schedule sets the time of the next ping.
func (l *line) schedule() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.tasks.Add(1)
	l.beat = time.AfterFunc(l.policy.PingInterval, l.heartbeat)
}

// inputPatience is how many times longer an answer to a ping may take while
// input is on its way: a server that waits for the command to read its input
// may read nothing else.
const inputPatience = 10

// heartbeat pings, and closes a connection whose peer is silent. While this
// side does not read, no answer can be seen, and none is missed.
func (l *line) heartbeat() {
	defer l.tasks.Done()
	for began := time.Now(); ; {
		before := l.from.reads.Load()
		err := l.ping()
		if err == nil || errors.Is(err, errHeld) || l.held.Load() || l.from.reads.Load() != before {
			l.schedule()
			return
		}
		if !l.input.Load() || time.Since(began) > inputPatience*l.policy.PingTimeout || l.isClosed() {
			l.close(errSilent)
			return
		}
	}
}

func (l *line) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// ping sends a ping and waits for the answer, which cannot be seen while this
// side does not read, and which a server that waits for that cannot send: some
// give a connection up then.
func (l *line) ping() error {
	if l.held.Load() {
		return errHeld
	}
	ctx := context.Background()
	if l.policy.PingTimeout != forever {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.policy.PingTimeout)
		defer cancel()
	}
	err := l.conn.Ping(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		l.close(err) // it cannot even be sent
	}
	return err
}

// probe closes a connection whose peer does not answer in time.
func (l *line) probe(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	before := l.from.reads.Load()
	if !l.held.Load() && l.conn.Ping(ctx) != nil && l.from.reads.Load() == before && !l.held.Load() {
		l.close(errSilent)
	}
}

// later runs a task on its own goroutine, unless the line is closed before.
// Only one task may wait at a time.
func (l *line) later(d time.Duration, task func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.tasks.Add(1)
	l.task = time.AfterFunc(d, func() {
		defer l.tasks.Done()
		task()
	})
}

// hurry runs a task that waits at once.
func (l *line) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.task != nil && l.task.Stop() {
		l.task.Reset(0)
	}
}
