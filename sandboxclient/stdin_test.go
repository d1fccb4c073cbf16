package sandboxclient

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestInputInPieces: text that comes in pieces leaves in frames, each of them
// whole characters, and none larger than a frame may be.
func TestInputInPieces(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("plain é € 😀 ", 9000)
	random := rand.New(rand.NewPCG(1, 1))
	var in stdin
	var got bytes.Buffer
	for rest := []byte(text); len(rest) > 0; {
		piece := rest[:min(1+random.IntN(50000), len(rest))]
		for len(piece) > 0 {
			n, err := in.text(piece)
			if err != nil || n == 0 {
				t.Fatalf("%d, %v", n, err)
			}
			piece, rest = piece[n:], rest[n:]
			for in.sent < in.end() {
				frame := in.next()
				if len(frame) == 0 || len(frame) > inputFrame || !utf8.Valid(frame) {
					t.Fatalf("a frame of %d bytes", len(frame))
				}
				got.Write(frame)
				in.sent += int64(len(frame))
			}
			in.arrived(in.sent)
		}
	}
	if got.String() != text || len(in.partial) > 0 {
		t.Errorf("%d bytes, want %d", got.Len(), len(text))
	}
}

func FuzzInputText(f *testing.F) {
	f.Add([]byte("a\xc3\xa9b"), 2)
	f.Add([]byte("\xff"), 0)
	f.Add([]byte("\xf0\x9f\x98"), 1)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		if at < 0 || at > len(data) || len(data) > inputFrame {
			return
		}
		var in stdin
		var err error
		for _, piece := range [][]byte{data[:at], data[at:]} {
			for len(piece) > 0 && err == nil {
				var n int
				n, err = in.text(piece)
				piece = piece[n:]
			}
		}
		whole := utf8.Valid(data)
		switch {
		case err != nil && (whole || !errors.Is(err, ErrInvalid)):
			t.Fatalf("%q: %v", data, err)
		case err == nil && whole && (!bytes.Equal(in.buf, data) || len(in.partial) > 0):
			t.Fatalf("%q became %q and %q", data, in.buf, in.partial)
		case err == nil && !whole && len(in.partial) == 0:
			t.Fatalf("%q passes for text", data)
		}
	})
}

// TestInputGoesOn: what a new connection sends, by what the server says of the
// one before.
func TestInputGoesOn(t *testing.T) {
	t.Parallel()
	number := func(n int64) *int64 { return &n }
	tests := map[string]struct {
		terminal bool
		sent     int // of eight bytes, four of which have arrived
		id       string
		started  *gen.StartedFrame
		next     string // what is sent next
		lost     bool
	}{
		"nothing was on its way":              {sent: 4, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(4)}, next: "5678"},
		"nothing was on its way, no count":    {sent: 4, started: &gen.StartedFrame{}, next: "5678"},
		"nothing was on its way, no answer":   {sent: 4, next: "5678"},
		"a part arrived":                      {sent: 8, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(6)}, next: "78"},
		"all arrived":                         {sent: 8, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(8)}},
		"nothing arrived":                     {sent: 8, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(4)}, next: "5678"},
		"a server that does not count":        {sent: 8, started: &gen.StartedFrame{}, lost: true},
		"a server that counts for all":        {sent: 8, started: &gen.StartedFrame{StdinReceived: number(6)}, lost: true},
		"a server that says nothing":          {sent: 8, lost: true},
		"a server that forgot":                {sent: 8, id: "1", started: &gen.StartedFrame{StdinID: "2", StdinReceived: number(0)}, lost: true},
		"more than was sent":                  {sent: 6, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(7)}, lost: true},
		"keys, which are not pressed again":   {terminal: true, sent: 6, next: "78"},
		"keys, with a server that counts":     {terminal: true, sent: 6, id: "1", started: &gen.StartedFrame{StdinID: "1", StdinReceived: number(5)}, next: "678"},
		"keys, with a server that forgot all": {terminal: true, sent: 6, id: "1", started: &gen.StartedFrame{StdinID: "9", StdinReceived: number(0)}, next: "78"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := stdin{open: true, terminal: tt.terminal, id: tt.id, buf: []byte("12345678")}
			in.sent = 8
			in.arrived(4)
			in.sent = int64(tt.sent)
			in.attach(tt.started)
			if lost := in.err != nil; lost != tt.lost || lost && !errors.Is(in.err, ErrOutcomeUnknown) {
				t.Fatalf("error %v", in.err)
			}
			if got := string(in.buf[in.sent-in.base:]); got != tt.next && !tt.lost {
				t.Errorf("%q is sent next, want %q", got, tt.next)
			}
		})
	}
}

// TestInputCountsFromTheAttachment: a server counts from where this client
// came in, which need not be where its input began.
func TestInputCountsFromTheAttachment(t *testing.T) {
	t.Parallel()
	in := stdin{buf: []byte("12345678")}
	in.sent = 4
	in.arrived(4) // a first server, which did not count
	zero, two := int64(0), int64(2)
	in.attach(&gen.StartedFrame{StdinID: "1", StdinReceived: &zero})
	in.sent = 8
	in.attach(&gen.StartedFrame{StdinID: "1", StdinReceived: &two})
	if in.err != nil || in.base != 6 || string(in.next()) != "78" {
		t.Errorf("%v, %q at %d", in.err, in.next(), in.base)
	}
}
