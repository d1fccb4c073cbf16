package sandboxserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/langsandbox/sandbox-go/internal/session"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// result is what a command printed, up to a limit, and its exit code. As JSON
// it can be six times as long, so that it is encoded piece by piece.
type result struct {
	streams [2]pieces
	code    int

	left   int64 // until it is too much
	thrown bool  // nobody wants it any more
}

// errFull ends the collecting of output that is too much.
var errFull = errors.New("too much output")

// collect reads what a command prints until it has ended.
func (r *result) collect(ctx context.Context, command *session.Attachment) error {
	buffer := make([]byte, chunkSize)
	for {
		chunk, err := command.Next(ctx, buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		command.Ack(command.Positions())
		if r.left -= int64(len(chunk.Data)); r.left < 0 {
			return errFull
		}
		if !r.thrown {
			r.streams[chunk.Stream].add(chunk.Data)
		}
	}
}

// pieces is a text that grows without being copied. No piece ends inside a
// character, unless the text does.
type pieces struct {
	all  [][]byte
	size int
}

const (
	minPiece = 1 << 10
	maxPiece = 1 << 20
)

// add adds a chunk of whole characters.
func (p *pieces) add(chunk []byte) {
	n := len(p.all)
	if n == 0 || cap(p.all[n-1])-len(p.all[n-1]) < len(chunk) {
		p.all = append(p.all, make([]byte, 0, max(len(chunk), min(max(p.size, minPiece), maxPiece))))
		n++
	}
	p.all[n-1] = append(p.all[n-1], chunk...)
	p.size += len(chunk)
}

// write answers a request with the result.
func (r *result) write(w http.ResponseWriter, request *http.Request) {
	defer interrupt(request.Context(), http.NewResponseController(w).SetWriteDeadline)()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	// The status is out: a failure now is a broken connection, which the
	// client sees for itself.
	_ = r.encode(w)
}

func (r *result) encode(w io.Writer) error {
	frame := append(make([]byte, 0, minPiece), `{"stdout":"`...)
	var err error
	if frame, err = r.streams[session.Stdout].encode(w, frame); err != nil {
		return err
	}
	if frame, err = r.streams[session.Stderr].encode(w, append(frame, `","stderr":"`...)); err != nil {
		return err
	}
	frame = strconv.AppendInt(append(frame, `","exit_code":`...), int64(r.code), 10)
	_, err = w.Write(append(frame, "}\n"...))
	return err
}

// encode writes all but the end of the text, which it returns behind what is
// in buffer.
func (p *pieces) encode(w io.Writer, buffer []byte) ([]byte, error) {
	for _, piece := range p.all {
		for len(piece) > 0 {
			n := wire.Cut(piece, chunkSize)
			buffer = wire.AppendText(buffer, piece[:n])
			piece = piece[n:]
			if len(buffer) < chunkSize {
				continue
			}
			if _, err := w.Write(buffer); err != nil {
				return nil, err
			}
			buffer = buffer[:0]
		}
	}
	return buffer, nil
}
