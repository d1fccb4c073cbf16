package sandboxclient

import (
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/gen"
)

// stdin is the input of a command: what is not known to have arrived, and what
// waits to be sent. Process.mu guards it.
//
// The protocol acknowledges no input. An answer to a ping that was sent behind
// some says that the server has read it; and a server that counts what it
// received says so on a new connection, which then goes on from there. Without
// that, what was on its way when a connection was lost may or may not have
// arrived: neither to repeat nor to leave it out would be right.
type stdin struct {
	open     bool // Write may be used
	terminal bool
	buf      []byte
	partial  []byte // the beginning of a character
	base     int64  // offset of buf; all before has arrived
	sent     int64  // offset of what is sent next
	id       string // the server's name for this input
	origin   int64  // offset at which the server began to count
	eof      bool   // asked for
	eofSent  bool   // on the present connection
	err      error  // input cannot go on
}

const (
	// inputWindow is how much input may be on its way.
	inputWindow = 256 << 10
	// inputFrame is how much goes into one frame.
	inputFrame = 32 << 10
)

var (
	errStdinClosed = &inputError{"standard input is closed", io.ErrClosedPipe}
	errEnded       = &inputError{"the command has ended", os.ErrProcessDone}
	errGivenUp     = &inputError{"the command was given up, and input on its way may or may not have arrived", ErrOutcomeUnknown}
	errInputLost   = fmt.Errorf("the connection was lost with input on its way, which may or may not have arrived: %w", ErrOutcomeUnknown)
)

// inputError is why input is not taken.
type inputError struct {
	text string
	kind error
}

func (e *inputError) Error() string { return e.text }

func (e *inputError) Is(target error) bool { return target == e.kind }

func (in *stdin) end() int64 { return in.base + int64(len(in.buf)) }

// room is how much more can be taken now.
func (in *stdin) room() int { return inputWindow - len(in.buf) }

// text takes the complete characters of p, and what was left of the last
// call, and returns how much of p it took: at least one byte, unless there is
// no room. What is not UTF-8 is an error, since it cannot be sent.
func (in *stdin) text(p []byte) (int, error) {
	if len(in.partial) > 0 {
		n := 0
		char := append([]byte(nil), in.partial...)
		for n < len(p) && !utf8.FullRune(char) {
			char = append(char, p[n])
			n++
		}
		if !utf8.FullRune(char) {
			in.partial = char
			return n, nil
		}
		in.partial = nil
		if !utf8.Valid(char) {
			return 0, notText("standard input")
		}
		in.buf = append(in.buf, char...)
		return n, nil
	}
	p = p[:min(len(p), max(in.room(), utf8.UTFMax))]
	whole := len(p) - incomplete(p)
	if !utf8.Valid(p[:whole]) {
		return 0, notText("standard input")
	}
	in.buf = append(in.buf, p[:whole]...)
	in.partial = append(in.partial, p[whole:]...)
	return len(p), nil
}

func notText(argument string) error {
	return &ArgumentError{Op: "write to command", Argument: argument, Reason: "is not UTF-8, which is all that can be sent"}
}

// incomplete is how many bytes at the end of p begin a character that goes on
// beyond it.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// next is what to send next, at most a frame of it.
func (in *stdin) next() []byte {
	rest := in.buf[in.sent-in.base:]
	if len(rest) > inputFrame {
		rest = rest[:inputFrame]
		rest = rest[:len(rest)-incomplete(rest)]
	}
	return rest
}

// arrived forgets what has arrived.
func (in *stdin) arrived(offset int64) {
	if offset <= in.base || offset > in.end() {
		return
	}
	in.buf = in.buf[:copy(in.buf, in.buf[offset-in.base:])]
	in.base = offset
	in.sent = max(in.sent, offset)
}

// attach goes on with a connection, of whose server s may tell what arrived on
// those before.
func (in *stdin) attach(s *gen.StartedFrame) {
	in.eofSent = false
	resumed := in.id != ""
	in.id = ""
	var received *int64
	if s != nil {
		in.id, received = s.StdinID, s.StdinReceived
	}
	switch {
	case !in.terminal && resumed && received != nil && *received < in.base-in.origin:
		in.err = errInputLost // an answer to a ping came from somebody on the way
	case in.sent == in.base:
	case resumed && received != nil && *received >= in.base-in.origin && *received <= in.sent-in.origin:
		in.arrived(*received + in.origin)
		in.sent = in.base
	case in.terminal:
		// Keys are not pressed twice: who types sees what arrived.
		in.arrived(in.sent)
	default:
		in.err = errInputLost
	}
	if received != nil {
		in.origin = in.base - *received
	}
}
