package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
)

// Proxy serves one sandbox. It is safe for concurrent use.
type Proxy struct {
	gateway *Gateway
	name    string
	addr    net.Addr
	log     *slog.Logger

	ctx    context.Context //nolint:containedctx // ends with Close
	cancel context.CancelFunc
	now    atomic.Pointer[generation]

	outer, inner *http.Server // of what comes from the sandbox, and of what is in intercepted tunnels
	handoff      *handoff
	reverse      *httputil.ReverseProxy
	clients      conns // from the sandbox, also those that changed their protocol
	upstream     conns
	answers      answers       // of callbacks
	slots        chan struct{} // one for each request: over HTTP/2 many share a connection

	running sync.WaitGroup // servers, connections and requests

	mu        sync.Mutex
	tunnels   map[*tunnel]struct{}
	exchanges map[*exchange]struct{}
}

// generation is rules and the connections that were made by them.
type generation struct {
	rules     *Rules
	transport *http.Transport
}

// Open serves requests from a listener, which it takes over, until Close.
// The name is for the log, and for callbacks.
func (g *Gateway) Open(l net.Listener, name string, rules *Rules) *Proxy {
	p := &Proxy{
		gateway: g, name: name, addr: l.Addr(),
		log:       g.cfg.Logger.With("sandbox", name),
		tunnels:   make(map[*tunnel]struct{}),
		exchanges: make(map[*exchange]struct{}),
		slots:     make(chan struct{}, g.cfg.limit),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.handoff = &handoff{conns: make(chan net.Conn), done: p.ctx.Done()}
	p.now.Store(p.newGeneration(rules))
	p.reverse = p.newReverse()
	p.outer = p.newServer(http.HandlerFunc(p.serveOuter))
	p.inner = p.newServer(http.HandlerFunc(p.serveInner))
	p.inner.ConnContext = withTarget
	p.inner.TLSConfig = &tls.Config{NextProtos: alpn, MinVersion: tls.VersionTLS12}
	p.inner.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReceiveBufferPerStream:     requestWindow,
		MaxReceiveBufferPerConnection: 2 * requestWindow,
	}
	outer := &slotListener{Listener: l, own: make(chan struct{}, g.cfg.limit), shared: g.slots, open: &p.clients, done: p.ctx.Done()}
	p.running.Go(func() {
		if err := p.outer.Serve(outer); !errors.Is(err, http.ErrServerClosed) && p.ctx.Err() == nil {
			p.log.Debug("egress proxy ended", "error", err)
		}
	})
	p.running.Go(func() { _ = p.inner.Serve(p.handoff) })
	if !g.enter(p) {
		p.Close()
	}
	return p
}

// newServer makes a server whose connections and requests Close waits for.
func (p *Proxy) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.running.Add(1)
			defer p.running.Done()
			h.ServeHTTP(w, r)
		}),
		BaseContext: func(net.Listener) context.Context { return p.ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				p.running.Add(1)
			case http.StateClosed, http.StateHijacked:
				p.running.Done()
			default:
			}
		},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

func (p *Proxy) newGeneration(rules *Rules) *generation {
	gen := &generation{rules: rules}
	gen.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			e, err := parseEndpoint(address)
			if err != nil {
				return nil, err
			}
			return p.dial(ctx, e, rules)
		},
		TLSClientConfig:        &tls.Config{RootCAs: p.gateway.cfg.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    8,
		MaxIdleConns:           64,
		IdleConnTimeout:        keepAlive,
		TLSHandshakeTimeout:    headerTimeout,
		ResponseHeaderTimeout:  idleTimeout,
		ExpectContinueTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxAnswer,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     answerWindow,
			MaxReceiveBufferPerConnection: 32 * answerWindow, // some that are not read keep no others waiting
		},
	}
	return gen
}

// dial connects to a host until the proxy is closed.
func (p *Proxy) dial(ctx context.Context, e endpoint, rules *Rules) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)() //nolint:contextcheck // ends with either
	conn, err := p.gateway.dial(ctx, e, rules)
	if err != nil {
		return nil, err
	}
	return p.upstream.add(conn)
}

// Apply replaces the rules. Tunnels that they do not allow, or would look
// into, are closed, and requests on their way that they do not allow; others
// go on, with the headers they began with.
func (p *Proxy) Apply(rules *Rules) {
	old := p.now.Swap(p.newGeneration(rules))
	old.transport.CloseIdleConnections()
	p.answers.forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.tunnels {
		if !p.permits(t, rules) {
			t.cancel()
		}
	}
	for x := range p.exchanges {
		p.review(x, rules)
	}
}

// permits reports whether a tunnel may be there by new rules. The caller has
// p.mu.
func (p *Proxy) permits(t *tunnel, rules *Rules) bool {
	if p.gateway.check(t.target, rules) != nil || rules.intercepts(t.target) && !t.plain ||
		p.checkNamed(t, rules) != nil {
		return false
	}
	return rules.access.checkAddr(t.target, t.addr) == nil
}

// Addr is the address that clients connect to.
func (p *Proxy) Addr() net.Addr { return p.addr }

// Rules returns the rules in force.
func (p *Proxy) Rules() *Rules { return p.now.Load().rules }

// Close closes the listener and all connections and waits until nothing is
// left. It may be called more than once.
func (p *Proxy) Close() {
	p.cancel()
	p.outer.Close()
	p.inner.Close()
	p.clients.close()
	p.upstream.close()
	p.running.Wait()
	p.gateway.leave(p)
	p.now.Load().transport.CloseIdleConnections()
}

// refuse answers with an error, and logs where to.
func (p *Proxy) refuse(w http.ResponseWriter, err error) {
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusForbidden {
		p.log.Debug("egress refused", "reason", r.text)
	}
	answer(w, err)
}
