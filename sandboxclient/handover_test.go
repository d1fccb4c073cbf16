package sandboxclient

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestHandOver: a small piece of output waits for more that is at hand, and for
// nothing else.
func TestHandOver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then func(*writers)
		want string
	}{
		"nothing yet":                   {func(*writers) {}, ""},
		"the connection has no more":    {func(w *writers) { w.flush() }, "a"},
		"much of it":                    {func(w *writers) { w.put(Stdout, make([]byte, handOver), 1) }, "a" + strings.Repeat("\x00", handOver)},
		"the other writer has its turn": {func(w *writers) { w.put(Stderr, []byte("b"), 0) }, "a"},
		"the other is discarded":        {func(w *writers) { w.stderr = nil; w.put(Stderr, []byte("b"), 0) }, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				w := newWriters(&out, struct{ io.Writer }{io.Discard}, 2*handOver, func(error) {})
				both := []*delivery{w.stdout, w.stderr}
				synctest.Wait() // who reads waits
				w.put(Stdout, []byte("a"), 0)
				tc.then(w)
				synctest.Wait()
				if out.String() != tc.want {
					t.Errorf("%d bytes arrived, want %d", out.Len(), len(tc.want))
				}
				for _, d := range both {
					d.queue.drop()
					<-d.done
				}
			})
		})
	}
}

// TestHandOverWhenFull: a queue that is full is read, whatever its size.
func TestHandOverWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newWriters(&out, nil, 4, func(error) {})
		synctest.Wait()
		for _, piece := range []string{"abc", "def", "g"} {
			w.put(Stdout, []byte(piece), 0)
		}
		if err := w.finish(t.Context()); err != nil || out.String() != "abcdefg" {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
}

// sipping is a connection that always has more.
type sipping struct{ asked []int }

func (s *sipping) Read(p []byte) (int, error) {
	s.asked = append(s.asked, len(p))
	return len(p), nil
}
func (*sipping) Write(p []byte) (int, error) { return len(p), nil }
func (*sipping) Close() error                { return nil }

// TestReadAhead: the buffer grows while there is more than it holds, and
// the connection is not read before the client was told.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	s := &sipping{}
	told := 0
	r := &readAhead{ReadWriteCloser: s, idle: func() { told++ }}
	p := make([]byte, 4<<10)
	for len(s.asked) < 2*fullReads+3 {
		if n, err := r.Read(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		if told != len(s.asked) {
			t.Fatalf("told %d times before %d reads", told, len(s.asked))
		}
	}
	for i, n := range s.asked {
		want := len(p)
		if i >= fullReads {
			want = smallReadAhead
		}
		if i >= 2*fullReads {
			want = largeReadAhead
		}
		if n != want {
			t.Errorf("read %d asked for %d, want %d", i, n, want)
		}
	}
}
