package sandboxserver

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/genserver"
)

// prefixes are the two under which the API answers alike.
var prefixes = []string{"/v2/sandboxes", "/api/v2/sandboxes"}

// dataplanePrefix is where sandboxes have their dataplane_url.
const dataplanePrefix = "/dp/"

// routes puts the generated interface on a mux, under both prefixes.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handler := genserver.NewStrictHandlerWithOptions(api{s.engine}, nil, genserver.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			s.fail(w, r, undecodable(err))
		},
		ResponseErrorHandlerFunc: s.fail,
	})
	for _, prefix := range prefixes {
		genserver.HandlerWithOptions(handler, genserver.StdHTTPServerOptions{
			BaseURL:    prefix,
			BaseRouter: guarded{mux, s, prefix},
			ErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
				s.fail(w, r, unbindable(err))
			},
		})
	}
	mux.HandleFunc("/", s.unrouted)
	return mux
}

// guarded puts the checks every operation shares in front of each.
type guarded struct {
	*http.ServeMux
	server *Server
	prefix string
}

// HandleFunc registers an operation of the contract.
func (g guarded) HandleFunc(pattern string, next func(http.ResponseWriter, *http.Request)) {
	method, route, _ := strings.Cut(pattern, " ")
	route = strings.TrimPrefix(route, g.prefix)
	op := g.server.contract.operation(method, route)
	if op.route.PathItem.Servers != nil {
		if g.prefix != prefixes[0] {
			return // not below the base, so that it is there once
		}
		pattern = method + " " + route
	}
	g.ServeMux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		err := g.server.authorize(r, op.serviceKey)
		if err == nil {
			err = op.check(w, r)
		}
		if err != nil {
			g.server.fail(w, r, err)
			return
		}
		next(w, r)
	})
}

// route finds who answers. Doubled slashes count as one, because clients
// append paths to base URLs that end in a slash.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	v, ok := hostedService(r.Host)
	if !ok {
		v, ok = placedService(escaped)
	}
	if ok {
		s.serveService(w, r, v)
		return
	}
	if serve := s.open(escaped); serve != nil {
		if err := serve(w, r); err != nil {
			s.fail(w, r, err)
		}
		return
	}
	escaped = singleSlashes(escaped)
	plain, err := url.PathUnescape(escaped)
	if err != nil || path.Clean(escaped) != escaped {
		// The mux would redirect such paths; API clients do not follow.
		s.nothingAt(w, r)
		return
	}
	u := *r.URL
	u.Path, u.RawPath = plain, escaped
	r.URL = &u
	if name, op, ok := dataplaneRoute(escaped); ok && s.isDataplane(op) {
		s.serveDataplane(w, r, name, op)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func singleSlashes(escaped string) string {
	for strings.Contains(escaped, "//") {
		escaped = strings.ReplaceAll(escaped, "//", "/")
	}
	return escaped
}

// open is who answers requests that need no key, if that is somebody.
func (s *Server) open(escaped string) func(http.ResponseWriter, *http.Request) error {
	switch {
	case strings.HasPrefix(escaped, linkPrefix):
		return s.serveLink
	case escaped == keysPath:
		return s.identity.serveKeys
	case escaped == healthPath:
		return s.serveHealth
	}
	return nil
}

// dataplaneRoute takes a path apart that may be one of the data plane.
func dataplaneRoute(escaped string) (name, op string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, dataplanePrefix)
	for i := 0; !ok && i < len(prefixes); i++ {
		rest, ok = strings.CutPrefix(escaped, prefixes[i]+"/")
	}
	name, op, _ = strings.Cut(rest, "/")
	if !ok || controlPlane[name] {
		return "", "", false
	}
	name, err := url.PathUnescape(name)
	return name, op, err == nil && name != ""
}

// controlPlane are the first segments that belong to the control plane; a
// sandbox with such a name is reached by its id.
var controlPlane = map[string]bool{
	"boxes": true, "internal": true, "pools": true, "registries": true, "snapshots": true, "snapshots-by-name": true,
	"templates": true, "usage": true, "volumes": true,
}

func (s *Server) isDataplane(op string) bool {
	_, ok := s.dataplaneOps[op]
	return ok || op == streamOperation || op == tunnelOperation
}

// nothingAt answers for paths that do not exist.
func (s *Server) nothingAt(w http.ResponseWriter, r *http.Request) {
	err := s.authorize(r, true)
	if err == nil {
		err = problem(http.StatusNotFound, codeNotFound, "there is nothing at %s: check the endpoint", r.URL.Path)
	}
	s.fail(w, r, err)
}

// unrouted answers for paths that do not exist, or not with this method.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.nothingAt(w, r)
		return
	}
	err := s.authorize(r, true)
	if err == nil {
		err = notAllowed(r.Method, allowed...)
	}
	s.fail(w, r, err)
}

func notAllowed(method string, allowed ...string) error {
	e := problem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "%s is not allowed here", method)
	e.allow = strings.Join(allowed, ", ")
	return e
}

// unbindable turns what the generated parameter code refuses into the list of
// problems; validation has caught nearly all of it before.
func unbindable(err error) error {
	in, name := "query", "parameters"
	if e, ok := errors.AsType[*genserver.InvalidParamFormatError](err); ok {
		name = e.ParamName
	}
	if e, ok := errors.AsType[*genserver.TooManyValuesForParamError](err); ok {
		in, name = "header", e.ParamName
	}
	if e, ok := errors.AsType[*genserver.RequiredHeaderError](err); ok {
		in, name = "header", e.ParamName
	}
	return &apiError{
		status: http.StatusUnprocessableEntity, cause: err,
		fields: []gen.FieldError{fieldError(name+" is not valid", []any{in, name})},
	}
}
