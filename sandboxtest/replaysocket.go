package sandboxtest

import (
	"crypto/sha1" //nolint:gosec // the handshake is defined by it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// replayedSocket is the server's end of a WebSocket that follows a tape. The
// lock of the player guards it.
type replayedSocket struct {
	p       *player
	x       *exchange
	changed *sync.Cond
	from    frameReader
	at      int    // in the script
	started bool   // a data frame came or went, and the exchange is certain
	out     []byte // for the client to read
	closing bool   // either side has sent a close frame
	ended   bool   // nothing follows what is in out
	shut    bool   // by the client
	pending string // bytes of a tunnel that are not yet compared
}

// newReplayedSocket begins the script of an exchange. The caller holds the lock
// of the player.
func newReplayedSocket(p *player, x *exchange) *replayedSocket {
	s := &replayedSocket{p: p, x: x, changed: sync.NewCond(&p.mu), from: frameReader{masked: true}}
	x.socket = s
	s.serve()
	return s
}

// answer completes the handshake.
func (s *replayedSocket) answer(req *http.Request, a *tapedAnswer) *http.Response {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	a.Header.Set("Connection", "Upgrade")
	a.Header.Set("Upgrade", "websocket")
	a.Header.Set("Sec-Websocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	return respond(req, a.Status, a.Header, s, -1)
}

// serve sends what the server says until it is the client's turn.
func (s *replayedSocket) serve() {
	for ; s.at < len(s.x.script) && s.x.script[s.at].Client == nil && !s.ended; s.at++ {
		switch e := s.x.script[s.at]; {
		case e.Cut:
			s.ended = true
		default:
			f := e.Server
			s.started = true
			s.send(rawFrame{f.Kind, !f.More, s.p.names.fill(f.String())})
			s.closing = s.closing || f.Kind == opClose
		}
	}
	s.changed.Broadcast()
}

func (s *replayedSocket) send(f rawFrame) { s.out = append(s.out, f.encode()...) }

func (s *replayedSocket) Read(p []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	for len(s.out) == 0 && !s.ended && !s.shut {
		s.changed.Wait()
	}
	switch {
	case s.shut:
		return 0, io.ErrClosedPipe
	case len(s.out) == 0:
		return 0, io.EOF
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *replayedSocket) Write(p []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.shut || s.ended {
		return 0, io.ErrClosedPipe
	}
	frames, err := s.from.feed(p)
	for _, f := range frames {
		s.receive(f)
	}
	if err != nil {
		s.p.mismatch("exchange %d: the client sends %v", s.x.n, err)
		s.ended = true
		s.changed.Broadcast()
		return 0, err
	}
	return len(p), nil
}

// Close is the client's.
func (s *replayedSocket) Close() error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.shut = true
	s.changed.Broadcast()
	return nil
}

func (s *replayedSocket) receive(f rawFrame) {
	switch f.op {
	case opPing:
		s.send(rawFrame{opPong, true, f.payload})
		s.changed.Broadcast()
	case opPong:
	case opClose:
		s.close(f)
	default:
		s.data(f)
	}
}

// close ends the connection as a server does that has nothing to add. How a
// client leaves is a matter of time, and not compared.
func (s *replayedSocket) close(f rawFrame) {
	s.skipClose()
	s.serve()
	if !s.closing {
		s.closing = true
		s.send(rawFrame{opClose, true, f.payload})
	}
	s.ended = true
	s.changed.Broadcast()
}

// skipClose passes over a client's close frame.
func (s *replayedSocket) skipClose() {
	if script := s.x.script; s.at < len(script) && script[s.at].Client != nil && script[s.at].Client.Kind == opClose {
		s.at++
	}
}

// data compares a frame to the tape.
func (s *replayedSocket) data(f rawFrame) {
	sent := tapedFrame{Kind: f.op, More: !f.final, content: contentOf(f.payload)}
	sent.content = contentOf(s.p.scrub.clientFrame(sent))
	if s.p.problem != "" || s.p.over {
		s.refuse()
		return
	}
	if f.op == opBinary {
		s.pending += sent.String()
		s.stream()
		return
	}
	chosen := s.matches(s.x, sent)
	if chosen == nil && !s.started {
		chosen = s.swap(func(x *exchange) names { return s.matches(x, sent) })
	}
	if chosen == nil {
		s.unexpected(sent)
		return
	}
	s.took(chosen)
}

// took goes on behind a frame of the client.
func (s *replayedSocket) took(chosen names) {
	s.p.names, s.started = chosen, true
	s.at++
	s.serve()
}

func (s *replayedSocket) unexpected(sent tapedFrame) {
	s.p.mismatch("%s", s.difference(sent))
	s.refuse()
}

// stream compares what came in binary frames: those of tunnels are cut where it
// suits, so that only the bytes count.
func (s *replayedSocket) stream() {
	begins := func(x *exchange) names {
		if next := s.next(x); next != nil && next.Kind == opBinary && strings.HasPrefix(s.pending, next.String()) {
			return s.p.names
		}
		return nil
	}
	for s.pending != "" && !s.ended {
		next := s.next(s.x)
		if next != nil && next.Kind == opBinary && strings.HasPrefix(next.String(), s.pending) && next.String() != s.pending {
			return // more is to come
		}
		chosen := begins(s.x)
		if chosen == nil && !s.started {
			chosen = s.swap(begins)
		}
		switch {
		case chosen != nil:
			s.pending = s.pending[len(s.next(s.x).String()):]
			s.took(chosen)
		case farewell(s.pending):
			s.pending = ""
		default:
			s.unexpected(tapedFrame{Kind: opBinary, content: contentOf(s.pending)})
		}
	}
}

// farewell reports whether all frames in bytes of a tunnel do no more than end
// a stream or the tunnel. Whether they are still sent when a client leaves is a
// matter of time.
func farewell(p string) bool {
	const size, end, reset, goAway = 12, 4, 8, 3
	for ; len(p) >= size; p = p[size:] {
		if p[0] != 0 || p[1] != goAway && p[3]&(end|reset) == 0 || p[1] == 0 && p[8:size] != "\x00\x00\x00\x00" {
			return false
		}
	}
	return p == ""
}

// next is what an exchange has the client send next, nil for nothing.
func (s *replayedSocket) next(x *exchange) *tapedFrame {
	if s.at >= len(x.script) {
		return nil
	}
	return x.script[s.at].Client
}

// matches returns the client's names if a frame is the next of an exchange.
func (s *replayedSocket) matches(x *exchange, sent tapedFrame) names {
	want := s.next(x)
	if want == nil {
		return nil
	}
	chosen := s.p.names.clone()
	if want.Kind != sent.Kind || want.More != sent.More || !chosen.match(want.String(), sent.String(), false) {
		return nil
	}
	return chosen
}

// swap takes another exchange that began with the same request, if the first
// frame says that it is that one.
func (s *replayedSocket) swap(fits func(*exchange) names) names {
	mine := s.x
	for _, x := range s.p.exchanges {
		if x == mine || x.answer.Status != http.StatusSwitchingProtocols || !same(x.request, mine.request) ||
			x.begin > mine.end || mine.begin > x.end || x.socket != nil && x.socket.started || x.used != (x.socket != nil) {
			continue
		}
		chosen := fits(x)
		if chosen == nil {
			continue
		}
		if other := x.socket; other != nil {
			other.x, mine.socket = mine, other
		} else {
			mine.socket, mine.used = nil, false
			s.p.changed.Broadcast()
		}
		s.x, x.socket, x.used = x, s, true
		return chosen
	}
	return nil
}

// refuse closes a connection with "policy violation".
func (s *replayedSocket) refuse() {
	if !s.closing {
		s.closing = true
		s.send(rawFrame{opClose, true, string(binary.BigEndian.AppendUint16(nil, 1008)) + "not on the tape"})
	}
	s.ended = true
	s.changed.Broadcast()
}

func (s *replayedSocket) difference(sent tapedFrame) string {
	where := fmt.Sprintf("exchange %d, %s", s.x.n, s.x.request.URL)
	more := slices.ContainsFunc(s.x.script[s.at:], func(e entry) bool { return e.Client != nil && e.Client.Kind != opClose })
	if !more {
		return where + ": a message comes after the last of the tape:\n\t" + fmt.Sprint(contentLines(sent.content))
	}
	want := s.x.script[s.at].Client
	taped := content{}
	if want != nil {
		taped = contentOf(s.p.names.fill(want.String()))
	} else {
		want = &tapedFrame{}
	}
	line := func(f tapedFrame) string { return fmt.Sprintf("%s, more: %t", f.Kind, f.More) }
	return where + ": message is not on the tape (-tape +message):\n" + compare(
		append([]string{line(*want)}, contentLines(taped)...), append([]string{line(sent)}, contentLines(sent.content)...))
}

// left are the frames that were not replayed, but for those of a farewell.
func (s *replayedSocket) left() []string {
	var left []string
	for _, e := range s.x.script[s.at:] {
		for who, f := range map[string]*tapedFrame{"client": e.Client, "server": e.Server} {
			if f != nil && f.Kind != opClose && (f.Kind != opBinary || !farewell(f.String())) {
				left = append(left, fmt.Sprintf("exchange %d: %s frame of the %s: %.80q", s.x.n, f.Kind, who, f.String()))
			}
		}
	}
	return left
}
