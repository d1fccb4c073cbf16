package sandboxserver

import (
	"net/url"
	"reflect"
	"slices"

	"github.com/langsandbox/sandbox-go/gen"
)

// Proxy configurations are kept and returned here, and carried out by the
// egress proxy. Their opaque values are secrets: they come in, and only the fact
// that they are set goes out.

// redact returns a copy without opaque values.
func redact(c gen.ProxyConfig) gen.ProxyConfig {
	c.Rules = slices.Clone(c.Rules)
	for i := range c.Rules {
		c.Rules[i].Headers = redactHeaders(c.Rules[i].Headers)
	}
	c.Callbacks = slices.Clone(c.Callbacks)
	for i := range c.Callbacks {
		c.Callbacks[i].RequestHeaders = redactHeaders(c.Callbacks[i].RequestHeaders)
	}
	return c
}

func redactHeaders(headers []gen.ProxyHeader) []gen.ProxyHeader {
	headers = slices.Clone(headers)
	for i := range headers {
		if h := &headers[i]; h.Type == gen.ProxyHeaderOpaque {
			h.IsSet, h.Value = h.Value != "", ""
		}
	}
	return headers
}

// storedProxy checks a configuration and fills in the opaque values that a
// client, which cannot read them, sent back as set.
func storedProxy(c, before gen.ProxyConfig) (gen.ProxyConfig, error) {
	if len(c.AccessControl.AllowList) > 0 && len(c.AccessControl.DenyList) > 0 {
		return c, invalid("allow_list and deny_list exclude each other", "proxy_config", "access_control")
	}
	for i, rule := range c.Rules {
		if err := checkRule(rule, i); err != nil {
			return c, err
		}
	}
	c = cloneProxy(c)
	for i := range c.Rules {
		old := headersOfRule(before, c.Rules[i].Name)
		if err := carryOver(c.Rules[i].Headers, old, "proxy_config", "rules", i, "headers"); err != nil {
			return c, err
		}
	}
	for i := range c.Callbacks {
		cb := &c.Callbacks[i]
		if u, err := url.Parse(cb.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return c, invalid("url must be an absolute http or https address", "proxy_config", "callbacks", i, "url")
		}
		old := headersOfCallback(before, cb.URL)
		if err := carryOver(cb.RequestHeaders, old, "proxy_config", "callbacks", i, "request_headers"); err != nil {
			return c, err
		}
	}
	return c, nil
}

// checkRule refuses what nobody here would carry out: a rule that is left out
// silently would leave requests without their credentials.
func checkRule(r gen.ProxyRule, at int) error {
	for _, block := range []any{r.AWS, r.GCP, r.Azure, r.Rewrite, r.RelayID} {
		if !reflect.ValueOf(block).IsZero() {
			return notSupported("credentials of providers, rewrites and relays: have rules for headers only")
		}
	}
	switch r.Type {
	case "aws", "gcp", "azure", "relay":
		return invalid("a rule of type "+r.Type+" needs the member of that name", "proxy_config", "rules", at, "type")
	}
	return checkVars(r.EnvVars, "proxy_config", "rules", at, "env_vars")
}

func cloneProxy(c gen.ProxyConfig) gen.ProxyConfig {
	c.Rules = slices.Clone(c.Rules)
	for i := range c.Rules {
		c.Rules[i].Headers = slices.Clone(c.Rules[i].Headers)
	}
	c.Callbacks = slices.Clone(c.Callbacks)
	for i := range c.Callbacks {
		c.Callbacks[i].RequestHeaders = slices.Clone(c.Callbacks[i].RequestHeaders)
	}
	return c
}

func headersOfRule(c gen.ProxyConfig, name string) []gen.ProxyHeader {
	for _, r := range c.Rules {
		if r.Name == name {
			return r.Headers
		}
	}
	return nil
}

func headersOfCallback(c gen.ProxyConfig, address string) []gen.ProxyHeader {
	for _, cb := range c.Callbacks {
		if cb.URL == address {
			return cb.RequestHeaders
		}
	}
	return nil
}

func carryOver(headers, before []gen.ProxyHeader, path ...any) error {
	for i := range headers {
		h := &headers[i]
		known := h.IsSet
		h.IsSet = false
		if h.Type != gen.ProxyHeaderOpaque || h.Value != "" || !known {
			continue
		}
		at := slices.IndexFunc(before, func(o gen.ProxyHeader) bool { return o.Name == h.Name && o.Type == gen.ProxyHeaderOpaque })
		if at < 0 || before[at].Value == "" {
			return invalid("no value is stored for header "+h.Name+": send one", append(path, i, "value")...)
		}
		h.Value = before[at].Value
	}
	return nil
}

// given reports whether a request has a proxy configuration. An empty object
// counts as none; empty rules take all away.
func given(c gen.ProxyConfig) bool { return !reflect.ValueOf(c).IsZero() }
