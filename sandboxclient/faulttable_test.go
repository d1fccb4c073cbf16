package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func faults() []fault {
	all := []fault{
		{name: "none"},
		{name: "drop before the start is read", set: times(1, heard, cut)},
		{name: "drop before acknowledgement", set: times(1, executed, cut)},
		{name: "five drops before acknowledgement", set: times(5, executed, reset)},
		{name: "drop after acknowledgement", set: times(1, acknowledged, cut)},
		{name: "drop during output", set: nth(5, false, chunkSent, cut)},
		{name: "drop during output, and what was under way is lost", set: nth(5, false, chunkSent, reset)},
		{name: "drop after each third chunk", set: nth(3, true, chunkSent, cut), within: 10 * time.Minute},
		{name: "drop during output, which comes again in other pieces", set: and(
			nth(4, true, chunkSent, cut), func(m *model) { m.slices = 3 }), within: 10 * time.Minute},
		{name: "drop during output, all of which comes again", set: and(
			nth(10, false, chunkSent, reset), func(m *model) { m.rewinds = true })},
		{name: "drop before the end", set: times(1, ending, cut)},
		{name: "drop during stdin, before it arrives", set: times(1, inputRead, reset)},
		{name: "drop during stdin, behind its arrival", set: times(1, inputTaken, reset)},
		{name: "drop at every second frame of stdin", set: nth(2, true, inputRead, cut), within: 10 * time.Minute},
		{name: "drop during stdin of a server that does not count", set: and(
			nth(2, false, inputTaken, reset), func(m *model) { m.counts = false }), check: uncounted},
		{name: "drop during output of a server that does not acknowledge", set: and(
			nth(5, false, chunkSent, reset), func(m *model) { m.silent, m.counts = true, false }), check: uncounted},
		{name: "duplicate frame", set: rewrites(func(m string) []string { return []string{m, m} })},
		{name: "unknown frame", set: rewrites(withUnknown)},
		{name: "split characters", set: nth(3, true, chunkSent, cut), pieces: narrow, within: 10 * time.Minute},
		{name: "bytes that are no characters", pieces: replaced},
		{name: "bytes that are no characters, and drops", set: nth(3, true, chunkSent, cut), pieces: replaced, within: 10 * time.Minute},
		{name: "delay", set: delays(time.Second), within: 10 * time.Minute},
		{name: "half-open before acknowledgement", set: times(1, executed, freeze), within: 2 * time.Minute},
		{name: "half-open during output", set: nth(5, false, chunkSent, freeze), within: 12 * time.Minute},
		{name: "half-open during stdin", set: times(1, inputTaken, freeze), within: 12 * time.Minute},
		{name: "slow reader", pieces: large(200 << 10), options: options{slow: time.Second}, within: 10 * time.Minute},
		{
			name: "slow reader and drops", set: nth(9, true, chunkSent, cut), pieces: large(200 << 10),
			options: options{slow: time.Second}, within: 10 * time.Minute,
		},
		{name: "frames of 40 KiB", pieces: large(40 << 10), set: nth(24, false, chunkSent, reset)},
		{name: "frames of 1 MiB", pieces: large(1 << 20), set: nth(24, false, chunkSent, cut)},
		{name: "frames of 8 MiB", pieces: large(8 << 20), set: nth(24, false, chunkSent, cut)},
		{name: "exit before the last output", set: times(1, ending, hasty)},
		{name: "no exit at all", set: func(m *model) { m.mute = true }, options: options{timeout: 5 * time.Second}, check: noEnd},
		{name: "server restart", set: restarts, check: forgotten},
		{name: "output that is forgotten", set: forgets, check: gap},
	}
	return append(append(all, refusals()...), partings()...)
}

// refusals are handshakes that fail, of the first connection and of a later
// one.
func refusals() []fault {
	kinds := map[string]func(context.Context) (*http.Response, error){
		"500": status(500), "502": status(502), "503": status(503), "504": status(504), "429": status(429),
		"429 with Retry-After": status(429, "Retry-After", "7"), "503 with Retry-After": status(503, "Retry-After", "7"),
		"connection refused": refused, "no answer": hangs,
	}
	var all []fault
	for name, answer := range kinds {
		all = append(all,
			fault{name: name + " at the start", set: refuses(0, 2, answer), within: 2 * time.Minute},
			fault{name: name + " later", set: and(nth(5, false, chunkSent, reset), refuses(1, 3, answer)), within: 2 * time.Minute},
		)
	}
	return append(all,
		fault{name: "two minutes of refused connections", set: outage(2*time.Minute, refused), within: 4 * time.Minute},
		fault{name: "two minutes of 503", set: outage(2*time.Minute, status(503)), within: 4 * time.Minute},
		fault{name: "two minutes of no answer", set: outage(2*time.Minute, hangs), within: 4 * time.Minute},
	)
}

// partings are the ways to close a connection.
func partings() []fault {
	var all []fault
	for _, code := range []websocket.StatusCode{1000, 1001, 1005, 1006, 1011, 1012, 1013} {
		part := closes(code)
		if code == websocket.StatusAbnormalClosure {
			part = cut
		}
		name := fmt.Sprintf("close %d ", code)
		all = append(all,
			fault{name: name + "before acknowledgement", set: times(1, executed, part)},
			fault{name: name + "during output", set: nth(5, false, chunkSent, part)},
			fault{name: name + "again and again", set: nth(4, true, chunkSent, part), within: 10 * time.Minute},
		)
	}
	return all
}

// uncounted is input of which nobody knows whether it arrived: it is not sent
// twice, and the caller is told.
func uncounted(t *testing.T, m *model, s scenario, o outcome) {
	if !s.input || !errors.Is(o.err, sandboxclient.ErrOutcomeUnknown) {
		intact(t, m, s, o)
		return
	}
	c := m.only()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.HasPrefix(sentInput, string(c.input)) || c.kills == 0 && string(c.input) != sentInput {
		t.Errorf("%d kills, and the input is %s", c.kills, difference(string(c.input), sentInput))
	}
}

// noEnd is a command of whose end nothing is heard.
func noEnd(t *testing.T, m *model, s scenario, o outcome) {
	c := m.only()
	want := sandboxclient.ErrCommandTimeout
	if s.name == "Attach" { // only the caller's context bounds it
		want = sandboxclient.ErrDetached
	} else if c.kills != 1 || !errors.Is(o.err, sandboxclient.ErrOutcomeUnknown) {
		t.Errorf("%d kills, error %v", c.kills, o.err)
	}
	if !errors.Is(o.err, want) {
		t.Errorf("error %v, want %v", o.err, want)
	}
	o.err = &sandboxclient.ExitError{Code: 7}
	intact(t, m, s, o)
}

// forgotten is a command that the server has lost.
func forgotten(t *testing.T, m *model, s scenario, o outcome) {
	if !errors.Is(o.err, sandboxclient.ErrCommandNotFound) {
		t.Errorf("error %v", o.err)
	}
	want := m.written(s.from)
	for name, got := range o.views {
		if got == "" && want[name] != "" || !strings.HasPrefix(want[name], got) {
			t.Errorf("%s is %s", name, difference(got, want[name]))
		}
	}
}

// gap is a command of whose output a part is missing.
func gap(t *testing.T, m *model, s scenario, o outcome) {
	lost, ok := errors.AsType[*sandboxclient.GapError](o.err)
	if !ok || !errors.Is(o.err, sandboxclient.ErrOutputLost) || !errors.As(o.err, new(*sandboxclient.ExitError)) {
		t.Fatalf("error %v", o.err)
	}
	want := m.written(s.from)
	for name, got := range o.views {
		missing := map[string]int64{"stdout": lost.Lost.Stdout, "stderr": lost.Lost.Stderr, "both": lost.Lost.Stdout}[name]
		n := 0
		for n < len(got) && got[n] == want[name][n] {
			n++
		}
		if int64(len(want[name])-len(got)) != missing || !strings.HasSuffix(want[name], got[n:]) {
			t.Errorf("%d bytes are said to be missing; %s is %s", missing, name, difference(got, want[name]))
		}
	}
	if lost.Lost.Stdout == 0 {
		t.Errorf("%+v", lost.Lost)
	}
}

// TestFaults has everything go wrong in every way to run a command.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		for _, s := range scenarios() {
			t.Run(f.name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { suffer(t, f, s) })
			})
		}
	}
}

func suffer(t *testing.T, f fault, s scenario) {
	pieces := ordinary()
	if f.pieces != nil {
		pieces = f.pieces()
	}
	m := newModel(t, program(pieces))
	if f.set != nil {
		f.set(m)
	}
	if f.within == 0 {
		f.within = time.Minute
	}
	if f.timeout == 0 {
		f.timeout = -1
	}
	ctx, cancel := context.WithTimeout(t.Context(), f.within)
	defer cancel()
	began := time.Now()
	o := s.run(ctx, m, f.options)
	if took := time.Since(began); took > f.within {
		t.Errorf("it took %s, more than %s", took, f.within)
	}
	check := intact
	if f.check != nil {
		check = f.check
	}
	check(t, m, s, o)
	for _, at := range m.struck {
		input := at == inputRead || at == inputTaken
		if m.strikes.Load() == 0 && (!input || s.input) {
			t.Error("the fault did not strike")
		}
	}
	if n := len(m.ran); n != 1 {
		t.Errorf("the command ran %d times", n)
	}
	m.close()
}
