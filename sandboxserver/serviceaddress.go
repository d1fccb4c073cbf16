package sandboxserver

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	// servicePrefix is where programs reach services, which need no names for
	// it.
	servicePrefix = "/svc/"
	// reservedPath is what no service gets of its own address.
	reservedPath = "/_svc/"
	authPath     = "/_svc/auth"
	embedPath    = "/_svc/embed"
)

// addresses are where a service is, without a slash at the end of the one for
// browsers.
type addresses struct{ program, browser string }

// serviceAddresses are where a service is for who reached the server in this
// way.
//
// A page must not share its origin with other services or the API, so that
// browsers get a host for each port. Programs may not be able to look that up,
// and have a path, where cookies count for nothing.
func (e *engine) serviceAddresses(ctx context.Context, id string, port int) addresses {
	base, _ := ctx.Value(baseKey{}).(string)
	path := base + servicePrefix + serviceLabel(id, port)
	a := addresses{program: path + "/", browser: path}
	u, err := url.Parse(base)
	if err != nil {
		return a
	}
	if domain := e.cfg.serviceDomain(u.Hostname()); domain != "" {
		host := serviceLabel(id, port) + "." + domain
		if p := u.Port(); p != "" {
			host = net.JoinHostPort(host, p)
		}
		a.browser = u.Scheme + "://" + host
	}
	return a
}

// serviceDomain is the domain below which services have their hosts, for a
// server that is reached as host; empty for one without a name.
func (c Config) serviceDomain(host string) string {
	switch {
	case c.ServiceDomain != "":
		return strings.ToLower(c.ServiceDomain)
	case isLoopback(host):
		return "localhost" // browsers know all names below it
	case net.ParseIP(strings.Trim(host, "[]")) != nil:
		return ""
	default:
		return strings.ToLower(host)
	}
}

func serviceLabel(id string, port int) string { return id + "--" + strconv.Itoa(port) }

var serviceName = regexp.MustCompile(`^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})--([1-9][0-9]{0,4})$`)

// parseServiceLabel is the inverse of serviceLabel.
func parseServiceLabel(label string) (id string, port int, ok bool) {
	m := serviceName.FindStringSubmatch(label)
	if m == nil {
		return "", 0, false
	}
	port, err := strconv.Atoi(m[2])
	return m[1], port, err == nil && port <= 65535
}

// serviceVisit is a request for a service.
type serviceVisit struct {
	id     string
	port   int
	prefix string // of its path here; empty at a host of its own
}

// hostedService recognizes requests to the host of a service. Such a host is
// never one of the API.
func hostedService(host string) (v serviceVisit, ok bool) {
	label, domain, _ := strings.Cut(hostname(host), ".")
	v.id, v.port, ok = parseServiceLabel(label)
	return v, ok && domain != ""
}

// placedService recognizes requests to the path of a service.
func placedService(escaped string) (v serviceVisit, ok bool) {
	rest, ok := strings.CutPrefix(escaped, servicePrefix)
	if !ok {
		return v, false
	}
	label, _, _ := strings.Cut(rest, "/")
	v.id, v.port, ok = parseServiceLabel(label)
	v.prefix = servicePrefix + label
	return v, ok
}

// path is the escaped path within the service; empty is its root without a
// slash.
func (v serviceVisit) path(escaped string) string {
	return cmp.Or(strings.TrimPrefix(escaped, v.prefix), "/")
}
