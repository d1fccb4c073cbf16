package sandboxserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// serviceDialTimeout bounds how long a service may take to accept a
// connection.
const serviceDialTimeout = 30 * time.Second

// serveService answers for what listens on a port of a sandbox. v comes from
// the host or the path of the request.
func (s *Server) serveService(w http.ResponseWriter, r *http.Request, v serviceVisit) {
	path := v.path(r.URL.EscapedPath())
	if strings.HasPrefix(path+"/", reservedPath) {
		if err := s.serviceGate(w, r, v, path); err != nil {
			s.refuseVisit(w, r, v, err)
		}
		return
	}
	entry, err := s.admit(r, v)
	if err == nil && r.Method == http.MethodConnect {
		err = problem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "%s is not allowed here", r.Method)
	}
	if err != nil {
		s.refuseVisit(w, r, v, err)
		return
	}
	box, leave, err := s.engine.enterBox(r.Context(), v.id)
	if err != nil {
		s.refuseVisit(w, r, v, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), serviceKey{}, serviceTarget{box.sb, v.port}))
	defer cancel()
	defer context.AfterFunc(box.run, cancel)() //nolint:contextcheck // ends with either
	p := passage{server: s, visit: v, path: path, entry: entry, box: box}
	if entry.login != nil {
		defer context.AfterFunc(entry.login, cancel)() //nolint:contextcheck // ends with either
		if p.user, err = s.identity.userToken(r.Host, time.Now()); err != nil {
			s.refuseVisit(w, r, v, err)
			return
		}
	}
	(&httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.cleanse, ErrorHandler: p.failed,
		Transport: s.services, FlushInterval: -1, ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}).ServeHTTP(w, r.WithContext(ctx))
}

type serviceKey struct{}

// serviceTarget is where a request is going, for the dial far below.
type serviceTarget struct {
	sb   runtime.Sandbox
	port int
}

// newServiceTransport connects to services. A connection serves one request:
// one that is kept could outlive its sandbox, or end as the next request is
// sent on it.
func newServiceTransport() *http.Transport {
	return &http.Transport{DialContext: dialService, DisableKeepAlives: true, DisableCompression: true}
}

// dialService connects to a port on the loopback interface of a sandbox.
func dialService(ctx context.Context, _, _ string) (net.Conn, error) {
	to, ok := ctx.Value(serviceKey{}).(serviceTarget)
	if !ok {
		return nil, errors.New("no sandbox to connect to")
	}
	ctx, cancel := context.WithTimeout(ctx, serviceDialTimeout)
	defer cancel()
	return to.sb.Dial(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(to.port)))
}

// passage is one request on its way into a sandbox and back.
type passage struct {
	server *Server
	visit  serviceVisit
	path   string
	entry  entry
	box    visit
	user   string // the token that says who logged in
}

// outsideHeaders are headers that only the runtime may set.
var outsideHeaders = []string{serviceTokenHeader, userTokenHeader, userIDHeader, userEmailHeader}

// rewrite makes the request that the service gets: the same, but for what let
// it in.
func (p passage) rewrite(r *httputil.ProxyRequest) {
	out := r.Out
	out.URL.Scheme, out.URL.Host = "http", "sandbox"
	out.URL.RawPath = p.path
	out.URL.Path, _ = url.PathUnescape(p.path) // was parsed before
	out.URL.RawQuery, out.URL.ForceQuery = r.In.URL.RawQuery, r.In.URL.ForceQuery
	out.Host = r.In.Host
	stripOutside(out.Header)
	if p.user != "" {
		out.Header.Set(userTokenHeader, p.user)
		out.Header.Set(userIDHeader, localUser)
	}
	p.server.stripKeys(out.Header)
	stripCookie(out.Header)
	r.SetXForwarded()
	out.Header.Del("X-Forwarded-Prefix")
	if p.visit.prefix != "" {
		out.Header.Set("X-Forwarded-Prefix", p.visit.prefix)
	}
}

// stripOutside takes out what only the runtime may say, also as many services
// read it, which take underscores for dashes.
func stripOutside(h http.Header) {
	for name := range h {
		read := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if slices.Contains(outsideHeaders, read) {
			delete(h, name)
		}
	}
}

// stripKeys takes the key of this server out of a request, and leaves keys of
// the service alone.
func (s *Server) stripKeys(h http.Header) {
	for _, name := range []string{"X-Api-Key", "X-Service-Key"} {
		stripValues(h, name, s.isKey)
	}
	stripValues(h, "Authorization", func(v string) bool {
		r := &http.Request{Header: http.Header{"Authorization": {v}}}
		token, _ := bearer(r)
		_, password, _ := r.BasicAuth()
		return s.isKey(token) || s.isKey(password)
	})
}

// stripValues takes some values of a header out.
func stripValues(h http.Header, name string, secret func(string) bool) {
	values := h[name]
	h.Del(name)
	for _, v := range values {
		if !secret(v) {
			h.Add(name, v)
		}
	}
}

// cleanse keeps what a service answers from having a say about more than
// itself.
func (p passage) cleanse(resp *http.Response) error {
	cleanCookies(resp.Header, p.visit.prefix)
	if p.visit.prefix == "" {
		if p.entry.cookie {
			frameAncestors(resp.Header, p.entry.origins)
		}
		return nil
	}
	for _, name := range []string{"Strict-Transport-Security", "Clear-Site-Data", "Service-Worker-Allowed", "Alt-Svc"} {
		resp.Header.Del(name)
	}
	// Browsers have no business here; one that came by a trick gets a page
	// that is not of the API's origin.
	resp.Header.Add("Content-Security-Policy", "sandbox")
	if location := resp.Header.Get("Location"); location != "" {
		resp.Header.Set("Location", p.relocate(resp.Request.Host, location))
	}
	return nil
}

// relocate moves an address of the service to where the client finds it. host
// is what the service takes for its own.
func (p passage) relocate(host, location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" || u.Host != "" && !strings.EqualFold(u.Host, host) || !strings.HasPrefix(u.Path, "/") {
		return location
	}
	if u.Path == p.visit.prefix || strings.HasPrefix(u.Path, p.visit.prefix+"/") {
		return location // it knew
	}
	u.Scheme, u.Host, u.User = "", "", nil
	u.RawPath = p.visit.prefix + u.EscapedPath()
	u.Path = p.visit.prefix + u.Path
	return u.String()
}

// failed answers for a service that did not.
func (p passage) failed(w http.ResponseWriter, r *http.Request, err error) {
	refusal := problem(http.StatusBadGateway, codeConnection, "Service is not reachable: nothing answers on port %d of the sandbox", p.visit.port)
	if p.box.run.Err() != nil || errors.Is(err, runtime.ErrClosed) {
		refusal = errGone
	} else if p.entry.login != nil && p.entry.login.Err() != nil {
		refusal = errNoEntry
	}
	p.server.cfg.Logger.DebugContext(r.Context(), "service did not answer", "sandbox", p.visit.id, "port", p.visit.port, "error", err)
	p.server.refuseVisit(w, r, p.visit, refusal)
}

// refuseVisit answers for a service, in words for people if it is one who
// asks. Who can log in is shown the way.
func (s *Server) refuseVisit(w http.ResponseWriter, r *http.Request, v serviceVisit, err error) {
	e := asAPIError(err)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") || e.status == http.StatusInternalServerError {
		s.fail(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if _, login := s.engine.loginTo(v.id, v.port); login && v.prefix == "" && r.Method == http.MethodGet &&
		e.status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "" {
		header.Set("Location", authPath+"?redirect="+url.QueryEscape(r.URL.RequestURI()))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, e.message+"\n")
}
