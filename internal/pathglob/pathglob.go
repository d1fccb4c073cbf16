// Package pathglob matches slash-separated paths against patterns: ** is any
// number of names, *, ? and [...] stay within one.
package pathglob

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// Pattern matches paths name by name, as one walks down to them, so that what
// cannot match is not walked. A set of places in it is all there is to know of
// a directory: the time for a name is bounded by the length of the pattern.
type Pattern []string

// AnyDepth is the part of a Pattern that is any number of names.
const AnyDepth = "**"

// ErrPattern reports what is no pattern.
var ErrPattern = errors.New("is no pattern of names separated by slashes")

// Parse reads a pattern: relative, without empty names, . or ..
func Parse(text string) (Pattern, error) {
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return nil, ErrPattern
		}
		if part == AnyDepth {
			continue
		}
		parts[i] = carets(part)
		if _, err := path.Match(parts[i], ""); err != nil {
			return nil, ErrPattern
		}
	}
	return slices.CompactFunc(parts, func(a, b string) bool { return a == AnyDepth && b == AnyDepth }), nil
}

// carets writes [!...] as path.Match has it, and nothing else.
func carets(part string) string {
	b := []byte(part)
	inside := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++
		case inside:
			inside = b[i] != ']'
		case b[i] == '[':
			if inside = true; i+1 < len(b) && b[i+1] == '!' {
				b[i+1] = '^'
			}
		}
	}
	return string(b)
}

// Places are where in a pattern one can be, in order.
type Places []int

// Start is before the first name.
func (p Pattern) Start() Places { return p.close(Places{0}) }

// close adds the places that are reached without a name.
func (p Pattern) close(at Places) Places {
	var all Places
	for _, i := range at {
		for ; ; i++ {
			if len(all) == 0 || all[len(all)-1] < i {
				all = append(all, i)
			}
			if i == len(p) || p[i] != AnyDepth {
				break
			}
		}
	}
	return all
}

// Enter is where one is after a name.
func (p Pattern) Enter(at Places, name string) Places {
	var next Places
	for _, i := range at {
		switch {
		case i == len(p):
		case p[i] == AnyDepth:
			next = append(next, i)
		default:
			if ok, _ := path.Match(p[i], name); ok {
				next = append(next, i+1)
			}
		}
	}
	slices.Sort(next)
	return p.close(next)
}

// Matched reports whether the names up to here are a match.
func (p Pattern) Matched(at Places) bool { return len(at) > 0 && at[len(at)-1] == len(p) }

// Open reports whether names below may match.
func (p Pattern) Open(at Places) bool { return len(at) > 0 && at[0] < len(p) }

// Match reports whether a path matches.
func (p Pattern) Match(name string) bool {
	at := p.Start()
	for part := range strings.SplitSeq(name, "/") {
		at = p.Enter(at, part)
	}
	return p.Matched(at)
}
