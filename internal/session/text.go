package session

import "unicode/utf8"

// utf8Max is the longest character, in bytes.
const utf8Max = utf8.UTFMax

// incomplete is how many bytes at the end of p begin a character that goes on
// beyond it.
func incomplete(p []byte) int {
	for n := 1; n < utf8Max && n <= len(p); n++ {
		tail := p[len(p)-n:]
		if utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// continuation is how many bytes at the beginning of p end a character that
// began before it.
func continuation(p []byte) int {
	n := 0
	for n < len(p) && n < utf8Max-1 && !utf8.RuneStart(p[n]) {
		n++
	}
	return n
}
