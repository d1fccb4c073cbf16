package egress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrUnsupported reports a part of a proxy configuration that the API has and
// this proxy does not carry out.
var ErrUnsupported = errors.New("not supported by this server's proxy")

// ConfigError reports a proxy configuration that cannot be carried out. Its
// text never has a value of a header.
type ConfigError struct {
	Path    []any  // names and indexes that lead to the place
	Problem string // what is wrong there
	Err     error  // ErrUnsupported, or nil
}

// Error names the place and the problem.
func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString("proxy_config")
	for _, p := range e.Path {
		fmt.Fprintf(&b, ".%v", p)
	}
	return b.String() + ": " + e.Problem
}

// Unwrap returns ErrUnsupported where it applies.
func (e *ConfigError) Unwrap() error { return e.Err }

func badConfig(problem string, path ...any) error {
	return &ConfigError{Path: path, Problem: problem}
}

func unsupported(problem string, path ...any) error {
	return &ConfigError{Path: path, Problem: problem, Err: ErrUnsupported}
}

// refusal is an answer of the proxy itself. Kind is an error type of RFC 9209.
type refusal struct {
	status     int
	kind, text string
}

func (r *refusal) Error() string { return r.text }

func refused(e endpoint, why string) error {
	return &refusal{http.StatusForbidden, "http_request_denied", e.String() + " " + why}
}

func refusedAddr(e endpoint, why string) error {
	return &refusal{http.StatusForbidden, "destination_ip_prohibited", e.String() + " " + why}
}

func malformed(text string) error {
	return &refusal{http.StatusBadRequest, "http_request_error", text}
}

func failed(status int, kind, text string) error { return &refusal{status, kind, text} }

// answer writes an error. Whatever is not a refusal stays unnamed, since an
// error of a connection may have more in it than a sandbox should see.
func answer(w http.ResponseWriter, err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = &refusal{http.StatusBadGateway, "connection_terminated", "the connection failed"}
	}
	h := w.Header()
	h.Set("Proxy-Status", "sandbox; error="+r.kind)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.status)
	fmt.Fprintf(w, "sandbox proxy: %s\n", r.text)
}
