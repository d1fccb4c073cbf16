package sandboxclient

import (
	"context"
	"errors"
	"iter"
)

// Chunk is a piece of output.
type Chunk struct {
	// Stream is where it was written.
	Stream Stream
	// Data is valid until the next iteration.
	Data []byte
	// Offset is the place of its first byte in the stream. One that does not
	// continue the chunk before says that output is missing in between.
	Offset int64
}

// Stream runs the command and yields its output in the order of its arrival.
// Stdout and Stderr must be nil. Leaving the loop kills the command. An error
// is yielded last, with an empty chunk: those of [Cmd.Start] and
// [Process.Wait], an [ExitError] for an exit code that is not 0. A slow loop
// holds up the command.
func (c *Cmd) Stream(ctx context.Context) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		if err := c.unattended(c.Stdout, c.Stderr); err != nil {
			yield(Chunk{}, err)
			return
		}
		var q *queue
		p, err := c.start(ctx, func(p *Process) sink {
			q = newQueue(p.policy.OutputBuffer, false)
			return chunks{q}
		})
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		ended := false
		defer func() {
			if !ended { // left, or a panic
				p.stop(errLeft)
				q.drop()
				_ = p.Wait()
			}
		}()
		for b, more := q.take(batch{}); more; b, more = q.take(b) {
			from := 0
			for _, m := range b.marks {
				if !yield(Chunk{m.stream, b.data[from:m.end:m.end], m.offset}, nil) {
					return
				}
				from = m.end
			}
		}
		ended = true
		if err := p.Wait(); err != nil {
			yield(Chunk{}, err)
		}
	}
}

var errLeft = errors.New("its output is not wanted any more")
