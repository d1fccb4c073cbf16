package sandboxclient

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

const (
	defaultServiceLifetime = 10 * time.Minute
	maxServiceLifetime     = 24 * time.Hour
	maxEmbedOrigins        = 5
)

// ServiceOptions says how a service is shared. A nil pointer is the zero
// value: by token.
type ServiceOptions struct {
	// ExpiresIn is how long each token is good, in whole seconds, rounded up,
	// 24 hours at most; 0 is 10 minutes. A [Service] renews its tokens before
	// that, but an address given to somebody else ends then. It has no place
	// beside a login.
	ExpiresIn time.Duration
	// Access lets people in who log in, instead of a token: then there is no
	// token, nothing expires, and no token is minted for the port until
	// [ServiceOff] takes the login back.
	Access ServiceAccess
	// EmbedOrigins are the origins of pages that may show the service in a
	// frame, such as https://app.example.com, five at most; http is for
	// localhost only.
	EmbedOrigins []string
}

func (o ServiceOptions) login() bool { return o.Access != "" && o.Access != ServiceOff }

func (o ServiceOptions) lifetime() time.Duration {
	if o.ExpiresIn <= 0 {
		return defaultServiceLifetime
	}
	return time.Duration(wholeSeconds(o.ExpiresIn)) * time.Second
}

// request is the options as the server takes them, checked.
func (o ServiceOptions) request(port int) (gen.CreateServiceURL, error) {
	ck := checks{op: "share service of sandbox"}
	ck.port(port)
	switch {
	case o.ExpiresIn < 0:
		ck.fail("lifetime", "is %v; it cannot be negative", o.ExpiresIn)
	case o.ExpiresIn > maxServiceLifetime:
		ck.fail("lifetime", "is %v, more than %v", o.ExpiresIn, maxServiceLifetime)
	case o.ExpiresIn > 0 && o.login():
		ck.fail("lifetime", "has no place beside a login, which does not expire")
	}
	if n := len(o.EmbedOrigins); n > maxEmbedOrigins {
		ck.fail("embed origins", "are %d, more than %d", n, maxEmbedOrigins)
	}
	for _, origin := range o.EmbedOrigins {
		ck.origin("embed origin", origin)
	}
	body := gen.CreateServiceURL{Port: port, Access: o.Access, EmbedOrigins: slices.Clone(o.EmbedOrigins)}
	if o.Access == "" || o.ExpiresIn > 0 {
		body.ExpiresInSeconds = int(o.lifetime() / time.Second)
	}
	return body, ck.err
}

func (c *checks) port(port int) { c.between("port", port, 1, 65535) }

// origin checks the origin of a page.
func (c *checks) origin(argument, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		c.fail(argument, "is not such as https://app.example.com")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		c.fail(argument, "of %s holds more than scheme, host and port", u.Host)
	case transport.Plaintext(u):
		c.fail(argument, "is http, which is for localhost only")
	case strings.ContainsAny(raw, " \t\r\n;,*"):
		c.fail(argument, "holds a character that no origin has")
	}
}

// Services yields the shared services of the sandbox (GET
// /boxes/{name}/service-urls), page by page; params may be nil. Those whose
// tokens have all expired are left out. The error, if any, comes last. Errors:
// [ErrNotFound], [ErrUnsupported].
func (s *Sandbox) Services(ctx context.Context, params *ListServicesParams) iter.Seq2[*ServiceGrant, error] {
	op, err := named("list services of sandbox", s.Name(), serviceRules)
	if err != nil {
		return func(yield func(*ServiceGrant, error) bool) { yield(nil, err) }
	}
	paging := func(q *ListServicesParams) paging { return paging{pageSize: &q.PageSize, cursor: &q.Cursor} }
	send := func(ctx context.Context, q *ListServicesParams, _ ...gen.RequestEditorFn) (*http.Response, error) {
		return s.c.api.ListServiceURLs(ctx, op.resource, q)
	}
	return listOf(ctx, op, params, paging, send, func(l *gen.ServiceGrantList) page[ServiceGrant] {
		return page[ServiceGrant]{items: l.Items, cursor: l.NextCursor}
	})
}

// DeleteService stops to share one port (DELETE /boxes/{name}/service-urls).
// Whoever logged in is out at once; tokens stay good until they expire, and a
// [Service] of the port would mint new ones. Errors: [ErrInvalid],
// [ErrNotFound], [ErrUnsupported].
func (s *Sandbox) DeleteService(ctx context.Context, port int) error {
	ck := checks{op: "delete service of sandbox"}
	if ck.port(port); ck.err != nil {
		return ck.err
	}
	return s.deleteServices(ctx, ck.op, &port)
}

// DeleteServices stops to share all ports; see [Sandbox.DeleteService].
func (s *Sandbox) DeleteServices(ctx context.Context) error {
	return s.deleteServices(ctx, "delete services of sandbox", nil)
}

func (s *Sandbox) deleteServices(ctx context.Context, name string, port *int) error {
	op, err := changing(name, s.Name(), serviceRules)
	if err != nil {
		return err
	}
	return op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.DeleteServiceURLs(ctx, op.resource, &gen.DeleteServiceURLsParams{Port: port})
	})
}
