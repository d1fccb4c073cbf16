package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pattern is text whose every place can be told.
func pattern(from, n int) string {
	var b strings.Builder
	for i := from; b.Len() < n; i++ {
		b.WriteString(string(rune('a' + i%26)))
	}
	return b.String()
}

// floods prints n bytes of pattern and ends.
func floods(n int) func(*fakeProcess) {
	return func(p *fakeProcess) {
		text := pattern(0, n)
		for len(text) > 0 {
			piece := text[:min(1000, len(text))]
			p.print(piece)
			text = text[len(piece):]
		}
		p.exit(0)
	}
}

func small() Options { return Options{Buffer: 4000, Window: 2000, Chunk: 500, Spill: 10_000} }

// printed is how much of a command's output was read.
func printed(a *Attachment) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out[Stdout].end
}

func TestT131DroppedOutputShowsInTheOffset(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(300_000), func(t *testing.T, w *world) {
		s := spec("a")
		s.Timeout, s.Idle = 0, Never
		w.execute(s).Detach()
		time.Sleep(10 * time.Minute)
		a := w.reconnect("a", 0, 0)
		defer a.Detach()
		got := w.read(a, nil)
		first := got.chunks[0].Offset
		if first < 300_000-14_000 || first > 300_000-4000 {
			t.Errorf("first offset %d", first)
		}
		got.want(t, pattern(int(first), 300_000-int(first)), "")
		w.outcome(a, Outcome{})
	})
}

func TestCommandWaitsForItsReaderAndNotForEver(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(100_000), func(t *testing.T, w *world) {
		s := spec("a")
		s.Timeout, s.Idle = 0, Never
		a := w.execute(s)
		time.Sleep(10 * time.Second) // less than Stall
		if end := printed(a); end > 4000 {
			t.Errorf("%d bytes were read while the client rests", end)
		}
		time.Sleep(10 * time.Second) // now it counts as stalled
		if end := printed(a); end < 10_000 || end > 14_000 {
			t.Errorf("%d bytes were read after the client stalled", end)
		}
		a.Detach()
		time.Sleep(4 * time.Minute) // less than Patience
		if a.hasExited() {
			t.Error("the command did not wait")
		}
		a = w.reconnect("a", 0, 0)
		defer a.Detach()
		w.read(a, nil).want(t, pattern(0, 100_000), "")
	})
}

func TestDeadReaderDoesNotBlockTheCommand(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(100_000), func(t *testing.T, w *world) {
		s := spec("a")
		s.Timeout = 0
		a := w.execute(s)
		defer a.Detach()
		_, _ = a.Next(t.Context(), make([]byte, 500)) // and never again
		time.Sleep(6 * time.Minute)
		if !a.hasExited() {
			t.Error("the command is blocked")
		}
	})
}

func TestSlowReaderDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(100_000), func(t *testing.T, w *world) {
		begin := time.Now()
		slow := w.execute(spec("a"))
		defer slow.Detach()
		fast := w.reconnect("a", 0, 0)
		defer fast.Detach()
		w.read(fast, nil).want(t, pattern(0, 100_000), "")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %v", took)
		}
		got := w.read(slow, nil)
		if n := int64(got.text[Stdout].Len()); got.gaps+n != 100_000 || n < 4000-500 {
			t.Errorf("%d bytes, and %d reported as dropped", n, got.gaps)
		}
	})
}

func TestUnacknowledgedOutputIsKept(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(50_000), func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		w.read(a, func(g *transcript) bool { return g.text[Stdout].Len() >= 20_000 })
		out, _ := a.Positions()
		sent := 0
		for { // all the window allows, and lost on the way
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			chunk, err := a.Next(ctx, make([]byte, 500))
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			sent += len(chunk.Data)
		}
		if sent != 2000 || a.Unacknowledged() != 2000 {
			t.Errorf("%d bytes were handed out, %d unacknowledged", sent, a.Unacknowledged())
		}
		a.Detach()
		b := w.reconnect("a", out, 0)
		defer b.Detach()
		w.read(b, nil).want(t, pattern(int(out), 50_000-int(out)), "")
	})
}

func TestWindowIsLiftedWhileNobodyCanAcknowledge(t *testing.T) {
	t.Parallel()
	inWorld(t, small(), floods(12_000), func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		a.SetLenient(true)
		got := 0
		for got < 12_000 {
			chunk, err := a.Next(t.Context(), make([]byte, 500))
			if err != nil {
				t.Fatal(err)
			}
			got += len(chunk.Data)
		}
		b := w.reconnect("a", 0, 0) // all of it was on its way
		defer b.Detach()
		w.read(b, nil).want(t, pattern(0, 12_000), "")
	})
}

func TestT132CharactersAreNotSplit(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) {
		p.print("\xe2\x82")
		time.Sleep(time.Second)
		p.print("\xac")
		time.Sleep(time.Second)
		p.print("ab\xf0\x9f")
		p.exit(0)
	}
	inWorld(t, Options{}, script, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		got := w.read(a, nil)
		var all []string
		for _, c := range got.chunks {
			all = append(all, string(c.Data))
		}
		if all[0] != "€" || strings.Join(all, "") != "€ab\xf0\x9f" {
			t.Errorf("chunks %q", all)
		}
	})
}

func TestChunksOfMixedText(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aé€😀\xff\xc3", 20_000)
	script := func(p *fakeProcess) { p.print(text); p.exit(0) }
	inWorld(t, Options{Chunk: 1000}, script, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		got := w.read(a, nil)
		got.want(t, text, "")
		for _, c := range got.chunks[:len(got.chunks)-1] {
			if incomplete(c.Data) != 0 || continuation(c.Data) != 0 {
				t.Fatalf("chunk at %d cuts a character: %q ... %q", c.Offset, c.Data[:4], c.Data[len(c.Data)-4:])
			}
		}
	})
}

func TestOffsetBeyondTheEnd(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) { p.print("ab"); time.Sleep(time.Second); p.print("cd"); p.exit(0) }
	inWorld(t, Options{}, script, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		w.read(a, func(g *transcript) bool { return g.text[Stdout].Len() == 2 })
		a.Detach()
		b := w.reconnect("a", 1000, 1000)
		defer b.Detach()
		w.read(b, nil).want(t, "cd", "")
	})
}

func TestDetachedAttachmentReturns(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		time.AfterFunc(time.Second, a.Detach)
		if _, err := a.Next(t.Context(), make([]byte, 10)); !errors.Is(err, ErrDetached) {
			t.Errorf("error %v", err)
		}
		a.Detach()
		synctest.Wait()
	})
}

func TestAnyCutsLoseNothing(t *testing.T) {
	t.Parallel()
	const size = 400_000
	inWorld(t, small(), floods(size), func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		s := spec("a")
		s.Timeout, s.Idle = 0, Never
		var got bytes.Buffer
		a := w.execute(s)
		for {
			target := got.Len() + random.IntN(20_000)
			part := w.read(a, func(g *transcript) bool { return got.Len()+g.text[Stdout].Len() > target })
			got.Write(part.text[Stdout].Bytes())
			if part.gaps > 0 {
				t.Fatalf("%d bytes lost", part.gaps)
			}
			if got.Len() == size {
				break
			}
			for range random.IntN(4) { // handed out and lost
				_, _ = a.Next(t.Context(), make([]byte, 500))
			}
			a.Detach()
			time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
			a = w.reconnect("a", int64(got.Len()), 0)
		}
		if _, err := a.Next(t.Context(), make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
		a.Detach()
		if got.String() != pattern(0, size) {
			t.Error("wrong output")
		}
	})
}
