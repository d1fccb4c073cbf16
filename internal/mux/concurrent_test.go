package mux

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestTwoReaders: what one reader leaves is the other's, as with TCP.
func TestTwoReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		read := make(chan int, 2)
		for range 2 {
			go func() {
				n, _ := st.Read(make([]byte, 2))
				read <- n
			}()
		}
		synctest.Wait()
		p.data(1, 0, []byte("four"))
		synctest.Wait()
		if len(read) != 2 {
			t.Errorf("%d of two readers had something to read", len(read))
		}
		st.Reset()
	})
}

// TestResetFlood: streams that are opened and broken off at once count as long
// as something is done for them.
func TestResetFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, done := make(chan struct{}, 100), make(chan struct{})
		_, p := server(t, func(st *Stream) {
			begun <- struct{}{}
			<-done
			st.Close()
		}, Config{MaxStreams: 3})
		defer close(done)
		for id := uint32(1); id < 20; id += 2 {
			frames := header{typeWindow, flagSYN, id, 0}.append(nil)
			if _, err := p.Write(header{typeData, flagRST, id, 0}.append(frames)); err != nil {
				t.Fatal(err)
			}
			var answer [headerSize]byte
			h, err := readHeader(p, &answer)
			if err != nil || h.stream != id || h.has(flagRST) != (id > 11) {
				t.Errorf("stream %d: answer %+v, %v", id, h, err)
			}
		}
		synctest.Wait()
		if len(begun) != 6 {
			t.Errorf("%d streams are served, of 6 at most", len(begun))
		}
	})
}

// deafConn takes nothing, and says nothing until it is closed.
type deafConn struct{ net.Conn }

func (deafConn) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestBridgeToTheDeaf: whoever cannot be written to breaks the stream off, even
// if it could still be read from.
func TestBridgeToTheDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		st := open(t, s, p)
		near, far := net.Pipe()
		defer far.Close()
		over := make(chan struct{})
		go func() {
			defer close(over)
			Bridge(st, deafConn{near}, nil)
		}()
		p.data(1, 0, []byte("x"))
		p.expect("00 00 00 08 00 00 00 01 00 00 00 00")
		<-over
	})
}
