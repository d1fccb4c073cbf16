package session

import (
	"io"
	"strconv"
	"testing"
	"testing/synctest"
)

// TestInputAfterTakeover: what a broken connection still delivers after its
// client came back does not reach the command a second time.
func TestInputAfterTakeover(t *testing.T) {
	t.Parallel()
	cat := func(p *fakeProcess) {
		_, _ = io.Copy(p.stdout, p.stdin)
		p.exit(0)
	}
	inWorld(t, Options{}, cat, func(t *testing.T, w *world) {
		old, other := w.execute(spec("a")), w.attach("a", Resume{})
		defer other.Detach()
		mustInput(t, old, "one ")
		mustInput(t, other, "other ")
		synctest.Wait()
		back := w.attach("a", Resume{Stdout: 10, Writer: old.Writer()})
		defer back.Detach()
		if n := back.Received(); n != 4 || back.Writer() != old.Writer() {
			t.Errorf("%d bytes received of %q, want 4 of %q", n, back.Writer(), old.Writer())
		}
		mustInput(t, old, "late ")
		old.CloseInput()
		if _, err := old.Next(t.Context(), nil); err == nil {
			t.Error("the old attachment goes on")
		}
		old.Detach()
		mustInput(t, back, "two")
		back.CloseInput()
		w.read(back, nil).want(t, "two", "")
		w.read(other, nil).want(t, "one other two", "")
		w.outcome(back, Outcome{})
	})
}

// TestUnreadInputAfterTakeover: input that waits on the old connection is not
// taken when there is room again.
func TestUnreadInputAfterTakeover(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{Input: 8}, linger, func(t *testing.T, w *world) {
		old := w.execute(spec("a"))
		mustInput(t, old, "one ")
		mustInput(t, old, "two ")
		waiting := make(chan error)
		go func() { waiting <- old.Input(t.Context(), []byte("three")) }()
		synctest.Wait()
		back := w.attach("a", Resume{Writer: old.Writer()})
		defer back.Detach()
		n := back.Received()
		back.Kill()
		if err := <-waiting; err != nil || back.Received() != n {
			t.Errorf("%v; %d bytes received, then %d", err, n, back.Received())
		}
		w.read(back, nil)
		w.outcome(back, Outcome{Code: 137})
	})
}

// TestForgottenWriters: clients that went away with nothing sent are forgotten,
// and of the others only so many are remembered.
func TestForgottenWriters(t *testing.T) {
	t.Parallel()
	inWorld(t, Options{}, linger, func(t *testing.T, w *world) {
		first := w.execute(spec("a"))
		defer first.Detach()
		for i := range 3 * maxWriters {
			a := w.attach("a", Resume{})
			if i%2 == 0 {
				mustInput(t, a, strconv.Itoa(i))
			}
			a.Detach()
		}
		if n := len(first.writers); n > maxWriters+1 {
			t.Errorf("%d writers are remembered", n)
		}
		first.Kill()
		w.read(first, nil)
		w.outcome(first, Outcome{Code: 137})
	})
}

func mustInput(t *testing.T, a *Attachment, text string) {
	t.Helper()
	if err := a.Input(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
}
