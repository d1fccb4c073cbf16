package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

var alpn = []string{"h2", "http/1.1"}

// serveOuter answers what a sandbox sends to its proxy.
func (p *Proxy) serveOuter(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		if err := p.connect(w, r); err != nil {
			p.refuse(w, err)
		}
		return
	}
	e, err := plainTarget(r)
	if err != nil {
		p.refuse(w, err)
		return
	}
	p.forward(w, r, e, "http")
}

// plainTarget is where a request goes that names it in full.
func plainTarget(r *http.Request) (endpoint, error) {
	switch {
	case r.URL.Host == "":
		return endpoint{}, malformed("this is a proxy: requests must name a host")
	case r.URL.Scheme != "http":
		return endpoint{}, malformed("only http is forwarded as such: use CONNECT for https")
	}
	return requestTarget(r, 80)
}

// requestTarget reads the host of a request.
func requestTarget(r *http.Request, port uint16) (endpoint, error) {
	if r.URL.User != nil {
		return endpoint{}, malformed("the host has a user name before it")
	}
	host := r.URL.Host
	if host == "" {
		host = r.Host
	}
	e, err := parseEndpoint(host)
	if err != nil {
		return e, malformed("the host of the request " + err.Error())
	}
	if e.port == 0 {
		e.port = port
	}
	return e, nil
}

// connect makes a tunnel, or ends TLS itself where rules have headers to add.
// It returns an error as long as the request can be answered with one.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) error {
	e, err := requestTarget(r, 0)
	if err != nil {
		return err
	}
	if e.port == 0 {
		return malformed("CONNECT needs a port")
	}
	rules := p.now.Load().rules
	if err := p.gateway.check(e, rules); err != nil {
		return err
	}
	if rules.intercepts(e) {
		conn, err := hijack(w)
		if err != nil {
			return err
		}
		p.intercept(r.Context(), conn, e, rules)
		return nil
	}
	upstream, err := p.dial(r.Context(), e, rules)
	if err != nil {
		return err
	}
	conn, err := hijack(w)
	if err != nil {
		upstream.Close()
		return err
	}
	p.tunnel(r.Context(), conn, upstream, &tunnel{target: e})
	return nil
}

// hijack takes a connection over and tells the client that its tunnel is there.
func hijack(w http.ResponseWriter) (*peekConn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, failed(http.StatusInternalServerError, "proxy_internal_error", "no tunnel on this connection")
	}
	_, _ = conn.Write([]byte(established)) // a client that is gone is found out by what comes next
	return &peekConn{Conn: conn, r: rw.Reader}, nil
}

// peekConn reads what was read ahead, first.
type peekConn struct {
	net.Conn

	r *bufio.Reader
}

func (c *peekConn) Read(b []byte) (int, error) {
	if c.r.Buffered() > 0 {
		return c.r.Read(b)
	}
	return c.Conn.Read(b)
}

func (c *peekConn) CloseWrite() error { return closeWrite(c.Conn) }

// peekFor bounds how long a client on a port that is not for TLS may leave
// open what it speaks: some protocols have the server speak first.
const peekFor = 2 * time.Second

// intercept ends TLS and serves the requests in it. What is no TLS becomes a
// plain tunnel, which never gets headers.
func (p *Proxy) intercept(ctx context.Context, conn *peekConn, e endpoint, rules *Rules) {
	wait := peekFor
	if e.port == 443 {
		wait = headerTimeout
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	first, err := conn.r.Peek(1)
	_ = conn.SetReadDeadline(time.Time{})
	if !stop() {
		return
	}
	const handshake = 0x16
	if err == nil && first[0] == handshake {
		p.handoff.give(tls.Server(&targetConn{Conn: conn, target: e}, p.serverTLS(e)))
		return
	}
	if timeout, ok := errors.AsType[net.Error](err); err != nil && (!ok || !timeout.Timeout() || e.port == 443) {
		conn.Close()
		return
	}
	upstream, err := p.dial(ctx, e, rules)
	if err != nil {
		conn.Close()
		return
	}
	p.tunnel(ctx, conn, upstream, &tunnel{target: e, plain: true})
}

func (p *Proxy) serverTLS(e endpoint) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: alpn,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName != "" {
				named, err := parseEndpoint(hello.ServerName)
				if err != nil || named.name != e.name {
					return nil, errors.New("the name in TLS is not the one of the tunnel")
				}
			}
			return p.gateway.authority.certificate(e)
		},
	}
}

// targetConn remembers where a tunnel goes.
type targetConn struct {
	net.Conn

	target endpoint
}

type targetKey struct{}

func withTarget(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		if target, ok := t.NetConn().(*targetConn); ok {
			return context.WithValue(ctx, targetKey{}, target.target)
		}
	}
	return ctx
}

// serveInner answers a request in an intercepted tunnel. It goes where the
// tunnel goes, whatever host it names.
func (p *Proxy) serveInner(w http.ResponseWriter, r *http.Request) {
	target, ok := r.Context().Value(targetKey{}).(endpoint)
	if !ok || r.Method == http.MethodConnect {
		p.refuse(w, malformed("no tunnel in a tunnel"))
		return
	}
	named, err := requestTarget(r, 443)
	if err != nil {
		p.refuse(w, err)
		return
	}
	if named != target {
		p.refuse(w, failed(http.StatusMisdirectedRequest, "http_request_error", "the request names another host than the tunnel"))
		return
	}
	p.forward(w, r, target, "https")
}

// tunnel is bytes that pass unseen.
type tunnel struct {
	target endpoint
	addr   netip.Addr
	plain  bool // there is no TLS in it that rules would look into
	cancel context.CancelFunc
	named  endpoint // the name in its TLS, guarded by Proxy.mu
}

// tunnel passes bytes on until both sides have ended, nothing came for too
// long, or the rules or the proxy end it.
func (p *Proxy) tunnel(ctx context.Context, conn *peekConn, upstream net.Conn, t *tunnel) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.cancel = cancel
	t.addr = remoteAddr(upstream)
	p.mu.Lock()
	p.tunnels[t] = struct{}{}
	if !p.permits(t, p.now.Load().rules) { // they are new, and Apply did not see the tunnel
		cancel()
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.tunnels, t)
		p.mu.Unlock()
	}()
	join(ctx, &helloConn{conn, helloReader{from: conn, check: func(name string) error { return p.named(t, name) }}}, upstream, idleTimeout)
}

// helloConn is a client whose first message is looked at.
type helloConn struct {
	*peekConn

	hello helloReader
}

func (c *helloConn) Read(b []byte) (int, error) { return c.hello.Read(b) }

// named checks the name that a client gives in TLS, which has to be allowed
// as well as the host of its tunnel.
func (p *Proxy) named(t *tunnel, name string) error {
	e, err := parseEndpoint(name)
	if err != nil || e.port != 0 {
		return errHello
	}
	e.port = t.target.port
	p.mu.Lock()
	t.named = e
	err = p.checkNamed(t, p.now.Load().rules)
	p.mu.Unlock()
	if err != nil {
		p.log.Debug("egress refused", "reason", "in TLS to "+t.target.String()+": "+err.Error())
	}
	return err
}

// checkNamed holds the name in TLS to the lists. In a tunnel to an address
// only what is denied counts: lists that allow it know no name. The caller has
// p.mu.
func (p *Proxy) checkNamed(t *tunnel, rules *Rules) error {
	switch {
	case t.named.name == "" || t.named == t.target:
		return nil
	case t.target.addr.IsValid():
		return rules.access.checkDenied(t.named)
	}
	return p.gateway.check(t.named, rules)
}
