package egress

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// Limits of what sandboxes may have open at a time.
const (
	maxConns      = 256  // connections of one sandbox
	maxConnsTotal = 2048 // connections of all sandboxes of a server
	maxHeader     = 64 << 10
	maxAnswer     = 256 << 10 // header of an answer
	maxStreams    = 100       // requests at a time on one HTTP/2 connection
	requestWindow = 128 << 10 // of a request on HTTP/2, not yet read by its host
	answerWindow  = 512 << 10 // of an answer, not yet read by the sandbox
	headerTimeout = 30 * time.Second
	idleTimeout   = 15 * time.Minute // of a tunnel, and for an answer to begin
	keepAlive     = time.Minute      // of a connection between requests
	lookupTimeout = 10 * time.Second
	dialTimeout   = 30 * time.Second
)

// Policy is what the operator of a server lets its sandboxes reach. The zero
// value is nothing.
type Policy struct {
	// Allow lists hosts in the notation of access lists: host and *.domain for
	// ports 80 and 443, host:port, ~expression for the whole name, address,
	// range. "*" is every host; what is not public still is out of reach.
	Allow []string
	// Private opens ranges of addresses that are not public. Loopback,
	// link-local and other special ranges are opened only by a range within
	// them, this machine's own addresses and metadata services only by the
	// very address.
	Private []netip.Prefix
	// Secrets are what headers may name, by name.
	Secrets map[string]string
}

// Config configures a Gateway. Fields but Policy may be left out.
type Config struct {
	Policy Policy
	// RootCAs are trusted for connections to hosts; nil means the system's.
	RootCAs *x509.CertPool
	// Logger receives refused destinations, at debug level. Headers, paths
	// and secrets are never logged.
	Logger *slog.Logger
	// Sign makes the signature of what the callback with an address, as
	// configured, is asked; nil leaves it unsigned. It is called from many
	// goroutines.
	Sign func(address string, body []byte) (string, error)

	// Lookup resolves names and Dial connects to addresses that were checked;
	// nil means the machine's. Tests bring their own.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)

	local func() ([]netip.Addr, error)
	limit int
}

// Gateway is what the proxies of a server share. It is safe for concurrent
// use. Close closes the proxies that are left.
type Gateway struct {
	cfg       Config
	operator  access
	addresses addresses
	authority authority
	slots     chan struct{} // one for each connection of all sandboxes

	mu      sync.Mutex
	closed  bool
	proxies map[*Proxy]struct{}
}

// NewGateway checks a policy.
func NewGateway(cfg Config) (*Gateway, error) {
	g := &Gateway{operator: access{closed: true}, slots: make(chan struct{}, maxConnsTotal), proxies: make(map[*Proxy]struct{})}
	list, err := compileList(cfg.Policy.Allow, true)
	if err != nil {
		return nil, fmt.Errorf("allowed hosts: %w", err)
	}
	g.operator.allow = list
	cfg.Policy.Secrets = maps.Clone(cfg.Policy.Secrets)
	for _, p := range cfg.Policy.Private {
		if !p.IsValid() {
			return nil, fmt.Errorf("private range %v is not valid", p)
		}
		if p, err = parsePrefix(p.String()); err != nil {
			return nil, fmt.Errorf("private range %v: %w", p, err)
		}
		g.addresses.private = append(g.addresses.private, p)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Lookup == nil {
		cfg.Lookup = net.DefaultResolver.LookupNetIP
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.local == nil {
		cfg.local = localAddrs
	}
	if cfg.limit == 0 {
		cfg.limit = maxConns
	}
	g.addresses.local = cfg.local
	g.cfg = cfg
	return g, nil
}

// Allows reports whether the operator lets sandboxes reach anything.
func (g *Gateway) Allows() bool { return len(g.operator.allow) > 0 }

// Close closes all proxies, and what is opened from now on.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.closed = true
	open := slices.Collect(maps.Keys(g.proxies))
	g.mu.Unlock()
	for _, p := range open {
		p.Close()
	}
}

// enter takes a proxy in, unless the gateway is closed.
func (g *Gateway) enter(p *Proxy) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.proxies[p] = struct{}{}
	}
	return !g.closed
}

func (g *Gateway) leave(p *Proxy) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.proxies, p)
}

// Compile makes rules of a proxy configuration, with the operator's secrets.
func (g *Gateway) Compile(c gen.ProxyConfig) (*Rules, error) {
	return Compile(c, g.cfg.Policy.Secrets)
}

// CertificatePEM is the certificate of the authority behind the certificates
// that a sandbox sees where rules intercept.
func (g *Gateway) CertificatePEM() ([]byte, error) { return g.authority.certificatePEM() }

// check decides by name and port, for the operator and for the sandbox.
func (g *Gateway) check(e endpoint, rules *Rules) error {
	if !g.Allows() {
		return refused(e, "is out of reach: the server's operator allows no network")
	}
	if g.operator.check(e) != nil {
		return refused(e, "is out of reach: the server's operator does not allow it")
	}
	return rules.access.check(e)
}
