package sandboxserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/egress"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// trustFile is where a sandbox whose traffic rules look into finds the
// certificates it trusts.
const trustFile = "/etc/ssl/sandbox-proxy.pem"

// rootFiles are where systems keep the certificates they trust.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// maxRoots bounds such a file.
const maxRoots = 4 << 20

// networked is a sandbox that is given a way to the network when its server or
// its own configuration speaks of one.
type networked struct {
	runtime.Sandbox

	id      string
	limits  runtime.Limits
	gateway *egress.Gateway
	now     atomic.Pointer[route]

	mu     sync.Mutex // one change at a time
	closed bool
	proxy  *egress.Proxy
}

// route is a configuration in force, and what commands have to know of it.
type route struct {
	config gen.ProxyConfig
	env    map[string]string
}

// connect starts a sandbox with its way to the network.
func (e *engine) connect(ctx context.Context, spec runtime.Spec, config gen.ProxyConfig) (runtime.Sandbox, error) {
	sb, err := e.rt.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	n := &networked{Sandbox: sb, id: spec.ID, limits: spec.Limits, gateway: e.gateway}
	if err := n.apply(ctx, config); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if n.proxy == nil && given(config) {
		e.log.WarnContext(ctx, "proxy rules of a sandbox are not applied with this isolation", "sandbox", spec.ID)
	}
	return n, nil
}

// follows reports whether a configuration is the one in force.
func (n *networked) follows(config gen.ProxyConfig) bool {
	now := n.now.Load()
	return now != nil && reflect.DeepEqual(now.config, config)
}

// apply puts a configuration in force. A sandbox that has the host's network
// or no isolation goes on without a proxy.
func (n *networked) apply(ctx context.Context, config gen.ProxyConfig) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	rules, err := n.gateway.Compile(config)
	if err != nil {
		return err
	}
	r := &route{config: cloneProxy(config)}
	switch {
	case n.closed:
		return runtime.ErrClosed
	case n.proxy != nil:
		n.proxy.Apply(rules)
	case n.gateway.Allows() || given(config):
		l, err := n.Listen(ctx)
		if errors.Is(err, runtime.ErrUnsupported) {
			n.now.Store(r)
			return nil
		}
		if err != nil {
			return err
		}
		n.proxy = n.gateway.Open(l, n.id, rules)
	default:
		n.now.Store(r)
		return nil
	}
	r.env = egress.Env(n.proxy.Addr().String())
	if rules.Intercepts() {
		if err := n.trust(ctx); err != nil {
			return err
		}
		maps.Copy(r.env, egress.TrustEnv(trustFile))
	}
	n.now.Store(r)
	return nil
}

// trust gives the sandbox the certificate of the gateway, with the public ones.
func (n *networked) trust(ctx context.Context) error {
	own, err := n.gateway.CertificatePEM()
	if err != nil {
		return err
	}
	file, err := n.OpenFile(ctx, trustFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(publicRoots(), own...))
	return errors.Join(err, file.Close())
}

// publicRoots are the certificates this machine trusts, none if it has none.
func publicRoots() []byte {
	for _, name := range rootFiles {
		file, err := os.Open(name) //nolint:gosec // one of four
		if err != nil {
			continue
		}
		var b bytes.Buffer
		_, err = io.Copy(&b, io.LimitReader(file, maxRoots))
		file.Close()
		if err == nil && b.Len() > 0 {
			b.WriteByte('\n')
			return b.Bytes()
		}
	}
	return nil
}

// Stop ends the sandbox and then its way to the network.
func (n *networked) Stop() error {
	err := n.Sandbox.Stop()
	n.cut()
	return err
}

// Close ends the sandbox and then its way to the network.
func (n *networked) Close() error {
	err := n.Sandbox.Close()
	n.cut()
	return err
}

func (n *networked) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.proxy != nil {
		n.proxy.Close()
	}
}

// outdated reports whether a sandbox's way to the network is not by its
// configuration.
func outdated(sb runtime.Sandbox, config gen.ProxyConfig) bool {
	n, ok := sb.(*networked)
	return ok && !n.follows(config)
}

// settle has a started sandbox follow its configuration, which may have changed
// meanwhile. mu is held, but not all the time.
func (e *engine) settle(b *box, sb runtime.Sandbox) error {
	for outdated(sb, b.proxy) {
		config := cloneProxy(b.proxy)
		n, _ := sb.(*networked)
		e.mu.Unlock()
		err := n.apply(e.ctx, config)
		e.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// reroute has a ready sandbox follow its new configuration. The result is to
// be waited for. mu is held.
func (e *engine) reroute(b *box) func(context.Context) error {
	n, ok := b.sb.(*networked)
	if !ok || b.status != gen.StatusReady || n.follows(b.proxy) {
		return func(context.Context) error { return nil }
	}
	config := cloneProxy(b.proxy)
	var failure error
	change := e.begin(b.last, func() error {
		failure = n.apply(e.ctx, config)
		return nil // the sandbox is no worse for it
	})
	b.last = change
	return func(ctx context.Context) error {
		if err := change.wait(ctx); err != nil || failure == nil {
			return err
		}
		return &apiError{
			status: 503, code: codeUnavailable, cause: failure,
			message: "the sandbox's way to the network could not be changed, it may be ending",
		}
	}
}

// environment is what commands have to know of a sandbox's network.
func environment(sb runtime.Sandbox) map[string]string {
	if n, ok := sb.(*networked); ok {
		if now := n.now.Load(); now != nil {
			return now.env
		}
	}
	return nil
}

// checkProxy refuses a configuration that this server's proxy cannot carry out.
func (e *engine) checkProxy(c gen.ProxyConfig) error {
	_, err := e.gateway.Compile(c)
	bad, ok := errors.AsType[*egress.ConfigError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, egress.ErrUnsupported):
		return notSupported(bad.Problem)
	}
	return invalid(bad.Problem, append([]any{"proxy_config"}, bad.Path...)...)
}
