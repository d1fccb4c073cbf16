package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The tests are named after the vectors of the protocol's description.

func TestT211OpenFirstStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		open(t, s, p)
		p.quiet(time.Second)
	})
}

func TestT212ThreeStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		for _, id := range []string{"01", "03", "05"} {
			mustOpen(t, s)
			p.expect("00 01 00 01 00 00 00", id, "00 00 00 00")
		}
	})
}

func TestT213T214ConnectHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		for _, prologue := range []string{"01 1F 90", "01 00 50", "01 15 38", "01 23 28", "01 FF FF"} {
			st.Write(unhex(t, prologue))
			p.expect("00 00 00 00 00 00 00 01 00 00 00 03", prologue)
		}
	})
}

func TestT215T216StatusWithoutACK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.say("00 00 00 00 00 00 00 01 00 00 00 01", "00")
		mustRead(t, st, "\x00")
		p.data(1, 0, []byte("\x00hi"))
		mustRead(t, st, "\x00hi")
	})
}

func TestT217PingPong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		io.WriteString(st, "ping")
		p.expect("00 00 00 00 00 00 00 01 00 00 00 04", "70 69 6e 67")
		p.say("00 00 00 00 00 00 00 01 00 00 00 04", "70 6f 6e 67")
		mustRead(t, st, "pong")
	})
}

func TestT218ACK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.say("00 01 00 02 00 00 00 01 00 00 00 00", "00 00 00 00 00 00 00 01 00 00 00 01", "00")
		mustRead(t, st, "\x00")
	})
}

func TestT219Boundaries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		for _, part := range []string{"00 00 00", "00 00 00 00 01 00", "00 00 02 61", "62 00 00 00 00 00 00 00 01 00 00 00 01 63 00 00 00 00 00 00 00 01 00 00 00 01 64"} {
			p.say(part)
		}
		mustRead(t, st, "abcd")
	})
}

func TestT220Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		p.expect("00 00 00 04 00 00 00 01 00 00 00 00")
		if _, err := st.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := st.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		p.quiet(time.Second)
	})
}

func TestT221T222FIN(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		a := open(t, s, p)
		p.data(1, flagFIN, []byte("end"))
		if got, err := io.ReadAll(a); string(got) != "end" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b := mustOpen(t, s)
		p.expect("00 01 00 01 00 00 00 03 00 00 00 00")
		p.say("00 01 00 04 00 00 00 03 00 00 00 00")
		if got, err := io.ReadAll(b); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestT223RST(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.data(1, 0, []byte("ok"))
		p.say("00 00 00 08 00 00 00 01 00 00 00 00")
		synctest.Wait()
		if got, err := io.ReadAll(st); string(got) != "ok" || !errors.Is(err, ErrReset) {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := st.Write([]byte("x")); !errors.Is(err, ErrReset) {
			t.Error(err)
		}
		if s.Streams() != 0 {
			t.Error("the stream is still known")
		}
	})
}

func TestT224T225Pings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p := client(t, Config{})
		p.say("00 02 00 01 00 00 00 00 00 00 00 2A")
		p.expect("00 02 00 02 00 00 00 00 00 00 00 2A")
		p.quiet(29 * time.Second)
		p.expect("00 02 00 01 00 00 00 00 00 00 00 01")
		p.say("00 02 00 02 00 00 00 00 00 00 00 01")
		p.expect("00 02 00 01 00 00 00 00 00 00 00 02")
	})
}

func TestT226T227Credit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.data(1, 0, make([]byte, 10))
		mustRead(t, st, string(make([]byte, 10)))
		p.quiet(time.Second)
		p.data(1, 0, make([]byte, 131072-10))
		mustRead(t, st, string(make([]byte, 131072-10)))
		p.expect("00 01 00 00 00 00 00 01 00 02 00 00")
	})
}

func TestT228NoCreditForUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		open(t, s, p)
		p.data(1, 0, make([]byte, 200<<10))
		p.quiet(time.Second)
	})
}

func TestT229T230Window(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		st := open(t, s, p)
		failed := make(chan error, 1)
		go func() {
			n, err := st.Write(make([]byte, 300<<10))
			if n != initialWindow+1024 {
				t.Errorf("%d bytes were sent", n)
			}
			failed <- err
		}()
		count := func(want int) {
			t.Helper()
			for got := 0; got < want; {
				var b [headerSize]byte
				p.SetReadDeadline(time.Now().Add(time.Second))
				h, err := readHeader(p, &b)
				if err != nil || h.kind != typeData || got+int(h.length) > want {
					t.Fatalf("%+v, %v", h, err)
				}
				io.CopyN(io.Discard, p, int64(h.length))
				got += int(h.length)
			}
			p.quiet(time.Second)
		}
		count(initialWindow)
		p.say("00 01 00 00 00 00 00 01 00 00 04 00")
		count(1024)
		go st.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		p.expect("00 00 00 04 00 00 00 01 00 00 00 00")
	})
}

func TestT231TooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.data(1, 0, make([]byte, 262144))
		go p.Write(append(header{typeData, 0, 1, 1}.append(nil), 'x'))
		p.expect("00 03 00 00 00 00 00 00 00 00 00 01")
		<-s.Done()
		if !errors.Is(s.Err(), ErrProtocol) {
			t.Error(s.Err())
		}
		if got, err := io.ReadAll(st); len(got) != 262144 || !errors.Is(err, ErrReset) {
			t.Errorf("%d, %v", len(got), err)
		}
	})
}

func TestT232GoAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.say("00 03 00 00 00 00 00 00 00 00 00 00")
		if _, err := st.Read(make([]byte, 1)); !errors.Is(err, ErrReset) {
			t.Error(err)
		}
		<-s.Done()
		if st, err := s.Open(); st != nil || err == nil {
			t.Error("opened a stream")
		}
	})
}

func TestT233CloseTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(p)
			got <- b
		}()
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		if b := <-got; !bytes.Equal(b, unhex(t, "00 03 00 00 00 00 00 00 00 00 00 00")) {
			t.Errorf("%x", b)
		}
		if !errors.Is(s.Err(), ErrClosed) {
			t.Error(s.Err())
		}
	})
}

func TestT234Interleaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		one := open(t, s, p)
		three := mustOpen(t, s)
		p.expect("00 01 00 01 00 00 00 03 00 00 00 00")
		p.data(1, 0, []byte("A"))
		p.data(3, 0, []byte("B"))
		p.data(1, 0, []byte("C"))
		mustRead(t, one, "AC")
		mustRead(t, three, "B")
	})
}

func TestT235UnknownStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		p.data(99, 0, []byte("nobody"))
		p.data(1, 0, []byte("x"))
		mustRead(t, st, "x")
	})
}

func TestT236DeadPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{})
		st := open(t, s, p)
		begun := time.Now()
		go io.Copy(io.Discard, p)
		if _, err := st.Read(make([]byte, 1)); !errors.Is(err, ErrReset) {
			t.Error(err)
		}
		if !errors.Is(s.Err(), errSilent) || time.Since(begun) != time.Minute {
			t.Error(s.Err(), time.Since(begun))
		}
	})
}
