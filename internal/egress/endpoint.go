package egress

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// endpoint is a host and a port in their one normal form.
type endpoint struct {
	name string     // lower-case ASCII without a trailing dot, or the text of addr
	addr netip.Addr // valid if the host is an address; never IPv4 in IPv6
	port uint16     // 0 if none is given
}

func (e endpoint) String() string {
	return net.JoinHostPort(e.name, strconv.Itoa(int(e.port)))
}

var (
	errHost = errors.New("is no host name or address")
	errPort = errors.New("has no port from 1 to 65535")
)

// parseEndpoint reads host, host:port, an IPv4 address or an IPv6 address in
// brackets. Forms of an address that only some programs take for one (1 number,
// octal, hexadecimal, a zone) are refused, since a name that is checked must
// not turn into an address later.
func parseEndpoint(s string) (endpoint, error) {
	if strings.HasPrefix(s, "[") {
		host, port, ok := strings.Cut(s[1:], "]")
		if !ok {
			return endpoint{}, errHost
		}
		if port != "" && port[0] != ':' {
			return endpoint{}, errPort
		}
		return withPort(host, strings.TrimPrefix(port, ":"), port != "", parseIPv6)
	}
	host, port, hasPort := strings.Cut(s, ":")
	return withPort(host, port, hasPort, parseHost)
}

func withPort(host, port string, hasPort bool, parse func(string) (endpoint, error)) (endpoint, error) {
	e, err := parse(host)
	if err != nil || !hasPort {
		return e, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] < '1' {
		return endpoint{}, errPort
	}
	e.port = uint16(n)
	return e, nil
}

func parseIPv6(s string) (endpoint, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return endpoint{}, errHost
	}
	addr = addr.Unmap()
	return endpoint{name: addr.String(), addr: addr}, nil
}

// parseHost reads a host name or an IPv4 address.
func parseHost(s string) (endpoint, error) {
	s, err := asciiName(s)
	if err != nil {
		return endpoint{}, err
	}
	s = strings.TrimSuffix(s, ".")
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is4() {
		return endpoint{name: addr.String(), addr: addr}, nil
	}
	if len(s) > 253 {
		return endpoint{}, errHost
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return endpoint{}, errHost
		}
		last = label
	}
	if isNumber(last) {
		return endpoint{}, errHost
	}
	return endpoint{name: s}, nil
}

// asciiName is a name in lower case, with letters beyond ASCII encoded.
func asciiName(s string) (string, error) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			name, err := idna.Lookup.ToASCII(s)
			if err != nil {
				return "", errHost
			}
			return strings.ToLower(name), nil
		}
	}
	return strings.ToLower(s), nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// isNumber reports whether programs take a last label for part of an address.
func isNumber(label string) bool {
	if strings.HasPrefix(label, "0x") {
		return true
	}
	return strings.Trim(label, "0123456789") == ""
}
