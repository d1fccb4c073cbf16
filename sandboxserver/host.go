package sandboxserver

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// checkHost refuses requests for names that are not this server's: a web page
// that makes its own name point here would otherwise be let in by the browser.
func (s *Server) checkHost(r *http.Request) error {
	host := hostname(r.Host)
	if s.knowsHost(host) || s.servesAt(host) {
		return nil
	}
	return problem(http.StatusMisdirectedRequest, codeMisdirected,
		"this server does not answer for host %q: allow it by name if it should", host)
}

// hostname is the name in a Host header.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// servesAt reports whether a name can be that of a service here.
func (s *Server) servesAt(host string) bool {
	if _, ok := hostedService(host); !ok {
		return false
	}
	_, domain, _ := strings.Cut(host, ".")
	return strings.EqualFold(domain, s.cfg.ServiceDomain) || s.knowsHost(domain)
}

func (s *Server) knowsHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if u, err := url.Parse(s.cfg.PublicURL); err == nil && u.Hostname() != "" && strings.EqualFold(u.Hostname(), host) {
		return true
	}
	return slices.ContainsFunc(s.cfg.AllowedHosts, func(name string) bool {
		return name == "*" || strings.EqualFold(name, host)
	})
}

// trustsPagesOf tells the pages of this server and machine from those of
// strangers. As the name of a server any address is as good as another; a page
// can be a stranger's also at an address.
func (s *Server) trustsPagesOf(host string) bool {
	if _, ok := hostedService(host); ok {
		return false // it is what a sandbox says
	}
	if addr, err := netip.ParseAddr(host); err == nil && !addr.Unmap().IsLoopback() {
		u, err := url.Parse(s.cfg.PublicURL)
		return err == nil && u.Hostname() == host || slices.Contains(s.cfg.AllowedHosts, host)
	}
	return s.knowsHost(host)
}

// baseURL is how the client reaches this server.
func (s *Server) baseURL(r *http.Request) string {
	if s.cfg.PublicURL != "" {
		return strings.TrimRight(s.cfg.PublicURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
