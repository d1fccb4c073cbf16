package sandboxserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/session"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

const (
	// maxMessage bounds what a client sends in one message, in bytes.
	maxMessage = 16 << 20
	// firstFrameTimeout bounds how long a client may take to say what it wants.
	firstFrameTimeout = 30 * time.Second
	// chunkSize is how much output one message carries at most, in bytes. In
	// the worst case, six characters for each, that is far below 1 MiB, which
	// is as much as some clients take.
	chunkSize = 32 << 10
	// lastWords is how long a connection that can no longer be written to is
	// still read from: a kill may be in there.
	lastWords = time.Second
)

// checkUpgrade answers requests that are no handshake with an error of the API.
func (s *Server) checkUpgrade(r *http.Request) error {
	if r.Method != http.MethodGet {
		return notAllowed(r.Method, http.MethodGet)
	}
	if !tokenIn(r.Header["Connection"], "upgrade") || !tokenIn(r.Header["Upgrade"], "websocket") {
		return problem(http.StatusUpgradeRequired, codeInvalidRequest, "this is a WebSocket: connect with an upgrade")
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" || len(r.Header.Get("Sec-WebSocket-Key")) == 0 {
		return problem(http.StatusBadRequest, codeInvalidRequest, "the WebSocket handshake is not one of version 13")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && (u.Host == r.Host || s.trustsPagesOf(u.Hostname())) {
		return nil
	}
	return problem(http.StatusForbidden, codePermission, "this server takes no connections from pages of %q", origin)
}

// tokenIn looks for a word in a header that is a list.
func tokenIn(values []string, word string) bool {
	for token := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.EqualFold(strings.TrimSpace(token), word) {
			return true
		}
	}
	return false
}

// stream serves one connection to a command.
func (s *Server) stream(v visit, w http.ResponseWriter, r *http.Request) error {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // checkUpgrade did it
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "handshake failed", "error", err)
		return nil // answered
	}
	conn.SetReadLimit(maxMessage)
	// A context that ends closes the connection without a word. It gets one that
	// does not, and is closed by the code below.
	quiet := context.WithoutCancel(r.Context())
	// The end of the sandbox reaches the client as that of its command.
	ctx, cancel := context.WithCancel(quiet)
	defer cancel()
	defer context.AfterFunc(s.engine.ctx, cancel)() //nolint:contextcheck // ends with either
	l := &line{conn: conn, quiet: quiet, contract: s.contract, down: s.engine.ctx.Done()}
	l.serve(ctx, cancel, v.commands)
	return nil
}

// line is a connection to a command.
type line struct {
	conn     *websocket.Conn
	quiet    context.Context //nolint:containedctx // the connection's: never ends
	contract *contract
	down     <-chan struct{} // closed when the server shuts down

	*session.Attachment
	asked string // the id of the first frame
	frame []byte // is reused
	pings chan struct{}
	over  chan struct{} // closed when nothing is sent any more
	// blocked is true while input waits for the command to read it. The pongs
	// behind it cannot be read.
	blocked atomic.Bool

	mu      sync.Mutex
	written [2]int64 // offsets after what was written to the connection
}

// serve attaches the connection to a command, and returns when both it and
// everything it started have ended.
func (l *line) serve(ctx context.Context, cancel context.CancelFunc, commands *session.Store) {
	defer func() { _ = l.conn.CloseNow() }()
	if err := l.attach(ctx, commands); err != nil {
		l.refuse(err)
		return
	}
	l.pings, l.over = make(chan struct{}, 1), make(chan struct{})
	l.written[0], l.written[1] = l.Positions()
	lost := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { defer close(lost); defer cancel(); l.listen(ctx) })
	helpers.Go(func() { l.measure(ctx, cancel) })
	switch err := l.talk(ctx); {
	case errors.Is(err, io.EOF):
		l.Detach()
		l.tellEnd()
	case l.isDown():
		l.goAway()
		l.Detach()
	default:
		l.await(lost)
		l.Detach()
	}
	cancel()
	close(l.over)
	_ = l.conn.CloseNow()
	helpers.Wait()
}

// talk sends output, and returns io.EOF when there is no more.
func (l *line) talk(ctx context.Context) error {
	received := l.Received()
	started := gen.StartedFrame{Type: gen.FrameStarted, CommandID: l.ID(), Pid: l.PID(), StdinID: l.Writer(), StdinReceived: &received}
	if err := l.sendFrame(started); err != nil {
		return err
	}
	buffer := make([]byte, chunkSize)
	for {
		chunk, err := l.Next(ctx, buffer)
		if err != nil {
			return err
		}
		kind := gen.FrameStdout
		if chunk.Stream == session.Stderr {
			kind = gen.FrameStderr
		}
		l.frame = wire.AppendOutput(l.frame[:0], kind, chunk.Data, chunk.Offset)
		if err := l.send(l.frame); err != nil {
			return err
		}
		l.wrote()
	}
}

// wrote notes what may be acknowledged by the next pong.
func (l *line) wrote() {
	stdout, stderr := l.Positions()
	l.mu.Lock()
	l.written = [2]int64{stdout, stderr}
	l.mu.Unlock()
	if l.Unacknowledged() >= pingBytes {
		select {
		case l.pings <- struct{}{}:
		default:
		}
	}
}

func (l *line) send(frame []byte) error {
	return l.conn.Write(l.quiet, websocket.MessageText, frame)
}

func (l *line) sendFrame(frame any) error {
	message, err := wire.Encode(frame)
	if err != nil {
		return err
	}
	return l.send(message)
}

func (l *line) isDown() bool {
	select {
	case <-l.down:
		return true
	default:
		return false
	}
}

// goAway makes the client come back, to the server that is here by then.
func (l *line) goAway() { _ = l.conn.Close(websocket.StatusGoingAway, "the server is shutting down") }

// tellEnd tells how the command ended. A server that shuts down ends its
// commands too, but that is not theirs.
func (l *line) tellEnd() {
	outcome := l.Outcome()
	switch {
	case outcome.Err == nil:
		l.finish(gen.ExitFrame{Type: gen.FrameExit, ExitCode: &outcome.Code})
	case l.isDown():
		l.goAway()
	default:
		l.finish(failureFrame(outcome.Err, l.ID()))
	}
}

// await waits until nothing can be read from a broken connection any more.
func (l *line) await(lost <-chan struct{}) {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-lost:
	case <-timer.C:
	}
}

// refuse answers a first frame that leads to no command.
func (l *line) refuse(err error) {
	if l.isDown() {
		l.goAway()
		return
	}
	l.finish(failureFrame(err, l.asked))
}

// finish sends a last frame.
func (l *line) finish(frame any) {
	if l.sendFrame(frame) == nil {
		_ = l.conn.Close(websocket.StatusNormalClosure, "")
	}
}
