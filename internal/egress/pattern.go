package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strings"
)

const (
	maxPatterns = 1000 // of one list
	maxPattern  = 1000 // bytes

	// What expressions compile to: repetitions make much of few bytes.
	maxExpr      = 5_000   // instructions of one
	maxExprTotal = 100_000 // and of a list
)

// pattern is an entry of an access list.
type pattern struct {
	port   uint16 // 0 means 80 and 443
	name   string // one of these four
	prefix netip.Prefix
	glob   glob
	expr   *regexp.Regexp
	size   int // instructions of expr
}

// parsePattern reads an entry. An expression must match the whole name in a
// list that allows, and any part of it in one that denies.
func parsePattern(s string, allows bool) (pattern, error) {
	switch {
	case s == "" || len(s) > maxPattern:
		return pattern{}, fmt.Errorf("must have 1 to %d bytes", maxPattern)
	case s[0] == '~':
		expr, size, err := compileExpr(s[1:], allows)
		return pattern{expr: expr, size: size}, err
	case strings.Contains(s, "/"):
		prefix, err := parsePrefix(s)
		return pattern{prefix: prefix}, err
	case strings.Contains(s, "*"):
		return parseGlobPattern(s)
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		s = "[" + s + "]"
	}
	e, err := parseEndpoint(s)
	if err != nil {
		return pattern{}, err
	}
	if e.addr.IsValid() {
		return pattern{port: e.port, prefix: netip.PrefixFrom(e.addr, e.addr.BitLen())}, nil
	}
	return pattern{port: e.port, name: e.name}, nil
}

func compileExpr(s string, whole bool) (expr *regexp.Regexp, size int, err error) {
	if size, err = exprSize(s); err != nil { // alone first: parentheses must not reach beyond it
		return nil, 0, err
	}
	if whole {
		s = `\A(?:` + s + `)\z`
	}
	if expr, err = regexp.Compile(`(?i:` + s + `)`); err != nil {
		return nil, 0, fmt.Errorf("is no regular expression: %w", err)
	}
	return expr, size, nil
}

func exprSize(s string) (int, error) {
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("is no regular expression: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, fmt.Errorf("is no regular expression: %w", err)
	}
	if len(program.Inst) > maxExpr {
		return 0, errors.New("is too large an expression")
	}
	return len(program.Inst), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, errors.New("is no range of addresses such as 10.0.0.0/8; hosts go without scheme and path")
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return prefix, errors.New("is a range of IPv4 and IPv6 addresses")
		}
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

func parseGlobPattern(s string) (pattern, error) {
	host, port, hasPort := strings.Cut(s, ":")
	e, err := withPort(host, port, hasPort, func(string) (endpoint, error) { return endpoint{}, nil })
	if err != nil {
		return pattern{}, err
	}
	g, err := parseGlob(host)
	return pattern{port: e.port, glob: g}, err
}

// matches reports whether an entry is about where a client wants to go.
func (p *pattern) matches(e endpoint) bool {
	return p.onPort(e.port) && p.matchesHost(e)
}

func (p *pattern) matchesHost(e endpoint) bool {
	switch {
	case p.expr != nil:
		return p.expr.MatchString(e.name)
	case p.glob != nil:
		return p.glob.matches(e.name)
	case p.prefix.IsValid():
		return e.addr.IsValid() && p.prefix.Contains(e.addr)
	}
	return p.name == e.name
}

func (p *pattern) onPort(port uint16) bool {
	if p.port == 0 {
		return isWeb(port)
	}
	return p.port == port
}

func isWeb(port uint16) bool { return port == 80 || port == 443 }

// glob is a host name with stars for any text, cut at the stars. It has two
// parts at least, or is of a name without a star.
type glob []string

// parseGlob reads a name with or without stars.
func parseGlob(s string) (glob, error) {
	if !strings.Contains(s, "*") {
		if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
			s = "[" + s + "]"
		}
		e, err := parseEndpoint(s)
		if err == nil && e.port != 0 {
			err = errors.New("has a port")
		}
		return glob{e.name}, err
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for i, label := range labels {
		label, err := asciiName(label)
		if err != nil {
			return nil, err
		}
		for j := range len(label) {
			if !isNameByte(label[j]) && label[j] != '*' {
				return nil, errHost
			}
		}
		if label == "" {
			return nil, errHost
		}
		labels[i] = label
	}
	s = strings.Join(labels, ".")
	if s != "*" && strings.Trim(s, "0123456789.*") == "" {
		return nil, errors.New("looks like addresses: write a range such as 10.0.0.0/8")
	}
	return strings.Split(s, "*"), nil
}

func (g glob) matches(name string) bool {
	if len(g) == 1 {
		return g[0] == name
	}
	first, last := g[0], g[len(g)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range g[1 : len(g)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return true
}

func matchesAny(globs []glob, name string) bool {
	for _, g := range globs {
		if g.matches(name) {
			return true
		}
	}
	return false
}
