package sandboxclient_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// point is a place in the life of a connection where a fault can strike.
type point int

const (
	heard        point = iota // the first frame was read, nothing is done yet
	executed                  // the command runs, and is not acknowledged
	acknowledged              // the command is acknowledged
	inputRead                 // input was read, and is lost with the connection
	inputTaken                // input was given to the command
	chunkSent                 // a piece of output was sent
	ending                    // all output was sent, and the end was not
)

// model is a sandbox that knows its commands by their ids, keeps their output
// and counts what it runs.
type model struct {
	*peer
	program func(*command)
	strike  func(c *conn, at point) bool // false breaks the service of that connection off
	rewrite func(c *conn, message string) []string
	silent  bool // reconnects are not acknowledged
	mute    bool // nobody is told of an end
	counts  bool // input is counted, for those who come back
	rewinds bool // output always begins anew
	strikes atomic.Int64
	struck  []point // where a fault is to strike
	slices  int     // output that comes again is cut in so many pieces

	mu       sync.Mutex
	changed  sync.Cond
	commands map[string]*command
	ran      []*command
}

func newModel(t *testing.T, program func(*command)) *model {
	t.Helper()
	m := &model{
		program: program, commands: map[string]*command{}, counts: true,
		strike: func(*conn, point) bool { return true },
	}
	m.changed.L = &m.mu
	m.peer = newPeer(t, m.attend)
	context.AfterFunc(m.life, func() { m.set(func() {}) })
	return m
}

// event is a piece of output: raw bytes, of which text is the UTF-8.
type event struct {
	stream  int
	at, raw int64
	text    string
}

// command is one command of a model.
type command struct {
	model *model
	id    string
	hello frame

	// The model's lock is for all of these.
	events  []event
	written [2]int64
	kept    [2]int64 // all before is forgotten
	input   []byte
	taken   int // of the input
	eof     bool
	eofs    int
	kills   int
	size    frame
	end     string // the last frame
	holds   map[string]*hold
}

// hold is one client's hold on standard input.
type hold struct {
	by       *conn
	received int
}

func (m *model) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.changed.Broadcast()
}

// run starts a command, or finds it.
func (m *model) run(id string, hello frame) *command {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.commands[id]; c != nil {
		return c
	}
	c := &command{model: m, id: id, hello: hello, holds: map[string]*hold{}, eof: hello["close_stdin"] == true}
	m.commands[id] = c
	m.ran = append(m.ran, c)
	m.tasks.Go(func() { m.program(c) })
	return c
}

// forget loses all commands, as a server does that starts again.
func (m *model) forget() {
	m.set(func() { m.commands = map[string]*command{} })
}

// only is the one command that was run, nil if none was.
func (m *model) only() *command {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ran) == 0 {
		return nil
	}
	return m.ran[0]
}

// write adds output; invalid says that each U+FFFD stands for one byte.
func (c *command) write(stream int, text string, invalid bool) {
	raw := int64(len(text))
	if invalid {
		raw -= int64(2 * strings.Count(text, "\uFFFD"))
	}
	c.model.set(func() {
		if c.end != "" {
			return
		}
		c.events = append(c.events, event{stream, c.written[stream], raw, text})
		c.written[stream] += raw
	})
}

// read waits for input, and reports false at its end.
func (c *command) read() (string, bool) {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	for c.taken == len(c.input) && !c.eof && c.end == "" && m.life.Err() == nil {
		m.changed.Wait()
	}
	text := string(c.input[c.taken:])
	c.taken = len(c.input)
	return text, text != ""
}

// sleep reports false if the command was killed.
func (c *command) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-c.model.life.Done():
	}
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	return c.end == ""
}

// finish ends the command with a last frame.
func (c *command) finish(last string) {
	c.model.set(func() {
		if c.end == "" {
			c.end = last
		}
	})
}

// attend serves one connection.
func (m *model) attend(c *conn) {
	hello := c.recv()
	if hello == nil || !m.strike(c, heard) {
		return
	}
	id, _ := hello["command_id"].(string)
	var cmd *command
	if hello["type"] == "execute" {
		cmd = m.run(id, hello)
	} else {
		m.mu.Lock()
		cmd = m.commands[id]
		m.mu.Unlock()
	}
	if cmd == nil {
		c.send(`{"type":"error","error":"not found","error_type":"CommandNotFound"}`)
		c.closing(websocket.StatusNormalClosure)
		c.drain()
		return
	}
	if !m.strike(c, executed) {
		return
	}
	in, ack := cmd.take(c, hello)
	if hello["type"] == "execute" || !m.silent {
		if !m.send(c, ack) {
			return
		}
	}
	if !m.strike(c, acknowledged) {
		return
	}
	from := [2]int64{}
	if hello["type"] == "reconnect" && !m.rewinds {
		from = [2]int64{offsetOf(hello, "stdout_offset"), offsetOf(hello, "stderr_offset")}
	}
	m.tasks.Go(func() { m.listen(c, cmd, in) })
	if m.stream(c, cmd, from) {
		c.closing(websocket.StatusNormalClosure)
		m.wait(func() bool { return c.left() })
	}
}

func offsetOf(f frame, name string) int64 {
	n, _ := f[name].(float64)
	return int64(n)
}

// take gives a connection its hold on standard input, and the frame that says
// so.
func (c *command) take(by *conn, hello frame) (*hold, string) {
	ack := frame{"type": "started", "command_id": c.id, "pid": 42}
	var h *hold
	c.model.set(func() {
		id, _ := hello["stdin_id"].(string)
		if h = c.holds[id]; h == nil {
			id = "in-" + strconv.Itoa(len(c.holds))
			h = &hold{}
			c.holds[id] = h
		}
		h.by = by
		if c.model.counts {
			ack["stdin_id"], ack["stdin_received"] = id, h.received
		}
	})
	return h, marshal(ack)
}

// send sends a message as the fault has it.
func (m *model) send(c *conn, message string) bool {
	if m.rewrite == nil {
		return c.send(message)
	}
	return c.send(m.rewrite(c, message)...)
}

// listen takes what the client says.
func (m *model) listen(c *conn, cmd *command, in *hold) {
	defer m.set(func() {
		if in.by == c {
			in.by = nil
		}
	})
	for f := c.recv(); f != nil; f = c.recv() {
		if f["type"] == "input" && !m.strike(c, inputRead) {
			return
		}
		m.set(func() { cmd.obey(c, f, in) })
		if f["type"] == "input" && !m.strike(c, inputTaken) {
			return
		}
	}
}

func (c *command) obey(by *conn, f frame, in *hold) {
	switch f["type"] {
	case "input":
		data, _ := f["data"].(string)
		if in.by == by && !c.eof && c.end == "" {
			c.input = append(c.input, data...)
			in.received += len(data)
		}
	case "close_stdin":
		c.eofs++
		c.eof = c.eof || in.by == by
	case "resize":
		c.size = f
	case "kill":
		c.kills++
		if c.end == "" {
			c.end = exit(137)
		}
	}
}

// wait waits until something is so.
func (m *model) wait(so func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !so() && m.life.Err() == nil {
		m.changed.Wait()
	}
}

// stream sends the output from there on, and the end. It reports whether it
// came so far.
func (m *model) stream(c *conn, cmd *command, from [2]int64) bool {
	replay := c.n > 0
	for i := 0; ; i++ {
		var e event
		var over bool
		m.wait(func() bool {
			for i < len(cmd.events) && !cmd.events[i].wanted(from, cmd.kept) {
				i++
			}
			if over = i == len(cmd.events); !over {
				e = cmd.events[i]
			}
			return !over || cmd.end != "" || c.left()
		})
		if m.life.Err() != nil || c.left() {
			return false
		}
		if over {
			break
		}
		for _, e := range e.since(from[e.stream]).sliced(replay, m.slices) {
			if !m.send(c, e.message()) {
				return false
			}
		}
		if !m.strike(c, chunkSent) {
			return false
		}
	}
	if !m.strike(c, ending) {
		return false
	}
	if m.mute {
		m.wait(func() bool { return c.left() })
		return false
	}
	return m.send(c, cmd.end)
}

func (e event) wanted(from, kept [2]int64) bool {
	return e.at >= kept[e.stream] && e.at+e.raw > from[e.stream]
}

func (e event) message() string {
	kind := gen.FrameStdout
	if e.stream == 1 {
		kind = gen.FrameStderr
	}
	return string(wire.AppendOutput(nil, kind, []byte(e.text), e.at))
}

// since is the part of the event from an offset on.
func (e event) since(offset int64) event {
	replaced := e.raw < int64(len(e.text))
	for e.at < offset && e.text != "" {
		char, size := utf8.DecodeRuneInString(e.text)
		raw := int64(size)
		if char == utf8.RuneError && replaced {
			raw = 1
		}
		e.text, e.at, e.raw = e.text[size:], e.at+raw, e.raw-raw
	}
	return e
}

// sliced is the event in n pieces, if it is sent again.
func (e event) sliced(again bool, n int) []event {
	if !again || n == 0 {
		return []event{e}
	}
	var all []event
	runes := []rune(e.text)
	for size := (len(runes) + n - 1) / n; len(runes) > 0; {
		first := runes[:min(size, len(runes))]
		runes = runes[len(first):]
		piece := event{e.stream, e.at, int64(len(string(first))), string(first)}
		if e.raw < int64(len(e.text)) {
			piece.raw -= int64(2 * strings.Count(piece.text, "\uFFFD"))
		}
		all = append(all, piece)
		e.at += piece.raw
	}
	return all
}

// left reports whether the client is gone.
func (c *conn) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended != nil
}
