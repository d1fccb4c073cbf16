package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// views are what a caller sees of the output of a command: of stdout and
// stderr, both, or the end of stderr.
type views map[string]string

// outcome is what a caller has of a command in the end.
type outcome struct {
	views
	err error
}

// scenario is one way to run a command and to have its output.
type scenario struct {
	name  string
	run   func(ctx context.Context, m *model, o options) outcome
	from  sandboxclient.Position // for Attach
	input bool                   // standard input is sent
	tty   bool
}

// options are what a fault asks of the caller.
type options struct {
	timeout time.Duration
	slow    time.Duration // of each write, or turn of a loop
}

const attached = "the-command"

// sentInput is what scenarios with standard input send: more than the client
// keeps on its way.
var sentInput = strings.Repeat("grün 漢字 😀\r\n", 16<<10)

func scenarios() []scenario {
	return []scenario{
		{name: "Run", run: runScenario},
		{name: "Output", run: outputScenario},
		{name: "CombinedOutput", run: combinedScenario},
		{name: "Start and Wait", run: writersScenario},
		{name: "Stream", run: streamScenario},
		{name: "Cmd.Stdin", run: stdinScenario, input: true},
		{name: "Process.Write", run: writeScenario, input: true},
		{name: "Attach", run: attachScenario, from: attachFrom},
		{name: "TTY", run: ttyScenario, tty: true},
	}
}

func runScenario(ctx context.Context, m *model, o options) outcome {
	r, err := m.box().Run(ctx, "x", &sandboxclient.RunOptions{Timeout: o.timeout})
	if r == nil {
		return outcome{err: err}
	}
	if err == nil {
		err = r.Err()
	}
	return outcome{views{"stdout": r.Stdout, "stderr": r.Stderr}, err}
}

func shell(m *model, o options) *sandboxclient.Cmd {
	c := m.box().Shell("x")
	c.Timeout = o.timeout
	return c
}

func outputScenario(ctx context.Context, m *model, o options) outcome {
	out, err := shell(m, o).Output(ctx)
	v := views{"stdout": string(out)}
	if exit, ok := errors.AsType[*sandboxclient.ExitError](err); ok {
		v["tail"] = exit.Stderr
	}
	return outcome{v, err}
}

func combinedScenario(ctx context.Context, m *model, o options) outcome {
	out, err := shell(m, o).CombinedOutput(ctx)
	return outcome{views{"both": string(out)}, err}
}

// slowWriter takes its time for each write.
type slowWriter struct {
	bytes.Buffer
	pause time.Duration
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.pause > 0 {
		<-time.After(w.pause)
	}
	return w.Buffer.Write(p)
}

// watched has the output of a command go to writers.
type watched struct{ stdout, stderr slowWriter }

func (w *watched) of(o options, c *sandboxclient.Cmd) *sandboxclient.Cmd {
	w.stdout.pause, w.stderr.pause = o.slow, o.slow
	c.Stdout, c.Stderr = &w.stdout, &w.stderr
	return c
}

func (w *watched) outcome(err error) outcome {
	return outcome{views{"stdout": w.stdout.String(), "stderr": w.stderr.String()}, err}
}

func writersScenario(ctx context.Context, m *model, o options) outcome {
	var w watched
	p, err := w.of(o, shell(m, o)).Start(ctx)
	if err == nil {
		err = p.Wait()
	}
	return w.outcome(err)
}

func streamScenario(ctx context.Context, m *model, o options) outcome {
	var out [3]strings.Builder
	var last error
	for chunk, err := range shell(m, o).Stream(ctx) {
		if last = err; err != nil {
			continue
		}
		if o.slow > 0 {
			<-time.After(o.slow)
		}
		out[chunk.Stream-1].Write(chunk.Data)
		out[2].Write(chunk.Data)
	}
	return outcome{views{"stdout": out[0].String(), "stderr": out[1].String(), "both": out[2].String()}, last}
}

// plain hides what a reader can do beside reading.
type plain struct{ io.Reader }

func stdinScenario(ctx context.Context, m *model, o options) outcome {
	var w watched
	c := w.of(o, shell(m, o))
	c.Stdin = plain{strings.NewReader(sentInput)}
	return w.outcome(c.Run(ctx))
}

func writeScenario(ctx context.Context, m *model, o options) outcome {
	var w watched
	c := w.of(o, shell(m, o))
	c.OpenStdin = true
	p, err := c.Start(ctx)
	if err != nil {
		return w.outcome(err)
	}
	var failure error
	for rest := sentInput; rest != "" && failure == nil; {
		n := min(7001, len(rest)) // characters are spread over writes
		_, failure = io.WriteString(p, rest[:n])
		rest = rest[n:]
	}
	if failure == nil {
		failure = p.CloseWrite()
	}
	if failure != nil {
		_ = p.Kill(ctx)
	}
	return w.outcome(errors.Join(failure, p.Wait()))
}

func attachScenario(ctx context.Context, m *model, o options) outcome {
	m.run(attached, frame{"close_stdin": true})
	var w watched
	w.stdout.pause, w.stderr.pause = o.slow, o.slow
	p, err := m.box().Attach(ctx, attached, &sandboxclient.AttachOptions{From: attachFrom, Stdout: &w.stdout, Stderr: &w.stderr})
	if err == nil {
		err = p.Wait()
	}
	return w.outcome(err)
}

func ttyScenario(ctx context.Context, m *model, o options) outcome {
	var w watched
	c := w.of(o, shell(m, o))
	c.OpenStdin = true
	c.TTY = &sandboxclient.WindowSize{Rows: 40, Cols: 120}
	p, err := c.Start(ctx)
	if err != nil {
		return w.outcome(err)
	}
	_, _ = io.WriteString(p, "exit\r")
	return w.outcome(p.Wait())
}

// piece is a piece of output that a command writes.
type piece struct {
	stream  int
	text    string
	invalid bool // U+FFFD stands for one byte
}

// ordinary is output with characters of all lengths, at the edges too.
func ordinary() []piece {
	var all []piece
	for i, text := range []string{
		"one", "é", "漢", "\U0001F600", "a longer line\n", "ééé漢字\U0001F600", "\x00\x1b[0m\\\"/\u2028", "end\n",
	} {
		all = append(all, piece{0, text, false}, piece{i % 2, text + "!", false}, piece{1, "\U0001F600" + text, false})
	}
	return all
}

// attachFrom is behind the first two pieces of ordinary output.
var attachFrom = sandboxclient.Position{Stdout: 7, Stderr: 4}

// program writes pieces, then what comes in, and ends with code 7.
func program(pieces []piece) func(*command) {
	return func(c *command) {
		tty := c.hello["pty"] == true
		for _, p := range pieces {
			if tty {
				p.stream = 0
			}
			c.write(p.stream, p.text, p.invalid)
			if !c.sleep(20 * time.Millisecond) {
				return
			}
		}
		for text, more := c.read(); more; text, more = c.read() {
			c.write(0, text, false)
			if tty && strings.HasSuffix(text, "\r") {
				break
			}
		}
		c.finish(exit(7))
	}
}

// written are the views of all that the command wrote from there on.
func (m *model) written(from sandboxclient.Position) views {
	c := m.only()
	if c == nil {
		return views{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [3]strings.Builder
	for _, e := range c.events {
		e = e.since([2]int64{from.Stdout, from.Stderr}[e.stream])
		out[e.stream].WriteString(e.text)
		out[2].WriteString(e.text)
	}
	all := views{"stdout": out[0].String(), "stderr": out[1].String(), "both": out[2].String()}
	all["tail"] = all["stderr"][max(0, len(all["stderr"])-32<<10):]
	return all
}

// intact checks that nothing is missing, and nothing came twice.
func intact(t *testing.T, m *model, s scenario, o outcome) {
	t.Helper()
	if exit, ok := errors.AsType[*sandboxclient.ExitError](o.err); !ok || exit.Code != 7 {
		t.Errorf("error %v, want exit code 7", o.err)
	}
	want := m.written(s.from)
	for name, got := range o.views {
		if got != want[name] {
			t.Errorf("%s is %s", name, difference(got, want[name]))
		}
	}
	c := m.only()
	if c == nil {
		t.Fatal("no command was run")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.input && string(c.input) != sentInput {
		t.Errorf("the input is %s", difference(string(c.input), sentInput))
	}
	if s.tty && (string(c.input) != "exit\r" || c.size["rows"] != 40.0 || c.size["cols"] != 120.0) {
		t.Errorf("the terminal had the input %q and the size %v", c.input, c.size)
	}
}

func difference(got, want string) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	return excerpt(got, n) + ", want " + excerpt(want, n)
}
