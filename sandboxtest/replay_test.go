package sandboxtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/langsandbox/sandbox-go/sandboxtest"
)

const tapeHead = `{"tape":"langsandbox tape","version":1}` + "\n"

// tapeOf is a tape on disk.
func tapeOf(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tape")
	if err := os.WriteFile(path, []byte(tapeHead+strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayOf is the transport of a tape in a test that may fail.
func replayOf(t *testing.T, lines ...string) (*recorder, http.RoundTripper) {
	t.Helper()
	r := &recorder{TB: t}
	return r, sandboxtest.Replay(r, tapeOf(t, lines...))
}

func send(ctx context.Context, rt http.RoundTripper, method, url, body string) (int, string, error) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return 0, "", err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), errors.Join(err, resp.Body.Close())
}

func asks(t *testing.T, rt http.RoundTripper, method, url, body string, status int, want string) {
	t.Helper()
	if got, text, err := send(t.Context(), rt, method, url, body); err != nil || got != status || text != want {
		t.Errorf("%s %s: %d %q %v, want %d %q", method, url, got, text, err, status, want)
	}
}

const (
	getA = `{"n":1,"request":{"method":"GET","url":"http://h/a"}}`
	aIs  = `{"n":1,"answer":{"status":200,"text":"A"}}`
	putB = `{"n":2,"request":{"method":"PUT","url":"http://h/b","text":"{\"x\":1}"}}`
	bIs  = `{"n":2,"answer":{"status":201,"text":"B"}}`
)

func failedWith(t *testing.T, r *recorder, parts ...string) {
	t.Helper()
	if len(r.errors) != 1 {
		t.Fatalf("%d errors: %q", len(r.errors), r.errors)
	}
	for _, part := range parts {
		if !strings.Contains(strings.ReplaceAll(r.errors[0], "\u00a0", " "), part) {
			t.Errorf("error lacks %q:\n%s", part, r.errors[0])
		}
	}
}

func TestReplayInOrder(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, aIs, putB, bIs)
	asks(t, rt, "GET", "http://h/a", "", 200, "A")
	asks(t, rt, "PUT", "http://h/b", `{"x":1}`, 201, "B")
	r.end()
	if r.failed {
		t.Error(r.errors)
	}
}

func TestReplayAtOnceInAnyOrder(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, putB, bIs, aIs)
	asks(t, rt, "PUT", "http://h/b", `{"x":1}`, 201, "B")
	asks(t, rt, "GET", "http://h/a", "", 200, "A")
	r.end()
	if r.failed {
		t.Error(r.errors)
	}
}

func TestReplayTooEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, rt := replayOf(t, getA, aIs, putB, bIs)
		status, text, err := send(t.Context(), rt, "PUT", "http://h/b", `{"x":1}`)
		if status != http.StatusBadRequest || !strings.Contains(text, "NotOnTape") || err != nil {
			t.Errorf("%d %s %v", status, text, err)
		}
		r.end()
		failedWith(t, r, "a.tape", "PUT http://h/b comes too early: exchange 1, GET http://h/a, has not come")
	})
}

// TestReplayWaits for the request before, which another goroutine sends.
func TestReplayWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, rt := replayOf(t, getA, aIs, putB, bIs)
		given, cancel := context.WithCancel(t.Context())
		go func() {
			if _, _, err := send(given, rt, "PUT", "http://h/b", `{"x":1}`); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
		}()
		go asks(t, rt, "PUT", "http://h/b", `{"x":1}`, 201, "B")
		synctest.Wait()
		cancel()
		synctest.Wait()
		asks(t, rt, "GET", "http://h/a", "", 200, "A")
		synctest.Wait()
		r.end()
		if r.failed {
			t.Error(r.errors)
		}
	})
}

func TestReplayMismatch(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, aIs, putB, bIs)
	asks(t, rt, "GET", "http://h/a", "", 200, "A")
	for range 2 { // the second is no news
		if status, text, err := send(t.Context(), rt, "PUT", "http://h/b", `{"x":2}`); status != 400 || err != nil {
			t.Errorf("%d %s %v", status, text, err)
		}
	}
	r.end()
	failedWith(t, r, "PUT http://h/b is not on the tape, where exchange 2 is next (-tape +request)", `x`, "- ", "+ ")
}

func TestReplayBeyondTheEnd(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, aIs)
	asks(t, rt, "GET", "http://h/a", "", 200, "A")
	if status, _, err := send(t.Context(), rt, "GET", "http://h/a", ""); status != 400 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	r.end()
	failedWith(t, r, "GET http://h/a comes when all of the tape was replayed")
}

func TestReplayLeavesSome(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, aIs, putB, bIs)
	asks(t, rt, "GET", "http://h/a", "", 200, "A")
	r.end()
	failedWith(t, r, "not replayed:\n\texchange 2: PUT http://h/b")
}

func TestReplayEndings(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, `{"n":1,"answer":{"status":200,"text":"A","end":"cut"}}`,
		putB, `{"n":2,"answer":{"error":"no route"}}`,
		`{"n":3,"request":{"method":"GET","url":"http://h/c"}}`, `{"n":3,"answer":{"end":"canceled"}}`)
	if _, text, err := send(t.Context(), rt, "GET", "http://h/a", ""); text != "A" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %q %v", text, err)
	}
	if _, _, err := send(t.Context(), rt, "PUT", "http://h/b", `{"x":1}`); err == nil || err.Error() != "no route" {
		t.Errorf("failed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := send(ctx, rt, "GET", "http://h/c", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	r.end()
	if r.failed {
		t.Error(r.errors)
	}
}

func TestReplayReadFurther(t *testing.T) {
	t.Parallel()
	r, rt := replayOf(t, getA, `{"n":1,"answer":{"status":200,"text":"A","end":"unread"}}`)
	if _, text, err := send(t.Context(), rt, "GET", "http://h/a", ""); text != "A" || err == nil {
		t.Errorf("%q %v", text, err)
	}
	r.end()
	failedWith(t, r, "read further than the tape goes")
}

// TestReplayOfNothing: a test does not go on without a tape.
func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"record the tape first": "none.tape", "line 2": tapeOf(t, `{"n":1}`)} {
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			sandboxtest.Replay(r, path)
			t.Error("it goes on")
		}()
		failedWith(t, r, name)
	}
}
