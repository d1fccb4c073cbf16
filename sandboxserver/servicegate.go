package sandboxserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	serviceTokenHeader = "X-Langsmith-Sandbox-Service-Token"
	serviceCookie      = "langsmith_sandbox_service"
	// maxGateBody bounds what is sent to the gate, in bytes.
	maxGateBody = 64 << 10
)

// entry is how a request was let in to a service.
type entry struct {
	cookie  bool
	login   context.Context //nolint:containedctx // the login's; nil if let in by token
	origins []string        // of pages that may show it in a frame
}

var errNoEntry = &apiError{
	status: http.StatusUnauthorized, code: codeUnauthorized,
	message: "Authentication required: open the browser URL of the service, or send the token as " + serviceTokenHeader,
}

// entryError is the answer to a token that does not let in.
func entryError(err error) *apiError {
	if err == errTokenExpired { //nolint:errorlint // of verify
		return &apiError{status: http.StatusUnauthorized, code: codeUnauthorized, message: "Service link has expired"}
	}
	return problem(http.StatusForbidden, codeForbidden, "the token is not one for this service")
}

// admit lets a request in that has a token, the key where people log in, or,
// at the host of the service, the cookie of a browser.
func (s *Server) admit(r *http.Request, v serviceVisit) (entry, error) {
	if tokens := r.Header.Values(serviceTokenHeader); len(tokens) > 0 {
		c, err := s.checkToken(tokens[0], tokenService, v)
		if err == nil && len(tokens) == 1 {
			return entry{origins: c.Origins}, nil
		}
		return entry{}, entryError(err)
	}
	login, hasLogin := s.engine.loginTo(v.id, v.port)
	if hasLogin && s.isKey(r.Header.Get("X-Api-Key")) {
		return entry{login: login.open, origins: login.origins}, nil
	}
	if v.prefix != "" {
		return entry{}, errNoEntry
	}
	var refusal error = errNoEntry
	for _, cookie := range r.CookiesNamed(serviceCookie) {
		c, err := s.checkToken(cookie.Value, tokenService, v)
		if err == errTokenInvalid && hasLogin { //nolint:errorlint // of verify
			c, err = s.checkToken(cookie.Value, tokenLogin, v)
			if err == nil && c.Login != login.id {
				err = errTokenExpired
			}
			c.Origins = login.origins
		}
		if err != nil {
			refusal = entryError(err)
			continue
		}
		in := entry{cookie: true, origins: c.Origins}
		if c.Kind == tokenLogin {
			in.login = login.open
		}
		return in, checkPage(r)
	}
	return entry{}, refusal
}

// checkToken checks a token and that it is for this port of this sandbox.
func (s *Server) checkToken(token string, kind tokenKind, v serviceVisit) (claims, error) {
	c, err := s.engine.signer.verify(token, kind, time.Now())
	if err == nil && (c.Sandbox != v.id || c.Port != v.port) {
		err = errTokenInvalid
	}
	return c, err
}

// checkPage refuses what a page of another origin asks for with the cookie of
// its visitor. Browsers let neighbours below one domain do that.
func checkPage(r *http.Request) error {
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	foreign := (site == "same-site" || site == "cross-site") && mode != "navigate"
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		foreign = foreign || err != nil || u.Host != r.Host
	}
	if foreign {
		return problem(http.StatusForbidden, codeForbidden, "pages of other origins are not let in")
	}
	return nil
}

// serviceGate answers for the addresses that no service gets: there browsers
// are let in.
func (s *Server) serviceGate(w http.ResponseWriter, r *http.Request, v serviceVisit, path string) error {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	switch {
	case v.prefix != "":
		return notSupported("a host for browsers, reached by an address without a name: set ServiceDomain, or send the token as " + serviceTokenHeader)
	case path == embedPath && r.Method == http.MethodGet:
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", embedPolicy)
		_, err := io.WriteString(w, embedPage)
		return err
	case path == authPath && r.Method == http.MethodGet:
		return s.openGate(w, r, v)
	case path == authPath && r.Method == http.MethodPost:
		return s.postToken(w, r, v)
	case path == authPath:
		return notAllowed(r.Method, http.MethodGet, http.MethodPost)
	case path == embedPath:
		return notAllowed(r.Method, http.MethodGet)
	}
	return problem(http.StatusNotFound, codeNotFound, "there is nothing at %s", r.URL.Path)
}

// openGate lets in by the token of a link, or by login, and leads on.
func (s *Server) openGate(w http.ResponseWriter, r *http.Request, v serviceVisit) error {
	query := r.URL.Query()
	token := query.Get("token")
	var c claims
	var err error
	if token == "" {
		token, c.Origins, err = s.logIn(w, r, v)
	} else if c, err = s.checkToken(token, tokenService, v); err != nil {
		err = entryError(err)
	}
	if err != nil {
		return err
	}
	s.setCookie(w, r, token, c)
	w.Header().Set("Location", localRedirect(query.Get("redirect")))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// logIn asks for the key, as the password of whatever user: there are no users
// here. The browser asks in a window of its own, which no page of the sandbox
// can imitate or read. origins are those of pages that may show the service.
func (s *Server) logIn(w http.ResponseWriter, r *http.Request, v serviceVisit) (token string, origins []string, err error) {
	login, ok := s.engine.loginTo(v.id, v.port)
	if !ok {
		return "", nil, errNoEntry
	}
	if _, password, ok := r.BasicAuth(); !ok || !s.isKey(password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox server, the password is its API key", charset="UTF-8"`)
		return "", nil, problem(http.StatusUnauthorized, codeUnauthorized, "Authentication required: the password is the API key of this server")
	}
	token, err = s.engine.signer.sign(claims{Kind: tokenLogin, Sandbox: v.id, Port: v.port, Issued: time.Now().Unix(), Login: login.id})
	return token, login.origins, err
}

// postToken takes a token that was not to be in any address, and says where
// the page that had it is to lead.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request, v serviceVisit) error {
	if err := checkPage(r); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxGateBody)
	token := r.PostFormValue("token")
	c, err := s.checkToken(token, tokenService, v)
	if err != nil {
		return entryError(err)
	}
	s.setCookie(w, r, token, c)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err = io.WriteString(w, localRedirect(r.PostFormValue("redirect")))
	return err
}

// setCookie gives a browser the token as a cookie, also in the frame of a page
// of another origin if the token is for that.
func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, token string, c claims) {
	cookie := &http.Cookie{Name: serviceCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	cookie.Secure = strings.HasPrefix(s.baseURL(r), "https:")
	if len(c.Origins) > 0 && (cookie.Secure || isLoopback(hostname(r.Host))) {
		cookie.Secure, cookie.SameSite, cookie.Partitioned = true, http.SameSiteNoneMode, true
	}
	if c.Expires != 0 {
		cookie.MaxAge = max(int(c.Expires-time.Now().Unix()), 1)
	}
	http.SetCookie(w, cookie)
}

// localRedirect is where a browser is led on to: a path of the same host, or
// its root.
func localRedirect(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsFunc(raw, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) ||
		strings.HasPrefix(u.Path, reservedPath) {
		return "/"
	}
	return u.String()
}

// stripCookie takes the cookie of the gate out of a request.
func stripCookie(h http.Header) {
	lines := h["Cookie"]
	h.Del("Cookie")
	for _, line := range lines {
		kept := slices.DeleteFunc(strings.Split(line, ";"), func(pair string) bool {
			name, _, _ := strings.Cut(pair, "=")
			return strings.TrimSpace(name) == serviceCookie
		})
		if line = strings.TrimSpace(strings.Join(kept, ";")); line != "" {
			h.Add("Cookie", line)
		}
	}
}

// cleanCookies keeps the cookies of a service to its own host, or path, and
// the one of the gate from being set by it.
func cleanCookies(h http.Header, prefix string) {
	lines := h["Set-Cookie"]
	h.Del("Set-Cookie")
	for _, line := range lines {
		parts := strings.Split(line, ";")
		if name, _, _ := strings.Cut(parts[0], "="); strings.TrimSpace(name) == serviceCookie {
			continue
		}
		path := "/"
		kept := parts[:1]
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "domain":
			case "path":
				path = value
			default:
				kept = append(kept, part)
			}
		}
		if !strings.HasPrefix(path, "/") {
			path = "/"
		}
		h.Add("Set-Cookie", strings.Join(kept, ";")+"; Path="+prefix+path)
	}
}

// frameAncestors says which pages may show a service in a frame. What the
// service itself says of that comes on top, but for the older header, which
// knows no origins.
func frameAncestors(h http.Header, origins []string) {
	policy := "frame-ancestors 'self'"
	if len(origins) > 0 {
		policy += " " + strings.Join(origins, " ")
		h.Del("X-Frame-Options")
	}
	h.Add("Content-Security-Policy", policy)
}

// embedScript hands the fragment of its address over, and leads on to where
// the server says.
const embedScript = `
const asked = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
fetch("/_svc/auth", {method: "POST", body: asked}).then(answer => answer.text().then(text => {
  if (answer.ok) location.replace(text);
  else document.body.textContent = text;
}));
`

const embedPage = `<!doctype html><meta charset="utf-8"><title>Opening the service</title><body><script>` + embedScript + `</script></body>`

var embedPolicy = func() string {
	sum := sha256.Sum256([]byte(embedScript))
	return "default-src 'none'; connect-src 'self'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()
