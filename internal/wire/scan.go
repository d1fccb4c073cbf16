package wire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/gen"
)

// verdict is what scan makes of a message.
type verdict int

const (
	unusual verdict = iota // for encoding/json to decide; nothing was changed
	broken                 // no JSON
	scanned
)

// scan decodes what AppendOutput writes: an object without white space of
// type, data and, perhaps, offset, in this order.
func scan(message []byte) (Frame, verdict) {
	var f Frame
	rest, ok := bytes.CutPrefix(message, []byte(`{"type":"`))
	if !ok {
		return f, unusual
	}
	for _, t := range [...]gen.FrameType{gen.FrameStdout, gen.FrameStderr, gen.FrameInput} {
		if len(rest) > len(t) && string(rest[:len(t)]) == string(t) {
			f.Type, rest = t, rest[len(t):]
			break
		}
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`","data":"`))
	if !ok || f.Type == "" {
		return f, unusual
	}
	end := closingQuote(rest)
	if end < 0 {
		return f, unusual
	}
	if f.Offset, f.HasOffset, ok = scanTail(rest[end+1:]); !ok {
		return f, unusual
	}
	if anyControl(rest[:end]) {
		return f, broken
	}
	if f.Data, ok = unescape(rest[:end]); !ok {
		return f, broken
	}
	if !utf8.Valid(f.Data) {
		f.Data = replaceInvalid(f.Data)
	}
	return f, scanned
}

// closingQuote is the index of the quote that ends a string, or -1.
func closingQuote(s []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 {
			return -1
		}
		i += from
		n := i
		for n > from && s[n-1] == '\\' {
			n--
		}
		if (i-n)%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// maxDigits is as many as surely fit into 63 bits.
const maxDigits = 18

// scanTail reads what follows the data: an offset and the end.
func scanTail(s []byte) (offset int64, has, ok bool) {
	if len(s) == 1 && s[0] == '}' {
		return 0, false, true
	}
	s, ok = bytes.CutPrefix(s, []byte(`,"offset":`))
	if !ok {
		return 0, false, false
	}
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		offset = offset*10 + int64(s[n]-'0')
		n++
		if n > maxDigits {
			return 0, false, false
		}
	}
	if n == 0 || n > 1 && s[0] == '0' {
		return 0, false, false
	}
	return offset, true, len(s) == n+1 && s[n] == '}'
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// hasControl reports whether one of eight bytes is below a space.
func hasControl(w uint64) bool { return (w-ones*' ')&^w&highs != 0 }

// anyControl reports whether a byte of s is below a space, which no JSON string
// may hold as it is.
func anyControl(s []byte) bool {
	for len(s) >= 32 {
		a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		c, d := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		if ((a-ones*' ')&^a|(b-ones*' ')&^b|(c-ones*' ')&^c|(d-ones*' ')&^d)&highs != 0 {
			return true
		}
		s = s[32:]
	}
	for len(s) >= 8 {
		if hasControl(binary.LittleEndian.Uint64(s)) {
			return true
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < ' ' {
			return true
		}
	}
	return false
}
