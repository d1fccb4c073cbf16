package wire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape decodes the inside of a JSON string in place, which it never makes
// longer. It reports false for an escape that does not exist.
func unescape(s []byte) ([]byte, bool) {
	next := bytes.IndexByte(s, '\\')
	if next < 0 {
		return s, true
	}
	w, r := next, next
	for {
		var ok bool
		if w, r, ok = unescapeOne(s, w, r); !ok {
			return nil, false
		}
		rest := s[r:]
		run := plainRun(rest)
		if run < 0 {
			return s[:w+copy(s[w:], rest)], true
		}
		w += copy(s[w:], rest[:run])
		r += run
	}
}

// nearby is how far an escape is looked for byte by byte: text that has
// escapes often has many.
const nearby = 16

// plainRun is the index of the next backslash, or -1.
func plainRun(s []byte) int {
	for i := range min(len(s), nearby) {
		if s[i] == '\\' {
			return i
		}
	}
	if len(s) <= nearby {
		return -1
	}
	i := bytes.IndexByte(s[nearby:], '\\')
	if i < 0 {
		return -1
	}
	return i + nearby
}

// simple are the escapes of one letter.
var simple = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unescapeOne decodes the escape at s[r:] to s[w:].
func unescapeOne(s []byte, w, r int) (nextW, nextR int, ok bool) {
	if r+1 >= len(s) {
		return 0, 0, false
	}
	if c := simple[s[r+1]]; c != 0 {
		s[w] = c
		return w + 1, r + 2, true
	}
	if s[r+1] != 'u' {
		return 0, 0, false
	}
	char, ok := hex4(s[r+2:])
	if !ok {
		return 0, 0, false
	}
	r += 6
	if utf16.IsSurrogate(char) {
		// Half of a pair without the other is U+FFFD, the other is not used up.
		var low rune
		if len(s) > r+1 && s[r] == '\\' && s[r+1] == 'u' {
			low, _ = hex4(s[r+2:])
		}
		if char = utf16.DecodeRune(char, low); char != utf8.RuneError {
			r += 6
		}
	}
	return w + utf8.EncodeRune(s[w:r], char), r, true
}

// hex4 reads four hexadecimal digits.
func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var v rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// replaceInvalid puts U+FFFD in place of each byte that is not UTF-8.
func replaceInvalid(s []byte) []byte {
	valid := make([]byte, 0, len(s)+len(s)/2)
	for len(s) > 0 {
		char, n := utf8.DecodeRune(s)
		valid = utf8.AppendRune(valid, char)
		s = s[n:]
	}
	return valid
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string, with U+FFFD for each byte that is
// not UTF-8.
func appendString(dst, s []byte) []byte {
	return append(AppendText(append(dst, '"'), s), '"')
}

// AppendText appends s as the inside of a JSON string, with U+FFFD for each
// byte that is not UTF-8. What it appends for the parts of a text, cut at
// [Cut], is what it appends for the whole.
func AppendText(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		s = replaceInvalid(s)
	}
	for {
		n := safeRun(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		switch c := s[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		s = s[n+1:]
	}
}

// Cut is the longest length of a first part of s, up to n, that ends inside no
// character. n must be at least [utf8.UTFMax].
func Cut(s []byte, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for back := 1; back < utf8.UTFMax; back++ {
		if tail := s[n-back : n]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n - back
			}
			break
		}
	}
	return n
}

// safeRun is how many bytes of s need no escape.
func safeRun(s []byte) int {
	n := 0
	for ; len(s)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(s[n:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if ((w-ones*' ')&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
	}
	for ; n < len(s); n++ {
		if c := s[n]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return n
}
