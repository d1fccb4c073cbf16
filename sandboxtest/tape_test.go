package sandboxtest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const headLine = `{"tape":"langsandbox tape","version":1}` + "\n"

func TestTapesThatAreNone(t *testing.T) {
	t.Parallel()
	request := `{"n":1,"request":{"method":"GET","url":"http://h/"}}` + "\n"
	upgrade := request + `{"n":1,"answer":{"status":101}}` + "\n"
	for tape, want := range map[string]string{
		"":        "the tape is empty",
		"{}":      "line 1: no tape of this package",
		"nothing": "line 1: no tape of this package",
		`{"tape":"langsandbox tape","version":2}`:                                  "version 2, this package reads 1: record it anew",
		headLine + `{"n":1}`:                                                       "line 2: 0 things happen, not one",
		headLine + `{"n":1,"cut":true}`:                                            "line 2: exchange 1 has no request",
		headLine + `{"n":1,"more":true}`:                                           `line 2: json: unknown field "more"`,
		headLine + request + request:                                               "line 3: exchange 1 has two requests",
		headLine + request + request[:len(request)-2] + "} {}":                     "line 3: more than one value",
		headLine + request:                                                         "exchange 1 has no answer",
		headLine + request + `{"n":1,"answer":{}}`:                                 `line 3: an answer of status 0 and error ""`,
		headLine + request + `{"n":1,"answer":{"status":200,"end":"x"}}`:           `line 3: an answer does not end "x"`,
		headLine + upgrade + `{"n":1,"answer":{"status":200}}`:                     "line 4: exchange 1 has two answers",
		headLine + upgrade + `{"n":1,"client":{"kind":"ping"}}`:                    `line 4: there are no frames of kind "ping"`,
		headLine + upgrade + `{"n":1,"cut":true}` + "\n" + `{"n":1,"cut":true}`:    "line 5: exchange 1 has no open WebSocket",
		headLine + upgrade + `{"n":1,"cut":true,"client":{"kind":"text"}}`:         "line 4: 2 things happen",
		headLine + request + `{"n":1,"server":{"kind":"text","text":"too early"}}`: "line 3: exchange 1 has no open WebSocket",
	} {
		if _, err := parseTape([]byte(tape)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", tape, err, want)
		}
	}
}

// TestWriteTape: an older tape stays until the new one is whole.
func TestWriteTape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tape")
	entries := []entry{{N: 1, Request: &tapedRequest{Method: "GET", URL: "http://h/?a&b", content: contentOf("\xff<é>")}}, {N: 1, Answer: &tapedAnswer{Status: 204}}}
	if err := writeTape(path, entries); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(raw), `"url":"http://h/?a&b","base64":"/zzDqT4="}}`) {
		t.Errorf("%s %v", raw, err)
	}
	if err := writeTape(filepath.Join(path, "below-a-file"), entries); err == nil {
		t.Error("wrote below a file")
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeTape(filepath.Join(dir, "taken"), entries); err == nil {
		t.Error("wrote over a directory")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func FuzzTape(f *testing.F) {
	f.Add([]byte(headLine))
	f.Add([]byte(headLine + `{"n":1,"request":{"method":"GET","url":"http://h/","header":{"A":["b"]},"text":"x","partial":true}}` + "\n" +
		`{"n":1,"answer":{"status":101,"base64":"/w==","end":"cut"}}` + "\n" + `{"n":1,"client":{"kind":"text","more":true}}` + "\n" +
		`{"n":1,"server":{"kind":"close"}}` + "\n" + `{"n":1,"cut":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTape(raw)
		if err != nil {
			return
		}
		exchangesOf(entries)
		written, err := encodeTape(entries)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseTape(written)
		if err != nil {
			t.Fatalf("%v of\n%s", err, written)
		}
		rewritten, err := encodeTape(again)
		if err != nil || !bytes.Equal(written, rewritten) {
			t.Fatalf("%v: (-written +rewritten)\n%s", err, cmp.Diff(string(written), string(rewritten)))
		}
	})
}

// FuzzFrames: the pieces in which bytes come do not matter, and frames of a
// server are encoded as they came.
func FuzzFrames(f *testing.F) {
	f.Add(rawFrame{opText, true, "hello"}.encode(), 1, false)
	f.Add(append(rawFrame{opBinary, false, strings.Repeat("x", 300)}.encode(), rawFrame{opClose, true, ""}.encode()...), 7, false)
	f.Add(rawFrame{opText, true, strings.Repeat("x", 1<<16)}.encode(), 4000, false)
	f.Add([]byte{0x81, 0x82, 1, 2, 3, 4, 'a', 'b'}, 3, true)
	f.Add(binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<62), 2, false)
	f.Fuzz(func(t *testing.T, raw []byte, piece int, masked bool) {
		if piece <= 0 {
			piece = 1
		}
		whole := frameReader{masked: masked}
		want, wantErr := whole.feed(raw)
		pieces := frameReader{masked: masked}
		var got []rawFrame
		var err error
		for rest := raw; len(rest) > 0; {
			n := min(piece, len(rest))
			var frames []rawFrame
			frames, err = pieces.feed(rest[:n])
			got, rest = append(got, frames...), rest[n:]
		}
		if !cmp.Equal(want, got, cmp.AllowUnexported(rawFrame{})) || (wantErr == nil) != (err == nil) {
			t.Fatalf("at once %v %v, in pieces %v %v", want, wantErr, got, err)
		}
		for _, f := range want {
			again := frameReader{}
			if back, err := again.feed(f.encode()); err != nil || len(back) != 1 || back[0] != f {
				t.Fatalf("%v became %v, %v", f, back, err)
			}
		}
	})
}
