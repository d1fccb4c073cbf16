package mux

import (
	"bytes"
	"io"
	"testing"
)

// script is a connection from which bytes are read that were written before.
type script struct{ io.Reader }

func (script) Write(p []byte) (int, error) { return len(p), nil }
func (script) Close() error                { return nil }
func (script) Abort()                      {}

// FuzzSession feeds both kinds of sessions with anything.
func FuzzSession(f *testing.F) {
	frame := func(kind uint8, flags uint16, id, length uint32, payload ...byte) []byte {
		return append(header{kind, flags, id, length}.append(nil), payload...)
	}
	f.Add(frame(typeWindow, flagSYN, 1, 0), true)
	f.Add(frame(typeData, flagSYN|flagFIN, 1, 2, 'a', 'b'), true)
	f.Add(append(frame(typeData, 0, 1, 1, 'x'), frame(typeData, flagRST, 1, 0)...), false)
	f.Add(frame(typeWindow, 0, 1, 1<<32-1), false)
	f.Add(frame(typePing, flagSYN, 0, 42), true)
	f.Add(frame(typeGoAway, 0, 0, 1), false)
	f.Add(frame(typeData, 0, 1, 1<<32-1), true)
	f.Fuzz(func(t *testing.T, data []byte, isServer bool) {
		var cfg Config
		if isServer {
			cfg = Config{MaxStreams: 3, Accept: func(st *Stream) {
				io.Copy(io.Discard, st)
				st.Close()
			}}
		}
		s := New(script{bytes.NewReader(data)}, cfg)
		if st, err := s.Open(); err == nil {
			n, _ := io.Copy(io.Discard, st)
			if n > int64(len(data)) {
				t.Errorf("%d bytes out of %d", n, len(data))
			}
			st.Close()
		}
		<-s.Done()
		s.Close()
		if s.Streams() != 0 {
			t.Errorf("%d streams are left", s.Streams())
		}
	})
}
