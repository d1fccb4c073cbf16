package wire_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// reference decodes as encoding/json does.
func reference(message []byte) (kind, data string, offset *int64, err error) {
	var m struct {
		Type   string `json:"type"`
		Data   string `json:"data"`
		Offset *int64 `json:"offset"`
	}
	err = json.Unmarshal(message, &m)
	return m.Type, m.Data, m.Offset, err
}

// agrees fails unless Decode says of a message what encoding/json does.
func agrees(t *testing.T, message []byte) {
	t.Helper()
	kind, data, offset, refused := reference(message)
	original := string(message)
	f, err := wire.Decode(message)
	if _, mismatch := errors.AsType[*json.UnmarshalTypeError](refused); mismatch {
		return // of a member that may mean something else in an unknown frame
	}
	if (err != nil) != (refused != nil) {
		t.Fatalf("Decode(%q) = %v, encoding/json says %v", original, err, refused)
	}
	if err != nil {
		if !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("error %v is not ErrMalformed", err)
		}
		return
	}
	if string(f.Type) != kind || string(f.Data) != data {
		t.Fatalf("Decode(%q) = %s %q, want %s %q", original, f.Type, f.Data, kind, data)
	}
	if f.HasOffset != (offset != nil) || f.HasOffset && f.Offset != *offset {
		t.Fatalf("Decode(%q): offset %d %v", original, f.Offset, f.HasOffset)
	}
	if !utf8.Valid(f.Data) {
		t.Fatalf("Decode(%q): data is not UTF-8", original)
	}
}

var seeds = []string{
	`{"type":"stdout","data":"hello\n","offset":0}`,
	`{"type":"stderr","data":"","offset":12}`,
	`{"type":"input","data":"ls\n"}`,
	`{"type":"stdout","data":"\u001b[31mred\u001b[0m \ud83d\ude00 \ud800 \udc00x \u00e9"}`,
	`{"type":"stdout","data":"\\\"\/\b\f\r\t","offset":7}`,
	`{"type":"stdout","data":"bad \x","offset":7}`,
	`{"type":"stdout","data":"bad \u12","offset":7}`,
	`{"type":"stdout","data":"bad \u12g4","offset":7}`,
	`{"type":"stdout","data":"ends\","offset":7}`,
	"{\"type\":\"stdout\",\"data\":\"raw\ncontrol\",\"offset\":7}",
	"{\"type\":\"stdout\",\"data\":\"\xe2\x82 \xff\\n\xf0\x9f\x98\x80\xc3\",\"offset\":7}",
	`{"type":"stdout","data":"x","offset":-1}`,
	`{"type":"stdout","data":"x","offset":01}`,
	`{"type":"stdout","data":"x","offset":1e3}`,
	`{"type":"stdout","data":"x","offset":9223372036854775807}`,
	`{"type":"stdout","data":"x","offset":9223372036854775808}`,
	`{"type":"stdout","data":"x","offset":1}{`,
	`{"type":"stdout","data":"x","offset":1,"offset":2}`,
	`{"type":"stdout","data":"x","offset":1,"more":true}`,
	`{"data":"x","offset":1,"type":"stdout"}`,
	` { "type" : "stdout", "data" : "x" }`,
	`{"TYPE":"stdout","Data":"x"}`,
	`{"type":"stdout","data":null,"offset":null}`,
	`{"type":"started","command_id":"c","pid":1}`,
	`{"type":"exit","exit_code":7}`,
	`{"type":"heartbeat","data":{"a":1}}`,
	`not json`, ``, `{}`, `[]`, `null`, `"x"`, `{"type":1}`,
	`{"type":"stdoutdata":"x"}`, `{"type":"stdoutx","data":"x"}`,
}

func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, s := range seeds {
		agrees(t, []byte(s))
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) { agrees(t, message) })
}

// FuzzData puts arbitrary bytes where the scanner has most to do.
func FuzzData(f *testing.F) {
	f.Add([]byte(`plain`), int64(0))
	f.Add([]byte(`\ud83d\ude00\n`), int64(1<<60))
	f.Fuzz(func(t *testing.T, data []byte, offset int64) {
		agrees(t, []byte(`{"type":"stdout","data":"`+string(data)+`","offset":`+strconv.FormatInt(offset, 10)+`}`))
		roundTrip(t, data, offset)
	})
}

func roundTrip(t *testing.T, data []byte, offset int64) {
	t.Helper()
	message := wire.AppendOutput(nil, gen.FrameStderr, data, offset)
	kind, text, at, err := reference(message)
	if err != nil || kind != "stderr" || text != replaced(data) || at == nil || *at != offset {
		t.Fatalf("AppendOutput(%q) = %s: %v", data, message, err)
	}
	f, err := wire.Decode(message)
	if err != nil || string(f.Data) != text || f.Offset != offset {
		t.Fatalf("Decode(%s) = %q %d %v", message, f.Data, f.Offset, err)
	}
}

// replaced is data as encoding/json would send it.
func replaced(data []byte) string {
	var s string
	b, err := json.Marshal(string(data))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		panic(err)
	}
	return s
}

func TestRandomDataSurvives(t *testing.T) {
	t.Parallel()
	alphabet := []string{
		"a", "word ", `"`, `\`, "\n", "\r\n", "\t", "\x00", "\x1b[31m", "é", "€", "😀", "\u2028", "<>&",
		"\xff", "\xe2\x82", "\x80", strings.Repeat("x", 40), `\u0041`, `\\"`, "\x7f", "\uFFFD",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range rnd.IntN(30) {
			b.WriteString(alphabet[rnd.IntN(len(alphabet))])
		}
		roundTrip(t, []byte(b.String()), rnd.Int64N(1<<59))
	}
}

func TestInputIsReadBack(t *testing.T) {
	t.Parallel()
	f, err := wire.Decode(wire.AppendInput(nil, []byte("print('hi')\n")))
	if err != nil || f.Type != gen.FrameInput || string(f.Data) != "print('hi')\n" || f.HasOffset {
		t.Fatalf("got %+v %v", f, err)
	}
}

func TestAsHasTheOtherMembers(t *testing.T) {
	t.Parallel()
	f, err := wire.Decode([]byte(`{"type":"started","command_id":"c","pid":42,"new":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	var started gen.StartedFrame
	if err := f.As(&started); err != nil || started.CommandID != "c" || started.Pid != 42 {
		t.Fatalf("got %+v %v", started, err)
	}
	var wrong struct {
		CommandID int `json:"command_id"`
	}
	if err := f.As(&wrong); !errors.Is(err, wire.ErrMalformed) {
		t.Fatalf("error %v is not ErrMalformed", err)
	}
	f, err = wire.Decode([]byte(`{"type":"stdout","data":"a\nb","offset":3}`))
	if err != nil {
		t.Fatal(err)
	}
	var output gen.OutputFrame
	if err := f.As(&output); err != nil || output.Data != "a\nb" || output.Offset != 3 {
		t.Fatalf("got %+v %v", output, err)
	}
}

func TestUnknownFramesAreNoErrors(t *testing.T) {
	t.Parallel()
	for _, s := range []string{`{"type":"heartbeat"}`, `{"type":"heartbeat","data":[1],"offset":"x"}`, `{}`} {
		f, err := wire.Decode([]byte(s))
		if err != nil || f.Known() {
			t.Errorf("Decode(%s) = %+v, %v", s, f, err)
		}
	}
}

//nolint:paralleltest // counts what the whole program allocates
func TestScannerAllocatesNothing(t *testing.T) {
	text := []byte(strings.Repeat("some output, \x1b[31mred\x1b[0m, \"quoted\" and é\n", 100))
	message := wire.AppendOutput(nil, gen.FrameStdout, text, 123456)
	kept := make([]byte, len(message))
	if n := testing.AllocsPerRun(100, func() {
		copy(kept, message)
		if _, err := wire.Decode(kept); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame of output, want none", n)
	}
	dst := make([]byte, 0, 2*len(message))
	if n := testing.AllocsPerRun(100, func() { dst = wire.AppendOutput(dst[:0], gen.FrameStdout, text, 1) }); n != 0 {
		t.Errorf("%v allocations to encode a frame, want none", n)
	}
}
