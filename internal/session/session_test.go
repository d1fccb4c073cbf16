package session

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// greet prints something on both streams and ends with code 3.
func greet(p *fakeProcess) {
	p.print("hello ")
	p.complain("warn")
	p.print("world\n")
	p.exit(3)
}

// linger runs until it is killed.
func linger(*fakeProcess) {}

func TestExitComesAfterTheLastOutput(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, nil).want(t, "hello world\n", "warn")
		w.outcome(a, Outcome{Code: 3})
		if a.ID() != "a" || a.PID() != 101 {
			t.Errorf("id %q pid %d", a.ID(), a.PID())
		}
	})
}

func TestT097SameIDStartsOneProcess(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) {
		p.print("out")
		<-time.After(time.Second)
		p.exit(0)
	}
	inWorld(t, Options{}, script, func(t *testing.T, w *world) {
		w.delay = time.Second
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				a := w.execute(spec("same"))
				defer a.Detach()
				if a.PID() != 101 {
					t.Errorf("pid %d", a.PID())
				}
				w.read(a, nil).want(t, "out", "")
				w.outcome(a, Outcome{})
			})
		}
		all.Wait()
		if w.starts != 1 {
			t.Errorf("%d processes", w.starts)
		}
	})
}

func TestStartGoesOnWithoutItsClient(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		w.delay = 5 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Execute(ctx, spec("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, nil).want(t, "hello world\n", "warn")
		if w.starts != 1 {
			t.Errorf("%d processes", w.starts)
		}
	})
}

func TestFailedStartLeavesTheIDFree(t *testing.T) {
	t.Parallel()
	errStart := errors.New("no shell")
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		w.startErr = errStart
		if _, err := w.Execute(t.Context(), spec("a")); !errors.Is(err, errStart) {
			t.Fatalf("error %v", err)
		}
		synctest.Wait()
		if _, err := w.Reconnect(t.Context(), "a", Resume{}); !errors.Is(err, ErrNotFound) {
			t.Fatalf("error %v", err)
		}
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, nil)
	})
}

func TestT133TimeoutKillsAndIsNoExit(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, func(p *fakeProcess) { p.print("begun") }, func(t *testing.T, w *world) {
		begin := time.Now()
		s := spec("a")
		s.Timeout = time.Second
		a := w.execute(s)
		defer a.Detach()
		w.read(a, nil).want(t, "begun", "")
		w.outcome(a, Outcome{Err: ErrTimeout})
		if took := time.Since(begin); took != time.Second {
			t.Errorf("killed after %v", took)
		}
	})
}

func TestKillIsRepeatedWhenProcessesAreLeft(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) { p.mu.Lock(); p.killErr = errors.New("processes are left"); p.mu.Unlock() }
	inWorld(t, Options{}, script, func(_ *testing.T, w *world) {
		s := spec("a")
		s.Timeout = time.Second
		a := w.execute(s)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{Err: ErrTimeout})
	})
}

func TestT134NoTimeout(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) { time.Sleep(65 * time.Hour); p.exit(0) }
	inWorld(t, Options{}, script, func(_ *testing.T, w *world) {
		s := spec("a")
		s.Timeout = 0
		a := w.execute(s)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{})
	})
}

func TestT135IdleClockStandsWhileAttached(t *testing.T) {
	t.Parallel()
	script := func(p *fakeProcess) { time.Sleep(5 * time.Second); p.exit(0) }
	inWorld(t, Options{}, script, func(_ *testing.T, w *world) {
		s := spec("a")
		s.Idle = time.Second
		a := w.execute(s)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{})
	})
}

func TestT136IdleCommandIsKilled(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(_ *testing.T, w *world) {
		s := spec("a")
		s.Idle = time.Second
		w.execute(s).Detach()
		time.Sleep(900 * time.Millisecond)
		again := w.reconnect("a", 0, 0) // the clock starts from zero
		again.Detach()
		time.Sleep(900 * time.Millisecond)
		again = w.reconnect("a", 0, 0)
		again.Detach()
		time.Sleep(3 * time.Second)
		last := w.reconnect("a", 0, 0)
		defer last.Detach()
		w.read(last, nil)
		w.outcome(last, Outcome{Code: 137})
	})
}

func TestT137NeverIdle(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(_ *testing.T, w *world) {
		s := spec("a")
		s.Timeout, s.Idle = 0, Never
		w.execute(s).Detach()
		time.Sleep(1000 * time.Hour)
		a := w.reconnect("a", 0, 0)
		defer a.Detach()
		a.Kill()
		w.read(a, nil)
		w.outcome(a, Outcome{Code: 137})
	})
}

func TestT138KillOnDisconnect(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(t *testing.T, w *world) {
		s := spec("a")
		s.KillOnDisconnect = true
		first := w.execute(s)
		second := w.reconnect("a", 0, 0)
		first.Detach()
		time.Sleep(time.Second)
		if second.hasExited() {
			t.Fatal("killed before the last client left")
		}
		second.Detach()
		synctest.Wait()
		a := w.reconnect("a", 0, 0)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{Code: 137})
	})
}

func TestKillOnDisconnectOfAClientThatLeftBeforeTheStart(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(t *testing.T, w *world) {
		w.delay = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s := spec("a")
		s.KillOnDisconnect = true
		_, _ = w.Execute(ctx, s)
		time.Sleep(2 * time.Second)
		a := w.reconnect("a", 0, 0)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{Code: 137})
	})
}

func TestT139T140ResultIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		w.execute(spec("a")).Detach()
		time.Sleep(10*time.Minute - time.Second)
		a := w.reconnect("a", 6, 4)
		time.Sleep(time.Minute) // past its time, and still there for who is attached
		w.read(a, nil).want(t, "world\n", "")
		w.outcome(a, Outcome{Code: 3})
		a.Detach()
		if _, err := w.Reconnect(t.Context(), "a", Resume{}); !errors.Is(err, ErrExpired) {
			t.Errorf("error %v", err)
		}
		if _, err := w.Execute(t.Context(), spec("a")); !errors.Is(err, ErrExpired) || w.starts != 1 {
			t.Errorf("a late repeat of the start: error %v, %d processes", err, w.starts)
		}
		if _, err := w.Reconnect(t.Context(), "b", Resume{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}

func TestResultIsKeptForEver(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, greet, func(t *testing.T, w *world) {
		s := spec("a")
		s.Keep = Never
		w.execute(s).Detach()
		time.Sleep(1000 * time.Hour)
		a := w.reconnect("a", 0, 0)
		defer a.Detach()
		w.read(a, nil).want(t, "hello world\n", "warn")
	})
}

func TestOldestResultGoesFirst(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{Kept: 2, Running: 3}, greet, func(t *testing.T, w *world) {
		for _, id := range []string{"a", "b", "c"} {
			a := w.execute(spec(id))
			w.read(a, nil)
			a.Detach()
		}
		if _, err := w.Reconnect(t.Context(), "a", Resume{}); !errors.Is(err, ErrExpired) {
			t.Errorf("error %v", err)
		}
		w.reconnect("b", 0, 0).Detach()
	})
}

func TestTooManyCommands(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{Running: 2}, linger, func(t *testing.T, w *world) {
		a, b := w.execute(spec("a")), w.execute(spec("b"))
		if _, err := w.Execute(t.Context(), spec("c")); !errors.Is(err, ErrTooMany) {
			t.Errorf("error %v", err)
		}
		a.Kill()
		w.read(a, nil)
		w.execute(spec("c")).Detach()
		a.Detach()
		b.Detach()
	})
}

func TestT142ClosedInputReachesItsEnd(t *testing.T) {
	t.Parallel()
	cat := func(p *fakeProcess) {
		_, _ = io.Copy(p.stdout, p.stdin)
		p.exit(0)
	}
	inWorld(t, Options{}, cat, func(t *testing.T, w *world) {
		s := spec("a")
		s.CloseInput = true
		a := w.execute(s)
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{})

		b := w.execute(spec("b"))
		defer b.Detach()
		for _, text := range []string{"one ", "two ", "three"} {
			if err := b.Input(t.Context(), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		b.CloseInput()
		b.CloseInput()
		_ = b.Input(t.Context(), []byte("too late"))
		w.read(b, nil).want(t, "one two three", "")
		w.outcome(b, Outcome{})
		if n := b.Received(); n != int64(len("one two threetoo late")) {
			t.Errorf("%d bytes received", n)
		}
	})
}

func TestT143OpenInputRunsUntilTheTimeout(t *testing.T) {
	t.Parallel()
	cat := func(p *fakeProcess) {
		_, _ = io.Copy(p.stdout, p.stdin)
		p.exit(0)
	}
	inWorld(t, Options{}, cat, func(_ *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, nil)
		w.outcome(a, Outcome{Err: ErrTimeout})
	})
}

func TestUnreadInputWaitsWithinItsLimit(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{Input: 100}, linger, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		if err := a.Input(t.Context(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Input(ctx, []byte("more")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		a.Kill() // is not held up by that
		w.read(a, nil)
		w.outcome(a, Outcome{Code: 137})
		if err := a.Input(t.Context(), []byte("more")); err != nil {
			t.Errorf("input for an ended command: %v", err)
		}
	})
}

func TestBackgroundProcessDoesNotHangTheCommand(t *testing.T) {
	t.Parallel()
	var left *fakeProcess
	script := func(p *fakeProcess) {
		left = p
		p.hold = true
		p.print("x")
		p.exit(0)
	}
	inWorld(t, Options{}, script, func(t *testing.T, w *world) {
		begin := time.Now()
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, nil).want(t, "x", "")
		w.outcome(a, Outcome{})
		if took := time.Since(begin); took > time.Second {
			t.Errorf("exit after %v", took)
		}
		for range 100 { // nobody wants it, and it does not block
			left.print(strings.Repeat("log line\n", 1000))
		}
		_ = left.stdout.Close()
		_ = left.stderr.Close()
	})
}

func TestSandboxEndsUnderACommand(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, func(p *fakeProcess) { p.print("begun") }, func(t *testing.T, w *world) {
		a := w.execute(spec("a"))
		defer a.Detach()
		w.read(a, func(g *transcript) bool { return g.text[Stdout].Len() > 0 })
		w.cancel()
		if _, err := a.Next(t.Context(), make([]byte, 100)); !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
		w.outcome(a, Outcome{Err: ErrClosed})
		if _, err := w.Execute(t.Context(), spec("b")); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}
