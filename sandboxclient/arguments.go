package sandboxclient

import (
	"fmt"
	"strings"
)

// ArgumentError reports an argument that was refused before anything was sent.
// It matches [ErrInvalid].
type ArgumentError struct {
	Op       string // such as "create pool"; empty for options of New
	Argument string // such as "replicas"
	Reason   string // such as "is 101, more than 100"

	cause error
}

// Error describes the argument and the reason.
func (e *ArgumentError) Error() string {
	if e.Op == "" {
		return e.Argument + " " + e.Reason
	}
	return e.Op + ": " + e.Argument + " " + e.Reason
}

// Is reports whether target is [ErrInvalid].
func (e *ArgumentError) Is(target error) bool { return target == ErrInvalid }

// Unwrap returns why a file cannot be used, or nil.
func (e *ArgumentError) Unwrap() error { return e.cause }

// checks collects the first problem of a request's arguments.
type checks struct {
	op  string
	err error
}

func (c *checks) fail(argument, format string, args ...any) {
	if c.err == nil {
		c.err = &ArgumentError{Op: c.op, Argument: argument, Reason: fmt.Sprintf(format, args...)}
	}
}

// segment checks a name that is put into a path: what would change the path
// is refused, all else is escaped.
func (c *checks) segment(argument, name string) {
	switch {
	case strings.TrimSpace(name) == "":
		c.fail(argument, "is empty")
	case name == "." || name == "..":
		c.fail(argument, "is %q, which is no name", name)
	}
}

// name checks a name that is given to something new: it must be usable in a
// path by every client, also by those that do not escape it.
func (c *checks) name(argument, name string) {
	c.segment(argument, name)
	if i := strings.IndexFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }); i >= 0 {
		c.fail(argument, "holds %q, which no name may", name[i])
	}
}

func (c *checks) optionalName(argument, name string) {
	if name != "" {
		c.name(argument, name)
	}
}

const maxPoolName = 63

func (c *checks) poolName(argument, name string) {
	c.name(argument, name)
	valid := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	if strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		c.fail(argument, "is %q; lower-case letters, digits and hyphens are allowed", name)
	}
	if len(name) > maxPoolName {
		c.fail(argument, "has %d characters, more than %d", len(name), maxPoolName)
	}
}

func (c *checks) between(argument string, v, low, high int) {
	switch {
	case v < low:
		c.fail(argument, "is %d, less than %d", v, low)
	case v > high:
		c.fail(argument, "is %d, more than %d", v, high)
	}
}

// ttl checks a lifetime in seconds, which the server counts in minutes.
func (c *checks) ttl(argument string, seconds *int) {
	switch {
	case seconds == nil:
	case *seconds < 0:
		c.fail(argument, "is %d; it cannot be negative, and 0 is never", *seconds)
	case *seconds%60 != 0:
		c.fail(argument, "is %d, not a multiple of 60", *seconds)
	}
}

func (c *checks) atLeastZero(argument string, v int64) {
	if v < 0 {
		c.fail(argument, "is %d; it cannot be negative", v)
	}
}

func (c *checks) required(argument, v string) {
	if strings.TrimSpace(v) == "" {
		c.fail(argument, "is empty")
	}
}

// etag checks an entity tag; empty is none.
func (c *checks) etag(argument, tag string) {
	strong := strings.TrimPrefix(tag, "W/")
	if tag == "" || len(strong) >= 2 && strong[0] == '"' && strong[len(strong)-1] == '"' && checkHeader("ETag", tag) == nil {
		return
	}
	c.fail(argument, "is %q; an ETag stands in quotes", tag)
}

func (c *checks) present(missing bool) {
	if missing {
		c.fail("request", "is nil")
	}
}

func checkHeader(key, value string) error {
	notToken := func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	}
	if key == "" || strings.ContainsFunc(key, notToken) {
		return &ArgumentError{Argument: "header name", Reason: fmt.Sprintf("is %q", key)}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return &ArgumentError{Argument: "header " + key, Reason: "holds a control character"}
	}
	return nil
}
