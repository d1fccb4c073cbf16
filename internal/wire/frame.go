package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/langsandbox/sandbox-go/gen"
)

// ErrMalformed is a message that is no frame.
var ErrMalformed = errors.New("malformed frame")

var errString = errors.New("invalid character in string")

// Frame is a decoded frame: its kind, and what output and input consist of.
// [Frame.As] has the rest.
type Frame struct {
	Type gen.FrameType
	// Data is the text of the frame, valid UTF-8. It refers to the message
	// that was decoded.
	Data []byte
	// Offset is where the data belongs, if HasOffset.
	Offset    int64
	HasOffset bool

	message []byte // of frames that As can decode
}

// Decode decodes a message. It may change the message, which the frame refers
// to as long as it is used. A kind that nobody knows is no error; see
// [Frame.Known]. All errors are [ErrMalformed].
func Decode(message []byte) (Frame, error) {
	f, verdict := scan(message)
	switch verdict {
	case scanned:
		return f, nil
	case broken:
		return Frame{}, malformed(errString)
	default:
		return parse(message)
	}
}

// parse is Decode by encoding/json alone.
func parse(message []byte) (Frame, error) {
	var members struct {
		Type   gen.FrameType `json:"type"`
		Data   string        `json:"data"`
		Offset *int64        `json:"offset"`
	}
	if err := json.Unmarshal(message, &members); err != nil {
		var kind *json.UnmarshalTypeError
		if !errors.As(err, &kind) || kind.Field == "" || known(members.Type) {
			return Frame{}, malformed(err)
		}
		// A member that means something else in a frame nobody knows.
	}
	f := Frame{Type: members.Type, Data: []byte(members.Data), message: message}
	if members.Offset != nil {
		f.Offset, f.HasOffset = *members.Offset, true
	}
	return f, nil
}

func malformed(cause error) error { return fmt.Errorf("%w: %w", ErrMalformed, cause) }

// As decodes all members of the frame into one of gen's frame types. Frames
// of output and input are complete without it.
func (f *Frame) As(v any) error {
	message := f.message
	if message == nil {
		var err error
		if message, err = json.Marshal(f.members()); err != nil {
			return malformed(err)
		}
	}
	if err := json.Unmarshal(message, v); err != nil {
		return malformed(err)
	}
	return nil
}

func (f *Frame) members() map[string]any {
	m := map[string]any{"type": f.Type, "data": string(f.Data)}
	if f.HasOffset {
		m["offset"] = f.Offset
	}
	return m
}

// Known reports whether the frame is of a kind that this protocol defines.
func (f *Frame) Known() bool { return known(f.Type) }

func known(t gen.FrameType) bool {
	switch t {
	case gen.FrameExecute, gen.FrameReconnect, gen.FrameInput, gen.FrameCloseStdin, gen.FrameKill, gen.FrameResize,
		gen.FrameStarted, gen.FrameStdout, gen.FrameStderr, gen.FrameExit, gen.FrameError,
		gen.FrameAgentData, gen.FrameAgentClose:
		return true
	default:
		return false
	}
}
