package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// turn is one connection of a script: what the client says first, and what it
// is told before the connection is lost.
type turn struct {
	stdout, stderr int // the offsets that are asked for; of a reconnect
	frames         []string
	end            func(*conn) // nil is a cut; the last turn waits for the client
}

// follow plays turns, the first of which is a start, or a reconnect with
// attach.
func follow(t *testing.T, attach bool, turns ...turn) *peer {
	t.Helper()
	return newPeer(t, func(c *conn) {
		if c.n >= len(turns) {
			t.Errorf("connection %d was not expected", c.n+1)
			return
		}
		turn := turns[c.n]
		f := c.recv()
		want := frame{
			"type": "reconnect", "command_id": "cmd-123",
			"stdout_offset": float64(turn.stdout), "stderr_offset": float64(turn.stderr),
		}
		if (c.n > 0 || attach) && !cmp.Equal(f, want) {
			t.Errorf("connection %d: %v, want %v", c.n+1, f, want)
		}
		c.send(turn.frames...)
		switch {
		case turn.end != nil:
			turn.end(c)
		case c.n < len(turns)-1:
			c.link.cut()
		default:
			c.drain()
		}
	})
}

func list(frames ...string) []string { return frames }

// TestReconnects: a command whose connections are lost, by numbers.
func TestReconnects(t *testing.T) {
	t.Parallel()
	lose := func(c *conn) { c.link.cut() }
	silent := func(n int, last ...string) []turn {
		turns := []turn{{frames: list(started)}}
		for range n {
			turns = append(turns, turn{frames: list(started)})
		}
		return append(turns, turn{frames: last})
	}
	var chunks []turn
	for i := range 9 {
		chunks = append(chunks, turn{stdout: i, frames: list(stdout("x", int64(i)))})
	}
	chunks[0].frames = list(started, stdout("x", 0))
	chunks = append(chunks, turn{stdout: 9, frames: list(exit(0))})
	tests := map[string]struct {
		turns             []turn
		stdout, stderr    string
		code              int
		err               error
		at                []time.Duration
		lost, repeated    int64
		stdoutAt, stderr2 int64
	}{
		"T101 continue after a loss": {
			turns:  []turn{{frames: list(started, stdout("one", 0))}, {stdout: 3, frames: list(stdout("two", 3), exit(0))}},
			stdout: "onetwo", at: []time.Duration{0, 500 * ms},
		},
		"T102 acknowledgement is invisible": {
			turns:  []turn{{frames: list(started, stdout("before", 0))}, {stdout: 6, frames: list(started, stdout("after", 6), exit(0))}},
			stdout: "beforeafter", at: []time.Duration{0, 500 * ms},
		},
		"T105 clean end without exit": {
			turns: []turn{{frames: list(started), end: func(c *conn) { c.close(websocket.StatusNormalClosure) }}, {frames: list(exit(0))}},
			at:    []time.Duration{0, 500 * ms},
		},
		"T106 close 1001": {
			turns: []turn{{frames: list(started), end: func(c *conn) { c.close(websocket.StatusGoingAway) }}, {frames: list(exit(0))}},
			at:    []time.Duration{0, 0},
		},
		"T106 close 1001, twice": {
			turns: []turn{
				{frames: list(started), end: func(c *conn) { c.close(websocket.StatusGoingAway) }},
				{end: func(c *conn) { c.close(websocket.StatusGoingAway) }},
				{frames: list(exit(0))},
			},
			at: []time.Duration{0, 0, sec},
		},
		"T107 T108 never acknowledged": {
			turns: []turn{{frames: list(started)}, {}, {}, {}, {}, {end: lose}},
			code:  -1, err: sandboxclient.ErrOutcomeUnknown, at: []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms},
		},
		"T109 silent command": {
			turns: silent(7, started, exit(7)), code: 7,
			at: []time.Duration{0, 500 * ms, sec, 1500 * ms, 2 * sec, 2500 * ms, 3 * sec, 3500 * ms, 4 * sec},
		},
		"T111 a chunk on each": {
			turns: chunks, stdout: "xxxxxxxxx",
			at: []time.Duration{0, 500 * ms, sec, 1500 * ms, 2 * sec, 2500 * ms, 3 * sec, 3500 * ms, 4 * sec, 4500 * ms},
		},
		"T112 command not found": {
			turns: []turn{{frames: list(started)}, {frames: list(`{"type":"error","error":"x","error_type":"CommandNotFound"}`)}},
			code:  -1, err: sandboxclient.ErrCommandNotFound, at: []time.Duration{0, 500 * ms},
		},
		"T113 session expired": {
			turns: []turn{{frames: list(started)}, {frames: list(`{"type":"error","error":"x","error_type":"SessionExpired"}`)}},
			code:  -1, err: sandboxclient.ErrSessionExpired, at: []time.Duration{0, 500 * ms},
		},
		"T117 each piece once": {
			turns: []turn{
				{frames: list(started, stdout("before-disconnect ", 0))},
				{stdout: 18, frames: list(stdout("after-reconnect", 18), exit(0))},
			},
			stdout: "before-disconnect after-reconnect", at: []time.Duration{0, 500 * ms},
		},
		"T119 pauses begin anew": {
			turns: []turn{{frames: list(started)}, {}, {frames: list(started)}, {frames: list(exit(0))}},
			at:    []time.Duration{0, 500 * ms, 1500 * ms, 2 * sec},
		},
		"T123 3 MiB in a frame": {
			turns:  []turn{{frames: list(started, stdout(strings.Repeat("x", 3<<20), 0))}, {stdout: 3 << 20, frames: list(exit(0))}},
			stdout: strings.Repeat("x", 3<<20), at: []time.Duration{0, 500 * ms},
		},
		"T125 characters are bytes": {
			turns:  []turn{{frames: list(started, stdout("0123456789", 0), stdout("é", 10))}, {stdout: 12, frames: list(exit(0))}},
			stdout: "0123456789é", at: []time.Duration{0, 500 * ms},
		},
		"T127 repeated output": {
			turns:  []turn{{frames: list(started, stdout("one", 0))}, {stdout: 3, frames: list(stdout("onetwo", 0), exit(0))}},
			stdout: "onetwo", repeated: 3, at: []time.Duration{0, 500 * ms},
		},
		"T128 a gap": {
			turns:  []turn{{frames: list(started, stdout("one", 0))}, {stdout: 3, frames: list(stdout("xyz", 10), exit(0))}},
			stdout: "onexyz", err: sandboxclient.ErrOutputLost, lost: 7, at: []time.Duration{0, 500 * ms},
		},
		"T130 a byte that was replaced at the end": {
			turns:  []turn{{frames: list(started, stdout("ab\uFFFD", 0))}, {frames: list(stdout("ab\uFFFDcd", 0), exit(0))}},
			stdout: "ab\uFFFDcd", repeated: 5, at: []time.Duration{0, 500 * ms},
		},
		"T258 lost between the last chunk and exit": {
			turns:  []turn{{frames: list(started, stdout("o", 0), stderr("ee", 0))}, {stdout: 1, stderr: 2, frames: list(started, exit(0))}},
			stdout: "o", stderr: "ee", at: []time.Duration{0, 500 * ms},
		},
		"close 1008, twice": {
			turns: []turn{
				{frames: list(started), end: func(c *conn) { c.close(websocket.StatusPolicyViolation) }},
				{end: func(c *conn) { c.close(websocket.StatusPolicyViolation) }},
			},
			code: -1, err: sandboxclient.ErrOutcomeUnknown, at: []time.Duration{0, 500 * ms},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := follow(t, false, tt.turns...)
				var w watched
				process, err := w.of(options{}, p.box().Shell("x")).Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				err = process.Wait()
				if exit, ok := err.(*sandboxclient.ExitError); ok && tt.err == nil && exit.Code == tt.code { //nolint:errorlint // nothing else went wrong
					err = nil
				}
				if !errors.Is(err, tt.err) || tt.err == nil && err != nil || process.ExitCode() != tt.code {
					t.Errorf("exit code %d, error %v, want %d, %v", process.ExitCode(), err, tt.code, tt.err)
				}
				if diff := cmp.Diff(views{"stdout": tt.stdout, "stderr": tt.stderr}, w.outcome(nil).views); diff != "" {
					t.Errorf("output (-want +got):\n%.300s", diff)
				}
				stats := sandboxclient.StreamStats{Reconnects: int64(len(tt.at) - 1), Repeated: tt.repeated, Lost: tt.lost}
				if diff := cmp.Diff(stats, process.Stats()); diff != "" {
					t.Errorf("stats (-want +got):\n%s", diff)
				}
				p.at(tt.at...)
				p.close()
			})
		})
	}
}

func TestT103T104AttachFromAPosition(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from, to       sandboxclient.Position
		frame          string
		stdout, stderr string
	}{
		"T103": {sandboxclient.Position{Stdout: 7, Stderr: 3}, sandboxclient.Position{Stdout: 7, Stderr: 8}, stderr("warn\n", 3), "", "warn\n"},
		"T104": {sandboxclient.Position{Stdout: 100, Stderr: 50}, sandboxclient.Position{Stdout: 104, Stderr: 50}, stdout("data", 100), "data", ""},
		"T120": {sandboxclient.Position{Stdout: 4}, sandboxclient.Position{Stdout: 4}, started, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := follow(t, true, turn{int(tt.from.Stdout), int(tt.from.Stderr), list(tt.frame, exit(0)), nil})
				var w watched
				process, err := p.box().Attach(t.Context(), "cmd-123", &sandboxclient.AttachOptions{From: tt.from, Stdout: &w.stdout, Stderr: &w.stderr})
				if err != nil {
					t.Fatal(err)
				}
				if err := process.Wait(); err != nil || process.ID() != "cmd-123" || process.Position() != tt.to {
					t.Errorf("%v, %q, %+v", err, process.ID(), process.Position())
				}
				if diff := cmp.Diff(views{"stdout": tt.stdout, "stderr": tt.stderr}, w.outcome(nil).views); diff != "" {
					t.Errorf("output (-want +got):\n%s", diff)
				}
				p.close()
			})
		})
	}
}

func TestT110AnotherCommandIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		other := turn{frames: list(`{"type":"started","command_id":"someone-elses-cmd","pid":1}`), end: func(c *conn) { c.link.cut() }}
		p := follow(t, false, turn{frames: list(started)}, other, other, other, other, other)
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		err := p.box(sandboxclient.WithLogger(logger)).Shell("x").Run(t.Context())
		if !errors.As(err, new(*sandboxclient.DisconnectError)) || !strings.Contains(log.String(), "another command") {
			t.Errorf("error %v, log %q", err, log.String())
		}
		p.at(0, 500*ms, 1500*ms, 3500*ms, 7500*ms, 15500*ms)
		p.close()
	})
}

// TestReconnectHandshakes: reconnects that fail before there is a connection.
func TestReconnectHandshakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer func(context.Context) (*http.Response, error)
		times  int
		at     []time.Duration
		kinds  []error
		took   time.Duration
	}{
		"T114 no answer, once":      {answer: hangs, times: 1, at: []time.Duration{0, 500 * ms, 31500 * ms}},
		"T118 401":                  {answer: status(401), times: 9, at: []time.Duration{0, 500 * ms}, kinds: []error{sandboxclient.ErrUnauthorized, sandboxclient.ErrOutcomeUnknown}},
		"403":                       {answer: status(403), times: 9, at: []time.Duration{0, 500 * ms}, kinds: []error{sandboxclient.ErrForbidden, sandboxclient.ErrOutcomeUnknown}},
		"404":                       {answer: status(404), times: 9, at: []time.Duration{0, 500 * ms}, kinds: []error{sandboxclient.ErrNotFound, sandboxclient.ErrOutcomeUnknown}},
		"503 with Retry-After":      {answer: status(503, "Retry-After", "20"), times: 2, at: []time.Duration{0, 500 * ms, 20500 * ms, 40500 * ms}},
		"more refusals than losses": {answer: refused, times: 7, at: []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms, 23500 * ms, 31500 * ms, 39500 * ms}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := follow(t, false, turn{frames: list(started)}, turn{frames: list(exit(0))})
				refuses(1, 1+tt.times, tt.answer)(&model{peer: p})
				err := p.box().Shell("x").Run(t.Context())
				if (err != nil) != (tt.kinds != nil) {
					t.Errorf("error %v", err)
				}
				for _, kind := range tt.kinds {
					if !errors.Is(err, kind) {
						t.Errorf("%v is no %v", err, kind)
					}
				}
				p.at(tt.at...)
				p.close()
			})
		})
	}
}

// TestReconnectBudget: how long a command may be out of reach, counted anew
// when it was not.
func TestReconnectBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := follow(t, false, turn{frames: list(started)}, turn{frames: list(stdout("x", 0))}, turn{})
		gone := time.Time{}
		p.refuse = func(context.Context, int) (*http.Response, error) {
			since := time.Since(p.began)
			if since > 0 && since < 4*time.Minute {
				return refused(t.Context())
			}
			if n := len(p.connections()); n == 2 {
				if gone.IsZero() {
					gone = time.Now()
				}
				return refused(t.Context())
			}
			return nil, errAccept
		}
		err := shell(&model{peer: p}, options{timeout: -1}).Run(t.Context())
		e, ok := errors.AsType[*sandboxclient.DisconnectError](err)
		if !ok || e.From != (sandboxclient.Position{Stdout: 1}) || e.ID != "cmd-123" || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(gone); took < 4*time.Minute || took > 5*time.Minute {
			t.Errorf("given up %s after the second loss", took)
		}
		p.close()
	})
}

// TestAttachAfterDisconnect: a command that was given up can be joined, and
// goes on where it was.
func TestAttachAfterDisconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, program(ordinary()))
		nth(5, false, chunkSent, cut)(m)
		refuses(1, 2, status(401))(m)
		first := writersScenario(t.Context(), m, options{})
		e, ok := errors.AsType[*sandboxclient.DisconnectError](first.err)
		if !ok {
			t.Fatalf("error %v", first.err)
		}
		var w watched
		process, err := m.box().Attach(t.Context(), e.ID, &sandboxclient.AttachOptions{From: e.From, Stdout: &w.stdout, Stderr: &w.stderr})
		if err != nil {
			t.Fatal(err)
		}
		second := w.outcome(process.Wait())
		for name := range second.views {
			second.views[name] = first.views[name] + second.views[name]
		}
		intact(t, m, scenario{}, second)
		m.close()
	})
}
