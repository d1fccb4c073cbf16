package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
)

// forward sends a request to its target, with the headers that rules add. It
// waits while the sandbox has as many requests as it may have connections.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, e endpoint, scheme string) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-r.Context().Done():
		return
	}
	x := &exchange{target: e, scheme: scheme, gen: p.now.Load()}
	err := p.gateway.check(e, x.gen.rules)
	if err == nil {
		x.headerSet, err = p.headersFor(r, x)
	}
	if err != nil {
		p.refuse(w, err)
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), exchangeKey{}, x))
	defer cancel()
	x.cancel = cancel
	defer p.track(x)()
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
}

// headersFor finds the headers to add. Secrets go nowhere in the clear, and
// not with a request that asks for its own echo.
func (p *Proxy) headersFor(r *http.Request, x *exchange) (headerSet, error) {
	rule, cb, err := x.gen.rules.choose(x.target, r)
	var set headerSet
	switch {
	case err != nil:
		return set, err
	case rule != nil:
		set = rule.headerSet
	case cb != nil:
		set.secret = true
	}
	if !set.secret {
		return set, nil
	}
	if x.scheme != "https" {
		return set, refused(x.target, "gets secrets by the proxy's rules, which are sent over TLS only: use https")
	}
	if r.Method == http.MethodTrace {
		return set, failed(http.StatusMethodNotAllowed, "http_request_error", "TRACE would return the secrets that rules add")
	}
	if cb != nil {
		return p.ask(r.Context(), cb, x)
	}
	return set, nil
}

func (p *Proxy) newReverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      transport{p},
		ModifyResponse: modify,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p.refuse(w, explain(exchangeOf(r.Context()).target, err))
		},
		FlushInterval: -1,
		BufferPool:    bufferPool{},
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// bufferPool lends the buffers of tunnels.
type bufferPool struct{}

func (bufferPool) Get() []byte {
	return buffers.Get().(*[maskBuffer]byte)[:] //nolint:errcheck,forcetypeassert // nothing else is in there
}

func (bufferPool) Put(b []byte) { buffers.Put((*[maskBuffer]byte)(b)) }

// rewrite makes the request that leaves. A proxy that the sandbox chose has no
// reason to tell of itself, and passes on what the sandbox says of others.
func rewrite(r *httputil.ProxyRequest) {
	x := exchangeOf(r.In.Context())
	out := r.Out
	out.URL.Scheme, out.URL.Host, out.URL.User = x.scheme, x.target.String(), nil
	out.URL.RawQuery = r.In.URL.RawQuery
	out.Host = hostField(x.target, x.scheme)
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := r.In.Header.Values(name); len(values) > 0 {
			out.Header[name] = values
		}
	}
	for _, f := range x.fields {
		out.Header.Set(f.name, f.value)
	}
	if x.secret {
		// So that secrets are found in the answer.
		out.Header.Set("Accept-Encoding", "identity")
		out.Header.Del("Range")
	}
}

// hostField leaves the port out where it goes without saying.
func hostField(e endpoint, scheme string) string {
	if scheme == "https" && e.port == 443 || scheme == "http" && e.port == 80 {
		if e.addr.Is6() {
			return "[" + e.name + "]"
		}
		return e.name
	}
	return e.String()
}

// modify masks secrets that an answer repeats.
func modify(resp *http.Response) error {
	x := exchangeOf(resp.Request.Context())
	if len(x.masks) == 0 {
		return nil
	}
	maskHeader(resp.Header, x.masks)
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != http.NoBody {
		resp.Body = &maskReader{body: resp.Body, secrets: x.masks, end: func() { maskHeader(resp.Trailer, x.masks) }}
	}
	return nil
}

// explain says what happened, without what a library puts in its errors.
func explain(e endpoint, err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failed(http.StatusBadGateway, "tls_certificate_error", "the certificate of "+e.String()+" is not valid")
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || strings.Contains(err.Error(), "timeout") {
		return failed(http.StatusGatewayTimeout, "http_response_timeout", e.String()+" does not answer")
	}
	return failed(http.StatusBadGateway, "connection_terminated", "the request to "+e.String()+" failed")
}
