package egress

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
)

// exchange is a request on its way, and its answer.
type exchange struct {
	target endpoint
	scheme string
	gen    *generation
	headerSet

	addr   netip.Addr // where it went, guarded by Proxy.mu
	cancel context.CancelFunc
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// track has Apply know of an exchange until it ends.
func (p *Proxy) track(x *exchange) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges[x] = struct{}{}
	p.review(x, p.now.Load().rules) // they are new if Apply did not see it
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.exchanges, x)
	}
}

// review ends an exchange that rules do not allow. The caller has p.mu.
func (p *Proxy) review(x *exchange, rules *Rules) {
	if p.gateway.check(x.target, rules) != nil || x.addr.IsValid() && rules.access.checkAddr(x.target, x.addr) != nil {
		x.cancel()
	}
}

// transport sends a request by the rules it began with.
type transport struct{ p *Proxy }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		t.p.mu.Lock()
		defer t.p.mu.Unlock()
		x.addr = remoteAddr(info.Conn)
		t.p.review(x, t.p.now.Load().rules)
	}}
	if len(x.masks) > 0 {
		// Runs before the hook that passes such an answer on.
		trace.Got1xxResponse = func(_ int, h textproto.MIMEHeader) error {
			maskHeader(http.Header(h), x.masks)
			return nil
		}
	}
	return x.gen.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}
