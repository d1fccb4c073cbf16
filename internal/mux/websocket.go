package mux

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// WebSocket makes the binary messages of a WebSocket a byte stream. Each call
// of Write is one message. The wire has to be the one that the WebSocket goes
// over.
func WebSocket(conn *websocket.Conn, wire *Wire) Conn {
	conn.SetReadLimit(-1) // no message is ever held as a whole
	return &socket{conn: conn, wire: wire}
}

type socket struct {
	conn    *websocket.Conn
	wire    *Wire
	message io.Reader // the one being read, or nil
}

// Neither call has a context, which would cost the library a watcher each:
// Abort ends them.

func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			_, r, err := s.conn.Reader(context.Background())
			if err != nil {
				return 0, err
			}
			s.message = r
		}
		n, err := s.message.Read(p)
		if err == io.EOF {
			s.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	s.wire.hold()
	err := s.conn.Write(context.Background(), websocket.MessageBinary, p)
	if failed := s.wire.release(); err == nil {
		err = failed
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *socket) Close() error { return s.conn.Close(websocket.StatusNormalClosure, "") }

func (s *socket) Abort() { _ = s.conn.CloseNow() }

// Wire is a connection that sends what belongs together at once: the
// WebSocket library would write a message in pieces of 4 KiB. It also reads
// ahead in pieces that are larger than the library's, once there is much to
// read.
type Wire struct {
	io.ReadWriteCloser

	buf  []byte // of what was read
	next []byte // of buf, not yet read
	full int    // reads in a row that found as much as they asked for

	mu   sync.Mutex
	held bool
	out  []byte
}

const (
	aheadSize = 64 << 10
	fullReads = 4
	// heldSize is as much as one message has with its headers.
	heldSize = queueSize + maxPayload + 4<<10
)

// NewWire returns a wire over a connection, which it owns.
func NewWire(conn io.ReadWriteCloser) *Wire { return &Wire{ReadWriteCloser: conn} }

func (w *Wire) Read(p []byte) (int, error) {
	if len(w.next) == 0 {
		if w.buf == nil && w.full >= fullReads {
			w.buf = make([]byte, aheadSize)
		}
		if len(p) >= len(w.buf) {
			n, err := w.ReadWriteCloser.Read(p)
			w.count(n, len(p))
			return n, err
		}
		n, err := w.ReadWriteCloser.Read(w.buf)
		if w.next = w.buf[:n]; n == 0 {
			return 0, err
		}
		// An error comes again with the next read.
	}
	n := copy(p, w.next)
	w.next = w.next[n:]
	return n, nil
}

func (w *Wire) count(n, room int) {
	if n == room {
		w.full++
	} else {
		w.full = 0
	}
}

func (w *Wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held {
		return w.ReadWriteCloser.Write(p)
	}
	if len(w.out)+len(p) > heldSize {
		if err := w.empty(); err != nil {
			return 0, err
		}
		if len(p) > heldSize {
			return w.ReadWriteCloser.Write(p)
		}
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

// empty writes what was held. mu is held.
func (w *Wire) empty() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.ReadWriteCloser.Write(w.out)
	w.out = w.out[:0]
	return err
}

func (w *Wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
}

func (w *Wire) release() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = false
	return w.empty()
}

// Hijacker hands out the connection of a request with a wire around it. It is
// for websocket.Accept; afterwards Wire is set.
type Hijacker struct {
	http.ResponseWriter

	Wire *Wire
}

// Hijack implements [http.Hijacker].
func (h *Hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.Wire = NewWire(conn)
	rw.Writer.Reset(h.Wire)
	return wiredConn{conn, h.Wire}, rw, nil
}

// wiredConn is a connection whose bytes go through a wire.
type wiredConn struct {
	net.Conn

	wire *Wire
}

func (c wiredConn) Read(p []byte) (int, error)  { return c.wire.Read(p) }
func (c wiredConn) Write(p []byte) (int, error) { return c.wire.Write(p) }
