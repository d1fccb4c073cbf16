// Package dockerignore reads .dockerignore files and tells which paths of a
// build context they leave out.
package dockerignore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of the file, in bytes.
const maxLine = 64 << 10

// Rules are the patterns of a file. The zero value leaves nothing out.
type Rules struct {
	rules []rule
	back  bool // some bring paths back
}

type rule struct {
	match *regexp.Regexp
	back  bool
}

// Parse reads a file: a pattern a line, "!" before those that bring paths
// back, "#" before comments.
func Parse(r io.Reader) (*Rules, error) {
	all := new(Rules)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		pattern, back := strings.CutPrefix(strings.TrimSpace(line), "!")
		pattern = strings.TrimSpace(pattern)
		if pattern == "" {
			if back {
				return nil, fmt.Errorf("line %d: no pattern follows the exclamation mark", n)
			}
			continue
		}
		pattern = strings.TrimPrefix(path.Clean(pattern), "/")
		if pattern == "" || pattern == "." {
			continue // the context itself is never left out
		}
		match, err := compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all.rules = append(all.rules, rule{match, back})
		all.back = all.back || back
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

// LeavesOut reports whether a path of the context, relative and with slashes,
// is left out: the last pattern that matches it or a directory above decides.
func (r *Rules) LeavesOut(name string) bool {
	out := false
	for _, rule := range r.rules {
		if rule.back == out && rule.matches(name) {
			out = !rule.back
		}
	}
	return out
}

// Below reports whether something below a directory that is left out may be
// brought back.
func (r *Rules) Below() bool { return r.back }

func (r rule) matches(name string) bool {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		if r.match.MatchString(name) {
			return true
		}
	}
	return false
}

// compile makes an expression of a pattern: * and ? stay within a segment, **
// is any number of them.
func compile(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for rest := pattern; rest != ""; {
		var err error
		if rest, err = translate(&b, rest); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	b.WriteString(`)\z`)
	match, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("pattern %q cannot be understood", pattern)
	}
	return match, nil
}

// translate writes the first piece of a pattern and returns what is left.
func translate(b *strings.Builder, rest string) (string, error) {
	switch {
	case strings.HasPrefix(rest, "**"):
		rest = strings.TrimLeft(rest, "*")
		if after, ok := strings.CutPrefix(rest, "/"); ok {
			b.WriteString(`(?:.*/)?`)
			return after, nil
		}
		b.WriteString(`.*`)
		return rest, nil
	case rest[0] == '*':
		b.WriteString(`[^/]*`)
		return rest[1:], nil
	case rest[0] == '?':
		b.WriteString(`[^/]`)
		return rest[1:], nil
	case rest[0] == '[':
		return translateClass(b, rest[1:])
	}
	char, rest, err := literal(rest)
	b.WriteString(regexp.QuoteMeta(char))
	return rest, err
}

// translateClass writes a class of characters, whose bracket is read.
func translateClass(b *strings.Builder, rest string) (string, error) {
	b.WriteByte('[')
	rest, negated := strings.CutPrefix(rest, "^")
	if negated {
		b.WriteByte('^')
	}
	for n := 0; ; n++ {
		if rest == "" || rest[0] == ']' && n == 0 {
			return "", errors.New("a class of characters does not end")
		}
		if rest[0] == ']' {
			b.WriteByte(']')
			return rest[1:], nil
		}
		low, after, err := literal(rest)
		high := low
		if dash, ok := strings.CutPrefix(after, "-"); ok && err == nil {
			high, after, err = literal(dash)
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(b, `\x{%x}-\x{%x}`, []rune(low)[0], []rune(high)[0])
		rest = after
	}
}

// literal takes one character, which a backslash may escape.
func literal(rest string) (char, after string, err error) {
	if escaped, ok := strings.CutPrefix(rest, `\`); ok {
		rest = escaped
	}
	if rest == "" {
		return "", "", errors.New("nothing stands after the last backslash or dash")
	}
	_, size := utf8.DecodeRuneInString(rest)
	return rest[:size], rest[size:], nil
}
