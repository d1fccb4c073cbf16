package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// sink is where the output of a command goes. put may wait; the data is the
// caller's again afterwards. finish is called once, after the last put: it
// waits for what was put to arrive, but no longer than the context allows, and
// returns what went wrong on the way. drop, which may come at any time, ends
// all waiting: nothing is delivered any more.
type sink interface {
	put(stream Stream, data []byte, offset int64) error
	finish(ctx context.Context) error
	drop()
}

// flusher is a sink that has output wait while more is at hand.
type flusher interface{ flush() }

// collector keeps output, up to a limit.
type collector struct {
	stdout, stderr io.Writer // in memory; may be the same
	limit, size    int64
}

// split collects standard output, and gives standard error to others.
type split struct {
	collector
	rest *writers
}

func (s *split) put(stream Stream, data []byte, offset int64) error {
	if stream == Stderr {
		return s.rest.put(stream, data, offset)
	}
	return s.collector.put(stream, data, offset)
}

func (s *split) flush() { s.rest.flush() }

func (s *split) finish(ctx context.Context) error { return s.rest.finish(ctx) }

func (s *split) drop() { s.rest.drop() }

func (c *collector) put(stream Stream, data []byte, _ int64) error {
	to := c.stdout
	if stream == Stderr {
		to = c.stderr
	}
	c.size += int64(len(data))
	if c.size > c.limit {
		if room := c.limit - (c.size - int64(len(data))); room > 0 {
			_ = write(to, data[:room])
		}
		return fmt.Errorf("%w: more than %d bytes of output; set MaxOutput, or stream it", ErrTooLarge, c.limit)
	}
	return write(to, data)
}

func (c *collector) finish(context.Context) error { return nil }

func (c *collector) drop() {}

// maxStderrTail is how much of standard error an ExitError has.
const maxStderrTail = 32 << 10

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

func (t *tail) write(p []byte) {
	if len(p) > maxStderrTail {
		p = p[len(p)-maxStderrTail:]
	}
	if len(t.data)+len(p) > 2*maxStderrTail {
		t.data = append(t.data[:0], t.data[len(t.data)-maxStderrTail:]...)
	}
	t.data = append(t.data, p...)
}

func (t *tail) String() string {
	return string(t.data[max(0, len(t.data)-maxStderrTail):])
}

// chunks is the sink of an iterator, which reads the queue itself.
type chunks struct{ queue *queue }

func (c chunks) put(stream Stream, data []byte, offset int64) error {
	c.queue.put(stream, data, offset)
	return nil
}

func (c chunks) finish(context.Context) error {
	c.queue.close()
	return nil
}

func (c chunks) flush() { c.queue.flush() }

func (c chunks) drop() {} // who reads is who waits for the end

// writers is the sink of a command with writers: a queue and a goroutine for
// each that is distinct.
type writers struct {
	stdout, stderr *delivery // nil to discard; may be the same
	last           *delivery // that was put to, the only one that may have to be flushed
	tail           *tail     // of standard error, if wanted
}

// writers is the sink for writers, which keeps the end of standard error if
// nobody else gets it.
func (p *Process) writers(stdout, stderr io.Writer, failed func(error)) *writers {
	w := newWriters(stdout, stderr, p.policy.OutputBuffer, failed)
	if stderr == nil {
		w.tail = &p.stderrTail
	}
	return w
}

// newWriters starts to deliver to the writers; failed is called, once for each
// writer, when it returns an error.
func newWriters(stdout, stderr io.Writer, budget int, failed func(error)) *writers {
	w := &writers{stdout: newDelivery(stdout, budget, failed)}
	if stdout != nil && same(stdout, stderr) {
		w.stderr = w.stdout
	} else {
		w.stderr = newDelivery(stderr, budget, failed)
	}
	return w
}

// same reports whether two writers are one; those that cannot be compared are
// not.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }() // a panic is the answer false
	return a == b
}

func (w *writers) put(stream Stream, data []byte, offset int64) error {
	to := w.stdout
	if stream == Stderr {
		to = w.stderr
		if w.tail != nil {
			w.tail.write(data)
		}
	}
	if to != w.last {
		w.flush() // put may wait, and one writer for the other
		w.last = to
	}
	if to != nil {
		to.queue.put(stream, data, offset)
	}
	return nil
}

func (w *writers) flush() {
	if w.last != nil {
		w.last.queue.flush()
	}
}

func (w *writers) finish(ctx context.Context) error {
	err := w.stdout.finish(ctx)
	if w.stderr == w.stdout {
		return err
	}
	if e := w.stderr.finish(ctx); err == nil {
		err = e
	}
	return err
}

func (w *writers) drop() {
	for _, d := range []*delivery{w.stdout, w.stderr} {
		if d != nil {
			d.queue.drop()
		}
	}
}

// delivery calls one writer, from one goroutine.
type delivery struct {
	queue *queue
	done  chan struct{}
	err   error // once done is closed
}

func newDelivery(to io.Writer, budget int, failed func(error)) *delivery {
	if to == nil {
		return nil
	}
	d := &delivery{queue: newQueue(budget, true), done: make(chan struct{})}
	go d.run(to, failed)
	return d
}

func (d *delivery) run(to io.Writer, failed func(error)) {
	defer close(d.done)
	var b batch
	for {
		var more bool
		if b, more = d.queue.take(b); !more {
			return
		}
		from := 0
		for _, m := range b.marks {
			if err := write(to, b.data[from:m.end]); err != nil {
				d.err = fmt.Errorf("write %s: %w", m.stream, err)
				d.queue.drop()
				failed(d.err)
				return
			}
			from = m.end
		}
	}
}

func write(to io.Writer, data []byte) error {
	n, err := to.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// finish waits for the writer, unless the context ends first: a writer that
// never returns is left behind then.
func (d *delivery) finish(ctx context.Context) error {
	if d == nil {
		return nil
	}
	d.queue.close()
	select {
	case <-d.done:
		if d.err == nil && d.queue.undelivered() {
			return errUndelivered
		}
		return d.err
	case <-ctx.Done():
		d.queue.drop()
		return errUndelivered
	}
}

var errUndelivered = errors.New("the writer did not take the output in time")
