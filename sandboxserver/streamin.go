package sandboxserver

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/session"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// attach reads what the client wants, and attaches to that command.
func (l *line) attach(ctx context.Context, commands *session.Store) error {
	first, cancel := context.WithTimeout(ctx, firstFrameTimeout)
	defer cancel()
	_, data, err := l.conn.Read(first)
	if err != nil {
		return err
	}
	l.Attachment, err = l.open(ctx, commands, data)
	return err
}

// listen reads the client's frames until the connection ends.
func (l *line) listen(ctx context.Context) {
	var buffer bytes.Buffer
	for {
		_, r, err := l.conn.Reader(l.quiet) //nolint:contextcheck // one that ends would cut the connection
		if err == nil {
			buffer.Reset()
			_, err = buffer.ReadFrom(r)
		}
		if err != nil {
			return
		}
		if err := l.obey(ctx, buffer.Bytes()); err != nil {
			return
		}
		if buffer.Cap() > maxKeptBuffer {
			buffer = bytes.Buffer{}
		}
	}
}

// maxKeptBuffer is how much memory a connection keeps for the next frame.
const maxKeptBuffer = 128 << 10

// obey does what a frame asks for. Frames of kinds it does not know are none
// of its business, and those of the SSH agent go nowhere: there is no agent
// socket here.
func (l *line) obey(ctx context.Context, message []byte) error {
	frame, err := wire.Decode(message)
	if err != nil {
		_ = l.conn.Close(websocket.StatusInvalidFramePayloadData, "not a frame")
		return err
	}
	switch frame.Type {
	case gen.FrameInput:
		return l.typeIn(ctx, frame.Data)
	case gen.FrameCloseStdin:
		l.CloseInput()
	case gen.FrameKill:
		l.Kill()
	case gen.FrameResize:
		var size gen.ResizeFrame
		if frame.As(&size) == nil && validSize(size.Cols) && validSize(size.Rows) {
			_ = l.Resize(size.Cols, size.Rows)
		}
	default:
	}
	return nil
}

func validSize(n int) bool { return n > 0 && n <= 1<<16-1 }

// typeIn passes input on. It waits for a command that does not read, so that
// the client does: what comes behind, a kill too, has to come on a connection
// of its own then.
func (l *line) typeIn(ctx context.Context, data []byte) error {
	if l.TryInput(data) {
		return nil
	}
	l.SetLenient(true)
	l.blocked.Store(true)
	defer l.SetLenient(false)
	defer l.blocked.Store(false)
	return l.Input(ctx, data)
}

const (
	// goodbye is how long the last frames may take to get out of a connection
	// that is to end.
	goodbye = 5 * time.Second
	// pingInterval is the longest silence between two pings.
	pingInterval = 20 * time.Second
	// pingTimeout is how long a client may leave pings unanswered.
	pingTimeout = 60 * time.Second
	// pingBytes is how much output is sent before a ping asks whether it has
	// arrived.
	pingBytes = 128 << 10
)

// measure pings the client: a pong says that it is there, and that it has what
// was sent before the ping. It hangs up on a client that is not there, and ends
// with ctx, which it cancels then.
func (l *line) measure(ctx context.Context, cancel context.CancelFunc) {
	defer l.hangUp()
	defer cancel()
	timer := time.NewTimer(pingInterval)
	defer timer.Stop()
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.pings:
		case <-timer.C:
		}
		timer.Reset(pingInterval)
		err := l.ping(ctx)
		switch {
		case err == nil:
			heard = time.Now()
			continue
		case !errors.Is(err, context.DeadlineExceeded): // the connection is broken
			_ = l.conn.CloseNow()
			return
		case l.blocked.Load(): // a pong would not be read
			heard = time.Now()
		case time.Since(heard) >= pingTimeout:
			_ = l.conn.CloseNow()
			return
		}
		timer.Reset(pingPause)
	}
}

// hangUp ends a connection that does not end by itself: its client may have
// stopped to read, with a frame on its way.
func (l *line) hangUp() {
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-l.over:
	case <-timer.C:
		_ = l.conn.CloseNow()
	}
}

// pingPause is the time between a ping that did not get out and the next.
const pingPause = time.Second

func (l *line) ping(ctx context.Context) error {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := l.conn.Ping(ctx); err != nil {
		return err
	}
	l.Ack(written[0], written[1])
	return nil
}
