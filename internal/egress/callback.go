package egress

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

const (
	signatureHeader   = "X-Langsmith-Signature-Jwt"
	maxCallbackAnswer = 64 << 10
	maxAnswers        = 1024
	callbackTimeout   = 10 * time.Second
)

// callback asks an endpoint which headers to add.
type callback struct {
	hosts   []glob
	address string // as configured, which is what a signature names
	url     *url.URL
	target  endpoint
	ttl     time.Duration
	headerSet
}

func compileCallback(c *gen.ProxyCallback, at int) (callback, error) {
	cb := callback{address: c.URL, ttl: time.Duration(c.TTLSeconds) * time.Second}
	if c.FullRequest {
		return cb, unsupported("callbacks with the full request", "callbacks", at, "full_request")
	}
	if len(c.MatchHosts) == 0 {
		return cb, badConfig("needs a host", "callbacks", at, "match_hosts")
	}
	if c.TTLSeconds < 60 || c.TTLSeconds > 3600 {
		return cb, badConfig("must be 60 to 3600", "callbacks", at, "ttl_seconds")
	}
	var err error
	if cb.hosts, err = compileHosts(c.MatchHosts, "callbacks", at, "match_hosts"); err != nil {
		return cb, err
	}
	if cb.url, err = url.Parse(c.URL); err != nil || cb.url.User != nil || cb.url.Scheme != "http" && cb.url.Scheme != "https" {
		return cb, badConfig("must be an absolute http or https address without a user", "callbacks", at, "url")
	}
	if cb.target, err = parseEndpoint(cb.url.Host); err != nil {
		return cb, badConfig("the host "+err.Error(), "callbacks", at, "url")
	}
	if cb.target.port == 0 {
		cb.target.port = map[string]uint16{"http": 80, "https": 443}[cb.url.Scheme]
	}
	for i := range c.RequestHeaders {
		h := &c.RequestHeaders[i]
		if h.Type == gen.ProxyHeaderWorkspaceSecret {
			return cb, badConfig("must be plaintext or opaque", "callbacks", at, "request_headers", i, "type")
		}
		if err := cb.add(h, nil); err != nil {
			return cb, badConfig(err.Error(), "callbacks", at, "request_headers", i)
		}
	}
	if cb.secret && cb.url.Scheme != "https" {
		return cb, badConfig("must be https for opaque headers", "callbacks", at, "url")
	}
	return cb, nil
}

// answers keeps what callbacks said.
type answers struct {
	mu    sync.Mutex
	known map[answerKey]answered
}

type answerKey struct{ url, target string }

type answered struct {
	set   headerSet
	until time.Time
}

func (a *answers) get(key answerKey) (headerSet, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.known[key]
	return kept.set, ok && time.Now().Before(kept.until)
}

func (a *answers) put(key answerKey, set headerSet, ttl time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAnswers {
		a.known = make(map[answerKey]answered)
	}
	a.known[key] = answered{set, time.Now().Add(ttl)}
}

func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = nil
}

// ask returns the headers of a callback. All of them count as secrets. What
// fails is not kept.
func (p *Proxy) ask(ctx context.Context, cb *callback, x *exchange) (headerSet, error) {
	key := answerKey{cb.url.String(), x.target.String()}
	if set, ok := p.answers.get(key); ok {
		return set, nil
	}
	set, ok := p.fetch(ctx, cb, x)
	if !ok {
		return set, failed(http.StatusBadGateway, "proxy_internal_error", "the callback for "+x.target.String()+" gave no headers")
	}
	if p.now.Load() == x.gen {
		p.answers.put(key, set, cb.ttl)
	}
	return set, nil
}

func (p *Proxy) fetch(ctx context.Context, cb *callback, x *exchange) (headerSet, bool) {
	var set headerSet
	if err := p.gateway.operator.check(cb.target); err != nil {
		p.log.DebugContext(ctx, "egress callback refused", "reason", err)
		return set, false
	}
	ctx, cancel := context.WithTimeout(ctx, callbackTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{
		"host": x.target.name, "port": x.target.port,
		"identity": map[string]string{"tenant_id": "local", "sandbox_id": p.name},
	})
	if err != nil {
		return set, false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cb.url.String(), bytes.NewReader(body))
	if err != nil {
		return set, false
	}
	req.Header.Set("Content-Type", "application/json")
	for _, f := range cb.fields {
		req.Header.Set(f.name, f.value)
	}
	if sign := p.gateway.cfg.Sign; sign != nil {
		signature, err := sign(cb.address, body)
		if err != nil {
			p.log.WarnContext(ctx, "egress callback cannot be signed", "error", err)
			return set, false
		}
		req.Header.Set(signatureHeader, signature)
	}
	resp, err := x.gen.transport.RoundTrip(req)
	if err != nil {
		return set, false
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return set, false
	}
	return readAnswer(resp.Body)
}

func readAnswer(r io.Reader) (headerSet, bool) {
	var got struct {
		Headers map[string]string `json:"headers"`
	}
	set := headerSet{secret: true}
	if json.NewDecoder(io.LimitReader(r, maxCallbackAnswer)).Decode(&got) != nil || got.Headers == nil {
		return set, false
	}
	for name, value := range got.Headers {
		if set.put(name, value) != nil {
			return set, false
		}
		set.hide(value)
	}
	return set, true
}
