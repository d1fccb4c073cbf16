package egress

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// metadata are the addresses where clouds tell machines about themselves, and
// hand out credentials.
var metadata = addrs("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
	"100.100.100.200", "168.63.129.16", "192.0.0.192")

// special are the ranges that are not of the public Internet. A range the
// operator opens opens no more than one of these.
var special = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	"5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")

// global is all that IPv6 has given out so far, translated IPv4 is apart.
var (
	global     = netip.MustParsePrefix("2000::/3")
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(list))
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// addresses decides which addresses the machine connects to for a sandbox.
type addresses struct {
	private []netip.Prefix // what the operator opens
	local   func() ([]netip.Addr, error)

	mu    sync.Mutex
	own   []netip.Addr
	until time.Time
}

// ownFor is how long the machine's own addresses are taken for known.
const ownFor = 2 * time.Second

// check returns why an address is out of reach, or "".
func (a *addresses) check(addr netip.Addr) string {
	if addr.Zone() != "" || !addr.IsValid() {
		return "has an address with a zone"
	}
	addr = final(addr)
	if slices.Contains(metadata, addr) {
		if a.opens(addr, netip.PrefixFrom(addr, addr.BitLen())) {
			return ""
		}
		return "has the address of a metadata service"
	}
	if within, found := classOf(addr); found {
		if a.opens(addr, within) {
			return a.checkOwn(addr)
		}
		return "has no public address, and the server does not open the range"
	}
	return a.checkOwn(addr)
}

// final is the address that one leads to: IPv4 where it is written, or
// translated, as IPv6.
func final(addr netip.Addr) netip.Addr {
	if translated.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.Unmap()
}

// classOf is the special range of an address, the smallest if there are some.
func classOf(addr netip.Addr) (netip.Prefix, bool) {
	var class netip.Prefix
	for _, p := range special {
		if p.Contains(addr) && (!class.IsValid() || p.Bits() > class.Bits()) {
			class = p
		}
	}
	if !class.IsValid() && addr.Is6() && !global.Contains(addr) {
		return netip.PrefixFrom(addr, 3).Masked(), true
	}
	return class, class.IsValid()
}

// opens reports whether the operator opened an address with a range that is
// about no more than the class it belongs to: 0.0.0.0/0 does not open
// loopback.
func (a *addresses) opens(addr netip.Addr, class netip.Prefix) bool {
	return slices.ContainsFunc(a.private, func(p netip.Prefix) bool {
		return p.Contains(addr) && class.Contains(p.Addr()) && p.Bits() >= class.Bits()
	})
}

// checkOwn keeps sandboxes from services of this machine, which listen on its
// outer addresses, too. Loopback was opened as such if it gets here.
func (a *addresses) checkOwn(addr netip.Addr) string {
	if addr.IsLoopback() || a.opens(addr, netip.PrefixFrom(addr, addr.BitLen())) {
		return ""
	}
	own, err := a.owned()
	if err != nil {
		return "cannot be told from this machine"
	}
	if slices.Contains(own, addr) {
		return "is this machine"
	}
	return ""
}

func (a *addresses) owned() ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.until) {
		own, err := a.local()
		if err != nil {
			return nil, err
		}
		a.own, a.until = own, now.Add(ownFor)
	}
	return a.own, nil
}

// localAddrs are the addresses of this machine's interfaces.
func localAddrs() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				out = append(out, addr.Unmap())
			}
		}
	}
	return out, nil
}
