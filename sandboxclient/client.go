package sandboxclient

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/mux"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Client talks to one endpoint of the Sandbox Server API. It is safe for
// concurrent use.
type Client struct {
	// Volumes manages volumes.
	Volumes *Volumes
	// Templates manages templates.
	Templates *Templates
	// Pools manages pools.
	Pools *Pools
	// Snapshots manages what sandboxes start from.
	Snapshots *Snapshots
	// Registries manages image registries.
	Registries *Registries
	// Usage reads quotas and what was used.
	Usage *UsageService

	endpoint  *url.URL
	plaintext bool
	commands  CommandPolicy
	logger    *slog.Logger
	doer      transport.Doer
	plain     transport.Doer // to other hosts
	api       *gen.Client
	idle      func() // closes idle connections of our own transport

	mu     sync.Mutex
	trunks map[*mux.Session]struct{} // open connections for tunnels
}

// New returns a client. What the options leave open comes from the
// environment, then from defaults. It sends nothing. Bad options are an
// [ArgumentError].
func New(opts ...Option) (*Client, error) {
	cfg := defaults()
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(cfg); err != nil {
			return nil, err
		}
	}
	endpoint, err := cfg.env.endpoint(cfg.endpoint)
	if err != nil {
		return nil, err
	}
	key := cfg.env.apiKey()
	if cfg.apiKey != nil {
		key = *cfg.apiKey
	}
	if err := checkHeader("X-Api-Key", key); err != nil {
		return nil, err
	}
	c := &Client{endpoint: endpoint, plaintext: cfg.plaintext, commands: cfg.commands, logger: cfg.logger, idle: func() {}}
	if cfg.client == nil {
		own := ownTransport()
		cfg.client = &http.Client{Transport: own}
		c.idle = own.CloseIdleConnections
	}
	c.doer = transport.New(transport.Config{
		Endpoint:       endpoint,
		APIKey:         key,
		Header:         cfg.header,
		UserAgent:      cfg.agent,
		Client:         cfg.client,
		Retry:          transport.Retry(cfg.retry),
		Timeout:        cfg.timeout,
		Logger:         cfg.logger,
		AllowPlaintext: cfg.plaintext,
	})
	c.plain = transport.Plain(cfg.client, cfg.logger)
	c.api = &gen.Client{Server: endpoint.String() + "/", Client: c.doer}
	c.Volumes, c.Templates, c.Pools = &Volumes{c}, &Templates{c}, &Pools{c}
	c.Snapshots, c.Registries, c.Usage = &Snapshots{c}, &Registries{c}, &UsageService{c}
	return c, nil
}

// ownTransport is the standard transport with more idle connections to one
// host, since a client talks to few.
func ownTransport() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport) //nolint:forbidigo // cloned, not used
	if !ok {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}

// Endpoint is the base URL of the API, as resolved by [New].
func (c *Client) Endpoint() string { return c.endpoint.String() }

// API is the generated client of the control plane, for what this package does
// not wrap. It shares transport, credentials and retries; its methods check
// nothing, and return answers as they are, whose bodies the caller closes. A
// POST is repeated only if nothing of it was sent.
func (c *Client) API() *gen.Client { return c.api }

// Close closes idle connections, and what was opened by [Sandbox.DialContext]
// and [Sandbox.Tunnel] breaks off. It deletes nothing, and the client can still
// be used.
func (c *Client) Close() error {
	c.closeTrunks()
	c.idle()
	return nil
}

// ContextWithHeader returns a context whose calls send a header, over the same
// header of the client. An [Ephemeral] does not send it when it is closed.
func ContextWithHeader(ctx context.Context, key, value string) context.Context {
	return transport.WithHeader(ctx, key, value)
}
