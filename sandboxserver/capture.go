package sandboxserver

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	// drainGrace is how long an empty pipe is watched after the command has
	// ended, before what holds it open counts as a background process.
	drainGrace = 100 * time.Millisecond
	// drainLimit is as much as a pipe can hold that was written before the
	// command ended; what comes after it is from a background process.
	drainLimit = 1 << 20
)

// capture collects what a command prints, up to a limit over both streams.
type capture struct {
	e              *engine
	left           atomic.Int64
	full           func()
	stdout, stderr *stream
}

type stream struct {
	ours, theirs *os.File
	data         []byte
	ended        chan struct{} // closed when the command has
	done         chan struct{} // closed when nothing more is read into data
	open         bool          // somebody still holds the other end
}

// capture opens the pipes. full is called once the limit is passed; what
// comes after that is thrown away.
func (e *engine) capture(limit int64, full func()) (*capture, error) {
	c := &capture{e: e, full: full}
	c.left.Store(limit)
	var err error
	if c.stdout, err = newStream(); err != nil {
		return nil, internalError("no pipe for the output", err)
	}
	if c.stderr, err = newStream(); err != nil {
		c.stdout.close()
		return nil, internalError("no pipe for the output", err)
	}
	return c, nil
}

func newStream() (*stream, error) {
	ours, theirs, err := runtime.OutputPipe()
	if err != nil {
		return nil, err
	}
	return &stream{ours: ours, theirs: theirs, ended: make(chan struct{}), done: make(chan struct{})}, nil
}

func (s *stream) close() {
	_ = s.theirs.Close()
	_ = s.ours.Close()
}

// started gives up the command's ends of the pipes and begins to read.
func (c *capture) started() {
	for _, s := range []*stream{c.stdout, c.stderr} {
		_ = s.theirs.Close()
		go c.read(s)
	}
}

// read fills a stream until the other end is closed, or, once the command has
// ended, until nothing it can have written is left: what it wrote is in the
// pipe by then, and a read that does not fill its buffer has emptied the pipe.
func (c *capture) read(s *stream) {
	defer close(s.done)
	buffer := make([]byte, 32<<10)
	after := 0
	for {
		ended := s.commandEnded()
		n, err := s.ours.Read(buffer)
		if c.left.Add(int64(-n)) >= 0 {
			s.data = append(s.data, buffer[:n]...)
		} else if n > 0 {
			s.data = nil
			c.full()
		}
		if ended {
			after += n
		}
		switch {
		case err != nil:
			s.open = os.IsTimeout(err)
			return
		case ended && n < len(buffer), after > drainLimit:
			s.open = true
			return
		}
	}
}

// commandEnded reports whether the command has ended, and bounds the next read
// then.
func (s *stream) commandEnded() bool {
	select {
	case <-s.ended:
		_ = s.ours.SetReadDeadline(time.Now().Add(drainGrace))
		return true
	default:
		return false
	}
}

// finish returns what was printed. It waits for the readers, which do not wait
// for background processes: what those print from now on is thrown away, until
// they end or the sandbox does.
func (c *capture) finish(run context.Context) (stdout, stderr []byte) {
	for _, s := range []*stream{c.stdout, c.stderr} {
		close(s.ended)
		_ = s.ours.SetReadDeadline(time.Now().Add(drainGrace))
	}
	for _, s := range []*stream{c.stdout, c.stderr} {
		<-s.done
		if !s.open || !c.e.background(func() { s.discard(run) }) {
			_ = s.ours.Close()
		}
	}
	return c.stdout.data, c.stderr.data
}

// discard keeps a pipe flowing: a server that a command left in the
// background must not die of its next log line.
func (s *stream) discard(run context.Context) {
	_ = s.ours.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(run, func() { _ = s.ours.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = io.Copy(io.Discard, s.ours)
	_ = s.ours.Close()
}

// background runs f as a task, unless the engine is closing.
func (e *engine) background(f func()) bool {
	return e.look(func() error { e.tasks.Go(f); return nil }) == nil
}
