package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// serviceTokenHeader is what lets a request in to a service.
const serviceTokenHeader = "X-Langsmith-Sandbox-Service-Token"

// Service is an HTTP service that listens on a port of a sandbox, reached from
// here. It is an [http.RoundTripper] whose requests have the service's token,
// which is minted when it is first needed, and anew 30 seconds before it
// expires or after half of a life shorter than a minute, by one request for all
// who wait; each of them waits as long as its own context lasts. If that fails
// while the old token is still good, the old one is used, and the next attempt
// is made 5 seconds later.
//
// Requests may have the whole address of the service (see [Service.URL]) or
// only a path below it, as in
//
//	resp, err := sb.Service(8080, nil).Client().Get("/healthz")
//
// and are refused, as [ErrInvalid], for any other address. They carry neither
// the API key nor the headers of the client, are not repeated, and their
// answers are passed on as they are, whatever the status. Connections, such as
// those of WebSockets, work as well. Where people log in there is no token, and
// the service answers such a request with 401. A Service is safe for concurrent use and
// needs no closing.
type Service struct {
	sb     *Sandbox
	grants *serviceGrants
}

var _ http.RoundTripper = (*Service)(nil)

// Service returns a handle on a service. It sends nothing: bad arguments and
// all errors of POST /boxes/{name}/service-url are returned by whatever needs
// the answer first. opts may be nil. Nothing starts or checks the service
// itself; a request to it wakes a stopped sandbox.
func (s *Sandbox) Service(port int, opts *ServiceOptions) *Service {
	v := &Service{sb: s}
	o := pointed(opts)
	body, err := o.request(port)
	v.grants = newServiceGrants(o.lifetime(), func(ctx context.Context, first bool) (*ServiceURL, error) {
		if err != nil {
			return nil, err
		}
		again := body
		if !first && again.Access == ServiceOff {
			again.Access = "" // a login that was granted since stays
		}
		return s.mintService(ctx, again)
	})
	return v
}

// serviceRules: nothing else than the sandbox can be missing.
var serviceRules = [][]rule{{notFound(resourceSandbox)}, generic}

func (s *Sandbox) mintService(ctx context.Context, body gen.CreateServiceURL) (*ServiceURL, error) {
	op, err := named("share service of sandbox", s.Name(), serviceRules)
	if err != nil {
		return nil, err
	}
	op.call.Repeat = transport.RepeatSafe // a token too many does no harm
	return fetch[ServiceURL](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.CreateServiceURL(ctx, op.resource, body)
	})
}

// Get returns what the server says of the service, with a token that is good
// for a while. It sends nothing as long as the last answer is good. The
// answer is the caller's. Errors: [ErrInvalid], [ErrNotFound], [ErrConflict]
// without a login where people log in, [ErrUnsupported].
func (v *Service) Get(ctx context.Context) (*ServiceURL, error) {
	g, err := v.grants.get(ctx)
	if err != nil {
		return nil, err
	}
	answer := g.answer
	answer.EmbedOrigins = append([]string(nil), answer.EmbedOrigins...)
	return &answer, nil
}

// Token is the present token, empty where people log in; see [Service.Get].
// It is sent as X-Langsmith-Sandbox-Service-Token.
func (v *Service) Token(ctx context.Context) (string, error) {
	g, err := v.grants.get(ctx)
	if err != nil {
		return "", err
	}
	return g.answer.Token, nil
}

// URL is the address of the service for programs, which send the token; see
// [Service.Get]. It ends with a slash, and is the caller's.
func (v *Service) URL(ctx context.Context) (*url.URL, error) {
	_, base, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	return base.JoinPath("/"), nil
}

// BrowserURL is the address for a browser, with a token in it that lets in
// whoever has the address, or without where people log in; see [Service.Get].
func (v *Service) BrowserURL(ctx context.Context) (*url.URL, error) {
	g, err := v.grants.get(ctx)
	if err != nil {
		return nil, err
	}
	raw := g.answer.BrowserURL
	if raw == "" {
		raw = g.answer.ServiceURL
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, v.protocolError("the server's address for browsers is no URL")
	}
	return u, nil
}

// Client is an HTTP client of the service. It follows redirects within the
// service; one that leads elsewhere is the answer. Each call returns a client
// of its own.
func (v *Service) Client() *http.Client {
	return &http.Client{Transport: v, CheckRedirect: v.checkRedirect}
}

const maxRedirects = 10

func (v *Service) checkRedirect(req *http.Request, via []*http.Request) error {
	base, err := v.base(v.grants.last())
	if err != nil {
		return err
	}
	if _, err := below(base, req.URL); err != nil {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

// RoundTrip sends a request to the service; see [Service].
func (v *Service) RoundTrip(req *http.Request) (*http.Response, error) {
	out, err := v.outgoing(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := v.sb.c.plain.Do(out)
	if err != nil {
		return nil, err
	}
	if location := resp.Header.Get("Location"); location != "" && !req.URL.IsAbs() {
		// Whoever follows it knows the path that was asked for, and not where
		// that is.
		if u, err := out.URL.Parse(location); err == nil {
			resp.Header.Set("Location", u.String())
		}
	}
	return resp, nil
}

// outgoing is the request as it is sent.
func (v *Service) outgoing(req *http.Request) (*http.Request, error) {
	if req.URL == nil {
		return nil, &ArgumentError{Op: serviceRequest, Argument: "URL", Reason: "is nil"}
	}
	g, base, err := v.current(req.Context())
	if err != nil {
		return nil, err
	}
	target, err := below(base, req.URL)
	if err != nil {
		return nil, err
	}
	out := req.Clone(req.Context())
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.URL, out.Host, out.RequestURI = target, "", ""
	out.Header.Del(serviceTokenHeader)
	if g.answer.Token != "" {
		out.Header.Set(serviceTokenHeader, g.answer.Token)
	}
	return out, nil
}

const serviceRequest = "request to service"

// current is the present answer of the server and the address in it.
func (v *Service) current(ctx context.Context) (*serviceGrant, *url.URL, error) {
	g, err := v.grants.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	base, err := v.base(g)
	return g, base, err
}

// base is the address of a service, which must not be less safe than the
// endpoint, as a token goes there.
func (v *Service) base(g *serviceGrant) (*url.URL, error) {
	if g == nil {
		return nil, errors.New("the address of the service is not known")
	}
	raw := g.answer.ServiceURL
	if raw == "" {
		raw = g.answer.BrowserURL
	}
	if raw == "" {
		return nil, v.protocolError("the server's answer has no address of the service")
	}
	base, err := v.sb.c.safeBase("service URL", raw)
	if err != nil {
		return nil, v.protocolError(err.Error())
	}
	return base, nil
}

func (v *Service) protocolError(message string) *APIError {
	return &APIError{Op: serviceRequest, Name: v.sb.Name(), Message: message, kinds: kinds(ErrProtocol)}
}

// below places an address under base: a path, or an address that is there
// already.
func below(base, u *url.URL) (*url.URL, error) {
	refused := func(reason string) error {
		return &ArgumentError{Op: serviceRequest, Argument: "URL", Reason: reason}
	}
	rest := u.EscapedPath()
	switch {
	case u.Opaque != "":
		return nil, refused("is no path")
	case u.Scheme == "" && u.Host == "" && u.User == nil:
	case !transport.SameOrigin(u, base):
		return nil, refused(fmt.Sprintf("leads to %s, not to the service at %s", u.Host, base.Host))
	case u.User != nil:
		return nil, refused("holds a user name or password")
	default:
		prefix := base.EscapedPath()
		var ok bool
		if rest, ok = strings.CutPrefix(rest, prefix); !ok || rest != "" && rest[0] != '/' {
			return nil, refused(fmt.Sprintf("leads to another path of %s than that of the service", base.Host))
		}
	}
	rest = "/" + strings.TrimLeft(rest, "/")
	// The sender removes no dots, the receiver may: what it then asks for must
	// still be the service.
	if unescaped, err := url.PathUnescape(rest); err != nil || climbs(unescaped) {
		return nil, refused("climbs out of the service")
	}
	target := *base
	target.RawPath = base.EscapedPath() + rest
	var err error
	if target.Path, err = url.PathUnescape(target.RawPath); err != nil {
		return nil, refused("is not a URL")
	}
	target.RawQuery, target.ForceQuery = u.RawQuery, u.ForceQuery
	return &target, nil
}

// climbs reports whether a path leaves the directory in which it begins.
func climbs(p string) bool {
	p = path.Clean("./" + strings.ReplaceAll(p, "\\", "/"))
	return p == ".." || strings.HasPrefix(p, "../")
}
