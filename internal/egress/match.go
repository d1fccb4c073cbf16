package egress

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// pathPattern matches the path of a request: all of it, its start or its end.
type pathPattern struct {
	text           string
	prefix, suffix bool // at most one
}

// parsePath reads a path, a path and /* or /**, */ and the end of one, or *.
func parsePath(s string) (pathPattern, error) {
	p := pathPattern{text: s}
	switch {
	case s == "*":
		return pathPattern{prefix: true}, nil
	case strings.HasSuffix(s, "/**"):
		p = pathPattern{text: strings.TrimSuffix(s, "**"), prefix: true}
	case strings.HasSuffix(s, "/*"):
		p = pathPattern{text: strings.TrimSuffix(s, "*"), prefix: true}
	case strings.HasPrefix(s, "*/"):
		p = pathPattern{text: strings.TrimPrefix(s, "*"), suffix: true}
	}
	if len(s) > maxPattern || !strings.HasPrefix(p.text, "/") || strings.ContainsAny(p.text, "*?#\\") {
		return p, errors.New("must be a path, a path with /* or /** at its end, */ and the end of a path, or *")
	}
	return p, nil
}

func (p pathPattern) matches(s string) bool {
	switch {
	case p.prefix:
		return strings.HasPrefix(s, p.text)
	case p.suffix:
		return strings.HasSuffix(s, p.text)
	}
	return s == p.text
}

// ambiguous reports whether servers read a path in more than one way, so that
// a rule could see another one than they do.
func ambiguous(u *url.URL) bool {
	if strings.ContainsAny(u.Path, "\\;\x00") || strings.Contains(u.Path, "//") {
		return true
	}
	if raw := strings.ToLower(u.EscapedPath()); strings.Contains(raw, "%2f") || strings.Contains(raw, "%2e") || strings.Contains(raw, "%25") {
		return true
	}
	clean := path.Clean(u.Path)
	return u.Path != "" && u.Path != clean && u.Path != clean+"/"
}

// parseField reads "name: value" with the name in lower case.
func parseField(s string) (field, error) {
	name, value, ok := strings.Cut(s, ":")
	value = strings.Trim(value, " \t")
	if !ok || len(s) > maxPattern || !httpguts.ValidHeaderFieldName(name) || name != strings.ToLower(name) ||
		!httpguts.ValidHeaderFieldValue(value) {
		return field{}, errors.New(`must be "name: value" with the name in lower case`)
	}
	return field{name, value}, nil
}

// expand replaces the names of secrets, each between open and a brace, and
// returns the secrets it used. Its errors have names only.
func expand(template, open string, secrets map[string]string) (text string, used []string, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, open)
		b.WriteString(before)
		if !found {
			return b.String(), used, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || strings.ContainsAny(name, "{ $") {
			return "", nil, errors.New("has a brace that does not enclose the name of a secret")
		}
		value, known := secrets[name]
		if !known || value == "" {
			return "", nil, fmt.Errorf("this server has no secret %q", name)
		}
		used = append(used, value)
		b.WriteString(value)
		template = after
	}
}
