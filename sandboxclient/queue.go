package sandboxclient

import "sync"

// Stream is one of the two output streams of a command.
type Stream uint8

// The output streams. With a terminal all output is Stdout.
const (
	Stdout Stream = iota + 1
	Stderr
)

// String is stdout or stderr.
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// mark is where a chunk ends in the data of a batch.
type mark struct {
	stream Stream
	offset int64
	end    int
}

// batch is output on its way: the chunks one behind the other.
type batch struct {
	data  []byte
	marks []mark
}

// queue takes output from a connection to whoever reads it, and holds the
// connection back when that is more than budget bytes behind. Output travels
// in two buffers that are swapped: the one fills while the other is read.
type queue struct {
	mu      sync.Mutex
	space   sync.Cond
	ready   sync.Cond
	pending batch
	budget  int
	merge   bool // chunks of the same stream become one
	closed  bool // no more will come
	dropped bool // nobody reads any more
	lost    bool // output was dropped
}

func newQueue(budget int, merge bool) *queue {
	q := &queue{budget: budget, merge: merge}
	q.space.L, q.ready.L = &q.mu, &q.mu
	return q
}

// handOver is how much output is worth waking whoever reads it, while more is
// at hand: a wake-up for each small chunk costs more than the chunk.
const handOver = 128 << 10

// put adds a chunk, of which it keeps a copy, as soon as there is room. It
// drops it if nobody reads any more. Whoever reads learns of a small chunk when
// flush is called.
func (q *queue) put(stream Stream, data []byte, offset int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending.data) > 0 && len(q.pending.data)+len(data) > q.budget && !q.dropped {
		q.ready.Signal()
		q.space.Wait()
	}
	if q.dropped {
		q.lost = true
		return
	}
	p := &q.pending
	p.data = append(p.data, data...)
	if n := len(p.marks); q.merge && n > 0 && p.marks[n-1].stream == stream {
		p.marks[n-1].end = len(p.data)
	} else {
		p.marks = append(p.marks, mark{stream, offset, len(p.data)})
	}
	if len(p.data) >= handOver {
		q.ready.Signal()
	}
}

// flush tells whoever reads of all that was put.
func (q *queue) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending.marks) > 0 {
		q.ready.Signal()
	}
}

// take waits for output and returns all there is. It takes back a batch that
// was taken before and is done with. It reports false at the end.
func (q *queue) take(done batch) (batch, bool) {
	if cap(done.data) > 2*q.budget {
		done.data = nil // a huge frame; do not keep as much
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending.marks) == 0 && !q.closed && !q.dropped {
		q.ready.Wait()
	}
	if q.dropped || len(q.pending.marks) == 0 {
		return batch{}, false
	}
	b := q.pending
	q.pending = batch{done.data[:0], done.marks[:0]}
	q.space.Signal()
	return b, true
}

// close ends the queue behind what is in it.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}

// drop ends the queue at once, for both sides.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped = true
	q.lost = q.lost || len(q.pending.marks) > 0
	q.pending = batch{}
	q.ready.Broadcast()
	q.space.Broadcast()
}

// undelivered reports whether output was dropped.
func (q *queue) undelivered() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}
