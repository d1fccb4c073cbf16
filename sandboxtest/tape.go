package sandboxtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"unicode/utf8"
)

const (
	tapeFormat  = "langsandbox tape"
	tapeVersion = 1
	// tapeLimit bounds what is kept of a session, in bytes.
	tapeLimit = 64 << 20
)

// tapeHead is the first line of a tape.
type tapeHead struct {
	Tape    string `json:"tape"`
	Version int    `json:"version"`
}

// entry is any other line: one thing that happened in exchange N. Exactly one
// of the other members is set.
type entry struct {
	N       int           `json:"n"`
	Request *tapedRequest `json:"request,omitempty"`
	Answer  *tapedAnswer  `json:"answer,omitempty"`
	Client  *tapedFrame   `json:"client,omitempty"` // over a WebSocket
	Server  *tapedFrame   `json:"server,omitempty"`
	Cut     bool          `json:"cut,omitempty"` // the server's side of a WebSocket ended
}

type tapedRequest struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header,omitempty"`
	content
	Partial bool `json:"partial,omitempty"` // the answer came before all was sent
}

type tapedAnswer struct {
	Status int         `json:"status,omitempty"`
	Header http.Header `json:"header,omitempty"`
	content
	End   ending `json:"end,omitempty"`
	Error string `json:"error,omitempty"` // there was no answer
}

// ending says what came behind the content of an answer, if not its end.
type ending string

const (
	endWhole    ending = ""
	endUnread   ending = "unread"   // the client read no further
	endCut      ending = "cut"      // the connection was lost
	endCanceled ending = "canceled" // the client's context ended
)

type tapedFrame struct {
	Kind opcode `json:"kind"`
	More bool   `json:"more,omitempty"` // not the last frame of its message
	content
}

// content is bytes, written as text where they are some.
type content struct {
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

func contentOf(s string) content {
	if utf8.ValidString(s) {
		return content{Text: s}
	}
	return content{Base64: []byte(s)}
}

func (c content) String() string {
	if c.Base64 != nil {
		return string(c.Base64)
	}
	return c.Text
}

// encodeTape makes the text of a tape, always the same for the same entries.
func encodeTape(entries []entry) ([]byte, error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(tapeHead{tapeFormat, tapeVersion}); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := lines.Encode(e); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// parseTape reads a tape and sees that an exchange can be made of it.
func parseTape(raw []byte) ([]entry, error) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 2*tapeLimit)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("the tape is empty"), lines.Err())
	}
	var head tapeHead
	if err := strictly(lines.Bytes(), &head); err != nil || head.Tape != tapeFormat {
		return nil, errors.Join(errors.New("line 1: no tape of this package"), err)
	}
	if head.Version != tapeVersion {
		return nil, fmt.Errorf("line 1: the tape has version %d, this package reads %d: record it anew", head.Version, tapeVersion)
	}
	var entries []entry
	seen := map[int]*entryState{}
	for number := 2; lines.Scan(); number++ {
		var e entry
		err := strictly(lines.Bytes(), &e)
		if err == nil {
			err = checkEntry(&e, seen)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !seen[e.N].answered {
			return nil, fmt.Errorf("exchange %d has no answer", e.N)
		}
	}
	return entries, nil
}

func strictly(line []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("more than one value")
	}
	return nil
}

// entryState is what the lines so far say of an exchange.
type entryState struct{ answered, upgraded, cut bool }

// checkEntry holds a line to the order of an exchange: request, answer, and
// frames if the answer is 101.
func checkEntry(e *entry, seen map[int]*entryState) error {
	parts := 0
	for _, set := range []bool{e.Request != nil, e.Answer != nil, e.Client != nil, e.Server != nil, e.Cut} {
		if set {
			parts++
		}
	}
	if parts != 1 {
		return fmt.Errorf("%d things happen, not one", parts)
	}
	state := seen[e.N]
	switch {
	case e.Request != nil:
		if state != nil {
			return fmt.Errorf("exchange %d has two requests", e.N)
		}
		seen[e.N] = &entryState{}
		return nil
	case state == nil:
		return fmt.Errorf("exchange %d has no request", e.N)
	case e.Answer != nil:
		if state.answered {
			return fmt.Errorf("exchange %d has two answers", e.N)
		}
		state.answered, state.upgraded = true, e.Answer.Status == http.StatusSwitchingProtocols
		return checkAnswer(e.Answer)
	case !state.upgraded || state.cut:
		return fmt.Errorf("exchange %d has no open WebSocket", e.N)
	}
	state.cut = e.Cut
	for _, f := range []*tapedFrame{e.Client, e.Server} {
		if f != nil && !f.Kind.taped() {
			return fmt.Errorf("there are no frames of kind %q", f.Kind)
		}
	}
	return nil
}

func checkAnswer(a *tapedAnswer) error {
	failed := a.Error != "" || a.End == endCanceled
	switch {
	case a.End != endWhole && a.End != endUnread && a.End != endCut && a.End != endCanceled:
		return fmt.Errorf("an answer does not end %q", a.End)
	case failed != (a.Status == 0), !failed && (a.Status < 100 || a.Status > 999):
		return fmt.Errorf("an answer of status %d and error %q", a.Status, a.Error)
	default:
		return nil
	}
}

// writeTape puts a tape in its place, whole or not at all.
func writeTape(path string, entries []entry) error {
	raw, err := encodeTape(entries)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
