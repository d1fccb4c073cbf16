package sandboxserver

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// defaultServiceLifetime is that of a token, in seconds, if the request does
// not say.
const defaultServiceLifetime = 600

// share is a port of a sandbox that is shared, by token or by login.
type share struct {
	meta    // its id tells one login from a later one
	port    int
	access  gen.ServiceGrantAccess
	origins []string  // of a login
	expires time.Time // of the last token

	open context.Context //nolint:containedctx // the login's: ends when it is taken back
	end  context.CancelFunc
}

func (s *share) login() bool { return s.access != gen.ServiceGrantToken }

func (s *share) view() gen.ServiceGrant {
	return gen.ServiceGrant{Port: s.port, Access: s.access, CreatedAt: s.created, CreatedBy: localUser, EmbedOrigins: slices.Clone(s.origins), ExpiresAt: s.expires}
}

// createServiceURL shares a port. It neither starts the sandbox nor looks for
// a service.
func (e *engine) createServiceURL(ctx context.Context, name string, req gen.CreateServiceURL) (out gen.ServiceURL, err error) {
	origins, err := embedOrigins(req.EmbedOrigins)
	if err != nil {
		return out, err
	}
	login := gen.ServiceGrantAccess(req.Access)
	if req.Access == gen.ServiceOff {
		login = ""
	}
	if login != "" && req.ExpiresInSeconds != 0 {
		return out, invalid("expires_in_seconds has no place beside a login", "expires_in_seconds")
	}
	now := time.Now()
	expires := now.Add(seconds(cmp.Or(req.ExpiresInSeconds, defaultServiceLifetime))).UTC().Truncate(time.Second)
	var id string
	if err := e.do(func() error {
		b, err := e.boxes.find(name)
		if err != nil {
			return err
		}
		id = b.id
		e.boxes.mark(b)
		if login != "" {
			e.grantLogin(b, req.Port, login, origins)
			return nil
		}
		return e.grantToken(b, req.Port, expires, req.Access == gen.ServiceOff)
	}); err != nil {
		return out, err
	}
	at := e.serviceAddresses(ctx, id, req.Port)
	if login != "" {
		return gen.ServiceURL{ServiceURL: at.program, BrowserURL: at.browser + "/", Access: req.Access, EmbedOrigins: origins}, nil
	}
	token, err := e.signer.sign(claims{
		Kind: tokenService, Sandbox: id, Port: req.Port, Issued: now.Unix(), Expires: expires.Unix(), Origins: origins,
	})
	return gen.ServiceURL{
		ServiceURL: at.program, BrowserURL: at.browser + authPath + "?token=" + token, EmbedURL: at.browser + embedPath + "#token=" + token,
		Token: token, ExpiresAt: expires.Format(time.RFC3339), EmbedOrigins: origins,
	}, err
}

// grantLogin lets people in who log in, or changes what they get. mu is held.
func (e *engine) grantLogin(b *box, port int, access gen.ServiceGrantAccess, origins []string) {
	s := b.shares[port]
	if s == nil || !s.login() {
		s = &share{meta: e.newMeta(newID(), ""), port: port}
		s.open, s.end = context.WithCancel(context.Background())
		b.share(s)
	}
	s.access, s.origins = access, origins
}

// grantToken notes that there is a token. mu is held.
func (e *engine) grantToken(b *box, port int, expires time.Time, off bool) error {
	s := b.shares[port]
	if s != nil && s.login() && !off {
		return problem(409, codeConflict, "port %d of sandbox %q is shared by login: ask with access off for a token instead", port, b.name)
	}
	if s == nil || s.login() || !time.Now().Before(s.expires) {
		s = &share{meta: e.newMeta(newID(), ""), port: port, access: gen.ServiceGrantToken}
		b.share(s)
	}
	if expires.After(s.expires) {
		s.expires = expires
	}
	return nil
}

func (b *box) share(s *share) {
	if b.shares == nil {
		b.shares = map[int]*share{}
	}
	b.unshare(s.port)
	b.shares[s.port] = s
}

// unshare ends what came in by a login, too.
func (b *box) unshare(port int) {
	if s := b.shares[port]; s != nil && s.end != nil {
		s.end()
	}
	delete(b.shares, port)
}

// listServiceURLs shows what is shared, the newest first.
func (e *engine) listServiceURLs(name string, p gen.ListServiceURLsParams) (out gen.ServiceGrantList, err error) {
	return out, e.look(func() error {
		b, err := e.boxes.find(name)
		if err != nil {
			return err
		}
		now := time.Now()
		var live []*share
		for _, s := range b.shares {
			if s.login() || now.Before(s.expires) {
				live = append(live, s)
			}
		}
		l := listing[*share]{order: "services " + b.id, limit: value(p.PageSize), cursor: value(p.Cursor)}
		page, err := l.pages(live)
		out = gen.ServiceGrantList{Items: views(page.items, (*share).view), NextCursor: page.cursor}
		return err
	})
}

// deleteServiceURLs stops to share one port, or all.
func (e *engine) deleteServiceURLs(name string, port *int) error {
	return e.do(func() error {
		b, err := e.boxes.find(name)
		switch {
		case err != nil:
			return err
		case port != nil:
			b.unshare(*port)
		default:
			b.unshareAll()
		}
		e.boxes.mark(b)
		return nil
	})
}

func (b *box) unshareAll() {
	for port := range b.shares {
		b.unshare(port)
	}
}

// loginTo is the login that a port of a sandbox is shared by now, if it is.
func (e *engine) loginTo(id string, port int) (s share, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.boxes.byID[id]
	if b == nil || b.shares[port] == nil || !b.shares[port].login() {
		return s, false
	}
	return *b.shares[port], true
}

// originHost is a host as it stands in an origin: a name in ASCII, or an
// address, and maybe a port.
var originHost = regexp.MustCompile(`^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?$`)

const maxHostname = 253 // characters

// embedOrigins checks origins of pages and writes them in the one way. They
// become a part of a header.
func embedOrigins(given []string) ([]string, error) {
	var origins []string
	for i, raw := range given {
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return nil, notOrigin(i)
		}
		host := originHost.FindStringSubmatch(strings.ToLower(u.Host))
		if host == nil || len(u.Hostname()) > maxHostname || len(host[1]) == 5 && host[1] > "65535" {
			return nil, notOrigin(i)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
			return nil, invalid("an origin must be https, or http on localhost", "embed_origins", i)
		}
		origin := u.Scheme + "://" + host[0]
		origin = strings.TrimSuffix(origin, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins, nil
}

func notOrigin(i int) error {
	return invalid("an origin is such as https://app.example.com", "embed_origins", i)
}

// isLoopback reports whether a host name is of this machine, without asking
// for it.
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}
