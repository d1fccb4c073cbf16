package egress

import (
	"net/netip"

	"github.com/langsandbox/sandbox-go/gen"
)

// access is an access list.
type access struct {
	allow, deny []pattern
	closed      bool // there is a list of what is allowed
}

// compileAccess reads the access list of a sandbox.
func compileAccess(c gen.AccessControl) (access, error) {
	if len(c.AllowList) > 0 && len(c.DenyList) > 0 {
		return access{}, badConfig("allow_list and deny_list exclude each other", "access_control")
	}
	if c.AllowList != nil && len(c.AllowList) == 0 && len(c.DenyList) == 0 {
		return access{}, badConfig("is empty: leave it out or name hosts", "access_control", "allow_list")
	}
	allow, err := compileList(c.AllowList, true, "access_control", "allow_list")
	if err != nil {
		return access{}, err
	}
	deny, err := compileList(c.DenyList, false, "access_control", "deny_list")
	return access{allow: allow, deny: deny, closed: len(allow) > 0}, err
}

func compileList(list []string, allows bool, path ...any) ([]pattern, error) {
	if len(list) > maxPatterns {
		return nil, badConfig("has more than 1000 entries", path...)
	}
	patterns := make([]pattern, 0, len(list))
	size := 0
	for i, s := range list {
		p, err := parsePattern(s, allows)
		if err != nil {
			return nil, badConfig(err.Error(), append(path, i)...)
		}
		if size += p.size; size > maxExprTotal {
			return nil, badConfig("its expressions are too large together", path...)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// check decides by name and port. Names that fail here are never looked up,
// since a lookup alone carries data out. So a range of addresses in a list that
// allows is for hosts given as addresses.
func (a *access) check(e endpoint) error {
	if err := a.checkDenied(e); err != nil {
		return err
	}
	if !a.closed {
		if !isWeb(e.port) {
			return refused(e, "is neither port 80 nor 443, and other ports need an allow list")
		}
		return nil
	}
	for i := range a.allow {
		if a.allow[i].matches(e) {
			return nil
		}
	}
	return refused(e, "is not on the allow list")
}

func (a *access) checkDenied(e endpoint) error {
	for i := range a.deny {
		if a.deny[i].matches(e) {
			return refused(e, "is on the deny list")
		}
	}
	return nil
}

// checkAddr decides by the address of a name: what is denied stays so under
// any name.
func (a *access) checkAddr(e endpoint, addr netip.Addr) error {
	for i := range a.deny {
		p := &a.deny[i]
		if p.prefix.IsValid() && p.onPort(e.port) && (p.prefix.Contains(addr) || p.prefix.Contains(final(addr))) {
			return refused(e, "has an address on the deny list")
		}
	}
	return nil
}
