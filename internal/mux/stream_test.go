package mux

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

func TestConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		accepted := make(chan *Stream, 1)
		a, b := tcpPair(t)
		client := New(plain{a}, Config{})
		server := New(plain{b}, Config{Accept: func(st *Stream) { accepted <- st }})
		opened, err := client.Open()
		return opened, <-accepted, func() { client.Close(); server.Close() }, err
	})
}

// echo sends back what it gets.
func echo(st *Stream) {
	defer st.Close()
	io.Copy(st, st)
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	c, s := pair(t, func(st *Stream) {
		defer st.Close()
		got, err := io.ReadAll(st)
		if err != nil {
			t.Error(err)
		}
		st.Write(bytes.ToUpper(got))
	})
	st := mustOpen(t, c)
	io.WriteString(st, "question")
	if err := st.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(st); string(got) != "QUESTION" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	st.Close()
	gone(t, c)
	gone(t, s)
}

// gone waits until a session has no streams.
func gone(t *testing.T, s *Session) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for ; s.Streams() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are left", s.Streams())
		}
	}
}

// TestManyStreams opens and closes many streams, some at a time.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	c, s := pair(t, echo)
	before := runtime.NumGoroutine()
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			for range 500 {
				st := mustOpen(t, c)
				io.WriteString(st, "hello")
				mustRead(t, st, "hello")
				st.Close()
			}
		})
	}
	workers.Wait()
	gone(t, c)
	gone(t, s)
	if c.extra != maxExtra || s.extra != maxExtra {
		t.Errorf("room for windows: %d and %d", c.extra, s.extra)
	}
	if now := runtime.NumGoroutine(); now > before+50 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, echo)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			sent := make([]byte, 1<<20+r.IntN(1<<20))
			for j := range sent {
				sent[j] = byte(r.Uint32())
			}
			st := mustOpen(t, c)
			defer st.Close()
			go func() {
				for rest := sent; len(rest) > 0; {
					n := min(len(rest), 1+r.IntN(100<<10))
					st.Write(rest[:n])
					rest = rest[n:]
				}
				st.CloseWrite()
			}()
			if got, err := io.ReadAll(st); !bytes.Equal(got, sent) || err != nil {
				t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
			}
		})
	}
	all.Wait()
}

// TestSlowReader: a stream that nobody reads does not hold up another one.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, func(st *Stream) {
		defer st.Close()
		st.Write(make([]byte, 4<<20))
	})
	slow := mustOpen(t, c)
	defer slow.Close()
	mustRead(t, slow, "\x00")
	for range 20 {
		st := mustOpen(t, c)
		if n, err := io.Copy(io.Discard, st); n != 4<<20 || err != nil {
			t.Fatal(n, err)
		}
		st.Close()
	}
	slow.mu.Lock()
	defer slow.mu.Unlock()
	if slow.received.size > initialWindow || cap(slow.received.buf) > 2*initialWindow {
		t.Errorf("%d bytes are held, in %d", slow.received.size, cap(slow.received.buf))
	}
}

// delayed is a connection on which everything takes a while, in a bubble.
type delayed struct {
	plain

	arrivals chan parcel
}

type parcel struct {
	at   time.Time
	data []byte
}

func delay(t *testing.T, conn net.Conn, d time.Duration) Conn {
	t.Helper()
	c := &delayed{plain{conn}, make(chan parcel, 1<<20)}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case p := <-c.arrivals:
				time.Sleep(time.Until(p.at.Add(d)))
				conn.Write(p.data)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return c
}

func (c *delayed) Write(p []byte) (int, error) {
	c.arrivals <- parcel{time.Now(), bytes.Clone(p)}
	return len(p), nil
}

// TestWindowGrows measures how many round trips a transfer takes.
func TestWindowGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const oneWay, size = 10 * time.Millisecond, 64 << 20
		a, b := net.Pipe()
		c := New(delay(t, a, oneWay), Config{})
		s := New(delay(t, b, oneWay), Config{Accept: func(st *Stream) {
			defer st.Close()
			st.Write(make([]byte, size))
		}})
		defer func() { a.Close(); b.Close(); c.Close(); s.Close() }()
		st := mustOpen(t, c)
		begun := time.Now()
		if n, err := io.Copy(io.Discard, st); n != size || err != nil {
			t.Fatal(n, err)
		}
		// With the first window it would be 256 of them.
		if trips := time.Since(begun) / (2 * oneWay); trips > 25 {
			t.Errorf("%d round trips", trips)
		}
		if st.window > maxWindow {
			t.Errorf("window of %d", st.window)
		}
	})
}

// TestWindowStays: whoever does not read gets no larger window.
func TestWindowStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := New(delay(t, a, time.Second), Config{})
		s := New(delay(t, b, time.Second), Config{Accept: func(st *Stream) {
			defer st.Close()
			st.Write(make([]byte, 2<<20))
		}})
		defer func() { a.Close(); b.Close(); c.Close(); s.Close() }()
		st := mustOpen(t, c)
		buf := make([]byte, 32<<10)
		for range 32 {
			time.Sleep(10 * time.Second)
			if _, err := io.ReadFull(st, buf); err != nil {
				t.Fatal(err)
			}
		}
		if st.window != initialWindow {
			t.Errorf("window of %d", st.window)
		}
	})
}

func TestLingering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		st := open(t, s, p)
		st.Close()
		p.expect("00 00 00 04 00 00 00 01 00 00 00 00")
		p.quiet(linger - time.Second)
		p.expect("00 00 00 08 00 00 00 01 00 00 00 00")
		if s.Streams() != 0 {
			t.Error("the stream is still known")
		}
	})
}

func TestDataAfterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		st := open(t, s, p)
		st.Close()
		p.expect("00 00 00 04 00 00 00 01 00 00 00 00")
		go p.data(1, 0, []byte("late"))
		p.expect("00 00 00 08 00 00 00 01 00 00 00 00")
		synctest.Wait()
		if s.Streams() != 0 {
			t.Error("the stream is still known")
		}
		go p.data(1, 0, []byte("later"))
		p.quiet(time.Minute)
	})
}

func TestCloseWithUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		st := open(t, s, p)
		p.data(1, 0, []byte("unread"))
		synctest.Wait()
		st.Close()
		p.expect("00 00 00 04 00 00 00 01 00 00 00 00", "00 00 00 08 00 00 00 01 00 00 00 00")
	})
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		accepted := make(chan *Stream, 3)
		_, p := server(t, func(st *Stream) { accepted <- st }, Config{MaxStreams: 2, KeepAlive: time.Hour})
		for _, id := range []string{"01", "03"} {
			go p.say("00 01 00 01 00 00 00", id, "00 00 00 00")
			p.expect("00 01 00 02 00 00 00", id, "00 00 00 00")
		}
		go p.say("00 01 00 01 00 00 00 05 00 00 00 00")
		p.expect("00 01 00 08 00 00 00 05 00 00 00 00")
		first := <-accepted
		first.Reset()
		p.expect("00 00 00 08 00 00 00", map[uint32]string{1: "01", 3: "03"}[first.id], "00 00 00 00")
		go p.say("00 00 00 01 00 00 00 07 00 00 00 01 78")
		p.expect("00 01 00 02 00 00 00 07 00 00 00 00")
		<-accepted
		mustRead(t, <-accepted, "x")
	})
}

// TestPingFlood: a peer that reads nothing cannot fill the queue.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := client(t, Config{KeepAlive: time.Hour})
		frame := bytes.Repeat(header{typePing, flagSYN, 0, 7}.append(nil), 1000)
		p.SetWriteDeadline(time.Now().Add(time.Second))
		total := 0
		for {
			n, err := p.Write(frame)
			if total += n; err != nil {
				break
			}
		}
		if total > 4<<20 || total < maxQueue {
			t.Errorf("%d bytes of pings were taken", total)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.queue) > maxQueue+headerSize {
			t.Errorf("%d bytes are queued", len(s.queue))
		}
	})
}

// TestStuckPeer: the end does not wait for a peer that reads nothing.
func TestStuckPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := client(t, Config{})
		st := mustOpen(t, s)
		failed := make(chan error, 1)
		go func() {
			_, err := st.Write(make([]byte, 1<<20))
			failed <- err
		}()
		synctest.Wait()
		begun := time.Now()
		s.Close()
		if err := <-failed; !errors.Is(err, ErrReset) {
			t.Error(err)
		}
		if took := time.Since(begun); took > lastWords {
			t.Errorf("took %v", took)
		}
	})
}

// TestWriteDeadlineInQueue is about a write that waits for the connection, not
// for credit.
func TestWriteDeadlineInQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := client(t, Config{})
		st := mustOpen(t, s)
		st.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := st.Write(make([]byte, 200<<10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		other := mustOpen(t, s)
		failed := make(chan error, 1)
		go func() {
			_, err := other.Write(make([]byte, 200<<10))
			failed <- err
		}()
		synctest.Wait()
		other.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
