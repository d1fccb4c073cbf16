package sandboxclient

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestQueueHoldsBack: who puts waits for room, which a take makes; one chunk
// larger than the budget gets through.
func TestQueueHoldsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, false)
		var put int
		go func() {
			for _, text := range []string{"12345", "67890", "x", strings.Repeat("y", 100), "z"} {
				q.put(Stdout, []byte(text), 0)
				put++
			}
			q.close()
		}()
		var b batch
		for _, want := range []struct {
			put  int
			data string
		}{{2, "1234567890"}, {3, "x"}, {4, strings.Repeat("y", 100)}, {5, "z"}} {
			synctest.Wait()
			if put != want.put {
				t.Errorf("%d were put, want %d", put, want.put)
			}
			var more bool
			if b, more = q.take(b); !more || string(b.data) != want.data {
				t.Errorf("%q, %t, want %q", b.data, more, want.data)
			}
		}
		if b, more := q.take(b); more {
			t.Errorf("%q after the end", b.data)
		}
	})
}

// TestQueueMarks: streams stay apart and in order, and merge only where wanted.
func TestQueueMarks(t *testing.T) {
	t.Parallel()
	for merge, want := range map[bool]int{false: 4, true: 3} {
		q := newQueue(100, merge)
		q.put(Stdout, []byte("a"), 0)
		q.put(Stdout, []byte("b"), 1)
		q.put(Stderr, []byte("c"), 0)
		q.put(Stdout, []byte("d"), 2)
		b, _ := q.take(batch{})
		if len(b.marks) != want || string(b.data) != "abcd" || b.marks[want-1] != (mark{Stdout, 2, 4}) {
			t.Errorf("merge %t: %q, %+v", merge, b.data, b.marks)
		}
	}
}

// TestQueueDrop lets both sides go.
func TestQueueDrop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, false)
		q.put(Stdout, []byte("full"), 0)
		done := make(chan struct{})
		go func() {
			q.put(Stdout, []byte("waits"), 0)
			close(done)
		}()
		synctest.Wait()
		q.drop()
		<-done
		if b, more := q.take(batch{}); more {
			t.Errorf("%q was kept", b.data)
		}
		q.put(Stdout, []byte("late"), 0)
		if len(q.pending.data) > 0 {
			t.Error("what nobody reads is kept")
		}
	})
}

// TestQueueForgetsHugeFrames: the room of one huge frame is not kept.
func TestQueueForgetsHugeFrames(t *testing.T) {
	t.Parallel()
	q := newQueue(10, false)
	q.put(Stdout, make([]byte, 1000), 0)
	b, _ := q.take(batch{})
	q.put(Stdout, []byte("x"), 0)
	_, _ = q.take(b)
	if n := cap(q.pending.data); n > 20 {
		t.Errorf("room for %d bytes is kept", n)
	}
}
