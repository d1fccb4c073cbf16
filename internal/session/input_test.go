package session

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
)

// TestInputByteByByte takes little more memory than its bytes, and arrives as
// it was sent.
func TestInputByteByByte(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	var begin chan struct{}
	var got []byte
	late := func(p *fakeProcess) {
		<-begin
		got, _ = io.ReadAll(p.stdin)
		p.exit(0)
	}
	inWorld(t, Options{Input: size + 1}, late, func(t *testing.T, w *world) {
		begin = make(chan struct{})
		a := w.execute(spec("a"))
		defer a.Detach()
		var want []byte
		for i := range size {
			want = append(want, byte(i))
			mustInput(t, a, string(want[i:]))
		}
		synctest.Wait()
		a.input.mu.Lock()
		if n := len(a.input.queue); n > 2*size/inputPiece {
			t.Errorf("%d pieces for %d bytes", n, size)
		}
		a.input.mu.Unlock()
		a.CloseInput()
		close(begin)
		w.read(a, nil)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, or others", len(got))
		}
	})
}
