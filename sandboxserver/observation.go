package sandboxserver

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// Observation is what became of a request.
type Observation struct {
	// Operation is the method and path of the API's description, such as
	// "GET /boxes/{name}" or, of the data plane, "POST {dataplane_url}/execute".
	// It is "service", "link" or "health" for these, and empty for a path that
	// is none of the API's.
	Operation string
	// Status is that of the answer. A connection that was taken over, for a
	// stream or a tunnel, has 101.
	Status int
	// Duration is how long the request took, for a stream or a tunnel until it
	// ended.
	Duration time.Duration
}

// observation describes a request that was answered.
func (s *Server) observation(w *response, r *http.Request, start time.Time) Observation {
	status := w.status
	if status == 0 {
		status = http.StatusSwitchingProtocols
	}
	return Observation{Operation: s.operation(r), Status: status, Duration: time.Since(start)}
}

// operation names what a request was for.
func (s *Server) operation(r *http.Request) string {
	escaped := singleSlashes(r.URL.EscapedPath())
	if _, hosted := hostedService(r.Host); hosted {
		return "service"
	}
	if _, placed := placedService(escaped); placed {
		return "service"
	}
	switch {
	case escaped == healthPath:
		return "health"
	case strings.HasPrefix(escaped, linkPrefix):
		return "link"
	}
	if _, op, ok := dataplaneRoute(escaped); ok && s.isDataplane(op) {
		return r.Method + " {dataplane_url}/" + op
	}
	u := *r.URL
	u.RawPath = escaped
	u.Path, _ = url.PathUnescape(u.RawPath)
	routed := *r
	routed.URL = &u
	_, pattern := s.mux.Handler(&routed)
	method, route, ok := strings.Cut(pattern, " ")
	if !ok {
		return ""
	}
	for _, prefix := range prefixes {
		route = strings.TrimPrefix(route, prefix)
	}
	return method + " " + route
}

// Usage returns what is in use of the quotas, as the operation GET /usage does.
// It fails once the server is closed.
func (s *Server) Usage() (gen.Usage, error) { return s.engine.usage() }

// healthPath answers whether the server serves, to everybody.
const healthPath = "/healthz"

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(r.Method, http.MethodGet, http.MethodHead)
	}
	if _, err := s.Usage(); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}
