package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// floor is the least client there can be on the same libraries. It reads into
// one buffer that it keeps, and cannot be cancelled.
type floor struct {
	url  string
	http *http.Client
}

func newFloor(address string) *floor {
	return &floor{url: "http://" + address + "/box/execute/ws", http: &http.Client{Transport: &http.Transport{}}}
}

// floorCommand is a command that runs.
type floorCommand struct {
	conn *websocket.Conn
	buf  []byte
}

func (f *floor) start(command string) (*floorCommand, error) {
	ctx := context.Background()
	conn, _, err := websocket.Dial(ctx, f.url, &websocket.DialOptions{HTTPClient: f.http, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	first, err := wire.Encode(gen.ExecuteFrame{Type: gen.FrameExecute, Command: command, CommandID: "floor", Shell: "/bin/bash"})
	if err != nil {
		return nil, err
	}
	return &floorCommand{conn, make([]byte, 0, 2<<10)}, conn.Write(ctx, websocket.MessageText, first)
}

func (c *floorCommand) next() (wire.Frame, error) {
	_, r, err := c.conn.Reader(context.Background())
	if err != nil {
		return wire.Frame{}, err
	}
	b := c.buf[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			c.buf = b
			return wire.Decode(b)
		}
		if err != nil {
			return wire.Frame{}, err
		}
	}
}

// run runs a command to its end and returns the size of its output.
func (f *floor) run(command string) (int64, error) {
	c, err := f.start(command)
	if err != nil {
		return 0, err
	}
	defer c.conn.CloseNow()
	var size int64
	for {
		f, err := c.next()
		if err != nil {
			return size, err
		}
		switch f.Type {
		case gen.FrameStdout:
			size += int64(len(f.Data))
		case gen.FrameExit:
			var exit gen.ExitFrame
			if err := f.As(&exit); err != nil {
				return size, err
			}
			if exit.ExitCode == nil || *exit.ExitCode != 0 {
				return size, fmt.Errorf("exit %v", exit.ExitCode)
			}
			return size, nil
		default: // started
		}
	}
}
