package sandboxclient

import "strings"

// quoteCommand is a command line that makes a POSIX shell run name with args,
// each of them one word, whatever it holds.
func quoteCommand(name string, args []string) string {
	var b strings.Builder
	// A name in quotes is no keyword, alias or assignment.
	writeQuoted(&b, name)
	for _, arg := range args {
		b.WriteByte(' ')
		if plainWord(arg) {
			b.WriteString(arg)
		} else {
			writeQuoted(&b, arg)
		}
	}
	return b.String()
}

// writeQuoted writes a word in single quotes, in which only the quote itself
// means something.
func writeQuoted(b *strings.Builder, word string) {
	b.WriteByte('\'')
	for {
		before, rest, found := strings.Cut(word, "'")
		b.WriteString(before)
		if !found {
			break
		}
		b.WriteString(`'\''`)
		word = rest
	}
	b.WriteByte('\'')
}

// plainWord reports whether a word means itself to every shell.
func plainWord(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return false
		default:
			return !strings.ContainsRune("_-+./:,@%", r)
		}
	})
}
