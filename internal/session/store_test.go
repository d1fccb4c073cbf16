package session

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestResultThatIsNotKept is read by who is attached, and gone with them.
func TestResultThatIsNotKept(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{Kept: 1}, greet, func(t *testing.T, w *world) {
		kept := w.execute(spec("kept"))
		w.read(kept, nil)
		kept.Detach()
		for range 3 {
			s := spec("once")
			s.Keep = 0
			first := w.execute(s)
			synctest.Wait() // it has ended, and nothing of it was read
			time.Sleep(time.Hour / 60)
			second := w.reconnect("once", 0, 0)
			w.read(first, nil).want(t, "hello world\n", "warn")
			first.Detach()
			w.read(second, nil).want(t, "hello world\n", "warn")
			w.outcome(second, Outcome{Code: 3})
			second.Detach()
			if _, err := w.Reconnect(t.Context(), "once", Resume{}); !errors.Is(err, ErrNotFound) {
				t.Errorf("error %v", err)
			}
		}
		w.reconnect("kept", 0, 0).Detach() // is not what made room
		w.Store.mu.Lock()
		defer w.Store.mu.Unlock()
		if len(w.sessions) != 1 || w.running != 0 || len(w.expired.order) != 0 {
			t.Errorf("%d sessions, %d running, %d ids", len(w.sessions), w.running, len(w.expired.order))
		}
	})
}

// TestResultOfAStartThatNobodyWaitedFor is not kept either.
func TestResultOfAStartThatNobodyWaitedFor(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		s := spec("once")
		s.Keep = 0
		a := w.execute(s)
		a.Detach()
		if _, err := a.Next(t.Context(), make([]byte, 1)); errors.Is(err, io.EOF) {
			t.Error("output for somebody who left")
		}
		synctest.Wait()
		w.Store.mu.Lock()
		defer w.Store.mu.Unlock()
		if len(w.sessions) != 0 {
			t.Errorf("%d sessions", len(w.sessions))
		}
	})
}

// TestBackgroundChatterDoesNotHoldTheEnd has a child that never pauses for as
// long as the session waits for a pause.
func TestBackgroundChatterDoesNotHoldTheEnd(t *testing.T) {
	t.Parallel()
	var over chan struct{}
	chatter := func(p *fakeProcess) {
		defer close(over)
		p.print("done\n")
		p.hold = true
		p.exit(0)
		for {
			if _, err := io.WriteString(p.stdout, "tick\n"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	inWorld(t, Options{}, chatter, func(t *testing.T, w *world) {
		over = make(chan struct{})
		begin := time.Now()
		a := w.execute(spec("a"))
		defer a.Detach()
		got := w.read(a, nil)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("ended after %v", took)
		}
		if !strings.HasPrefix(got.text[Stdout].String(), "done\n") {
			t.Errorf("output %q", got.text[Stdout].String())
		}
		w.outcome(a, Outcome{})
		w.cancel()
		w.Close()
		<-over
	})
}

// TestEndedCommandsTakeLittleMemory: what nobody reads goes to a file, and comes
// back for who asks.
func TestEndedCommandsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcde\n", 1<<20/16)
	script := func(p *fakeProcess) {
		p.print(text)
		p.complain("short")
		p.exit(0)
	}
	inWorld(t, Options{}, script, func(t *testing.T, w *world) {
		memory := func(a *Attachment) (n int) {
			a.mu.Lock()
			defer a.mu.Unlock()
			for i := range a.out {
				n += len(a.out[i].ring)
			}
			return n
		}
		a := w.execute(spec("a"))
		w.read(a, nil).want(t, text, "short")
		if memory(a) < len(text) {
			t.Error("moved away under a reader")
		}
		a.Detach()
		unread := w.execute(spec("b"))
		unread.Detach()
		synctest.Wait() // ended meanwhile
		for _, id := range []string{"a", "b"} {
			b := w.reconnect(id, 0, 0)
			if n := memory(b); n > 64<<10 {
				t.Errorf("%d bytes in memory", n)
			}
			w.read(b, nil).want(t, text, "short")
			w.outcome(b, Outcome{})
			b.Detach()
		}
	})
}
