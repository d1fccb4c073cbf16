package egress

import (
	"net/netip"
	"strings"
	"testing"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Example.COM":             "example.com:0",
		"example.com.:443":        "example.com:443",
		"my_host-1.test:65535":    "my_host-1.test:65535",
		"1.2.3.4:22":              "1.2.3.4:22",
		"1.2.3.4.":                "1.2.3.4:0",
		"[::1]:22":                "[::1]:22",
		"[2001:DB8:0:0::1]":       "[2001:db8::1]:0",
		"[::ffff:127.0.0.1]:80":   "127.0.0.1:80",
		"bücher.example":          "xn--bcher-kva.example:0",
		"１２７.０.０.１":               "127.0.0.1:0",
		"xn--bcher-kva.EXAMPLE:1": "xn--bcher-kva.example:1",
	} {
		e, err := parseEndpoint(in)
		if err != nil || e.String() != want {
			t.Errorf("%s: %s %v", in, e, err)
		}
	}
	for _, in := range []string{
		"", ":80", ".", "a..b", ".a", "-a.test", "a-.test", "a b", "a/b", "user@a.test", "a%00.test", "a:b", "a:", "a:0", "a:00080", "a:+80", "a:65536",
		"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "01.2.3.4", "1.2.3.0x4", "1.2.3.4.5", "256.1.1.1", "a.1",
		"::1", "[::1", "[::1]80", "[::1]:", "[fe80::1%eth0]", "[1.2.3.4]", "[a.test]", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 127) + "bc",
		"a\x00.test", "a\r\n.test", "１２７.１", "*.test",
	} {
		if e, err := parseEndpoint(in); err == nil {
			t.Errorf("%q became %s", in, e)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, yes, no string }{
		{"Example.com.", "example.com:80 example.com:443 EXAMPLE.com.:443", "a.example.com:443 example.com:22 example.com.evil.test:443 notexample.com:80"},
		{"example.com:22", "example.com:22", "example.com:443 example.com:80"},
		{"*.example.com", "a.example.com:443 a.b.example.com:80", "example.com:443 aexample.com:443 a.example.com:8080 a.example.com.evil.test:80"},
		{"*.example.com:5432", "db.example.com:5432", "db.example.com:443"},
		{"api-*.example.com", "api-1.example.com:80 api-1.b.example.com:80", "api.example.com:80"},
		{"a*b*c.test", "abc.test:80 axbxc.test:80 abbc.test:80", "ac.test:80 bac.test:80"},
		{"*", "a.test:80 1.2.3.4:443 [2001:db8::1]:80", "a.test:22"},
		{"*:22", "a.test:22", "a.test:80"},
		{"*.bücher.example", "a.xn--bcher-kva.example:80", "xn--bcher-kva.example:80"},
		{`~api\d+\.example\.com`, "api1.example.com:443 API22.example.com:80", "api1.example.com.evil.test:80 xapi1.example.com:80 api1.example.com:22"},
		{`~a|b`, "a:80 b:80", "ab:80 ax:80"},
		{"1.2.3.4", "1.2.3.4:80 [::ffff:1.2.3.4]:443", "1.2.3.5:80 1.2.3.4:22 a.test:80"},
		{"1.2.3.4:22", "1.2.3.4:22", "1.2.3.4:80"},
		{"10.1.2.3/8", "10.0.0.1:80 10.255.255.255:443", "11.0.0.1:80 10.0.0.1:22 10.test:80"},
		{"::ffff:10.0.0.0/104", "10.9.9.9:80", "11.0.0.1:80"},
		{"[2001:db8::1]:22", "[2001:db8::1]:22", "[2001:db8::1]:80 [2001:db8::2]:22"},
		{"2001:db8::1", "[2001:db8::1]:80", "[2001:db8::2]:80"},
		{"2001:db8::/32", "[2001:db8:1::1]:443", "[2001:db9::1]:443 1.2.3.4:80"},
	} {
		p, err := parsePattern(c.pattern, true)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for s := range strings.FieldsSeq(list) {
				if e, err := parseEndpoint(s); err != nil || p.matches(e) != want {
					t.Errorf("%s matches %s: %v, %v", c.pattern, s, !want, err)
				}
			}
		}
	}
	deny, err := parsePattern(`~evil`, false)
	if e, _ := parseEndpoint("a.evil.test:80"); err != nil || !deny.matches(e) {
		t.Error("an expression that denies must match anywhere", err)
	}
	for _, s := range []string{
		"", "~(", "~a)|(b", "https://a.test", "a.test/path", "10.0.0.0/33", "10.0.0.0/8:80", "a.test:0", "a.test:*", "*.test:99999", "10.*", "192.168.*.*:22",
		"*..test", "*.te st", "u@*.test", "127.1", "0x7f.1", "[::1", "fe80::1%eth0", "::ffff:0:0/90", strings.Repeat("a", 1001),
	} {
		if _, err := parsePattern(s, true); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

// TestAddresses: what is not public is out of reach, in whatever form, and a
// wide range opens no more than it is about.
func TestAddresses(t *testing.T) {
	t.Parallel()
	own := func() ([]netip.Addr, error) { return addrs("10.0.0.5", "93.184.216.99", "2a00::5"), nil }
	closed := &addresses{local: own}
	for s := range strings.FieldsSeq(`127.0.0.1 127.9.9.9 0.0.0.0 10.1.1.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 169.254.169.254 100.64.0.1
		100.100.100.200 168.63.129.16 192.0.0.192 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.2.1 203.0.113.9 93.184.216.99
		::1 :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 fe80::1 fec0::1 fc00::1
		fd00:ec2::254 fd12::1 ff02::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:a00:1:: 4000::1 fe80::1%1 2a00::5 3fff::1`) {
		if closed.check(netip.MustParseAddr(s)) == "" {
			t.Errorf("%s is within reach", s)
		}
	}
	for s := range strings.FieldsSeq("93.184.216.34 8.8.8.8 172.32.0.1 ::ffff:8.8.8.8 64:ff9b::808:808 2a00::1 2606:4700::1111 100.128.0.1") {
		if why := closed.check(netip.MustParseAddr(s)); why != "" {
			t.Errorf("%s %s", s, why)
		}
	}
	for _, c := range []struct{ open, yes, no string }{
		{"0.0.0.0/0 ::/0", "8.8.8.8", "127.0.0.1 10.1.1.1 169.254.169.254 ::1 fd00:ec2::254"},
		{"10.0.0.0/8", "10.1.1.1 ::ffff:10.1.1.1", "10.0.0.5 11.0.0.1%0 192.168.1.1 127.0.0.1"},
		{"10.0.0.5/32", "10.0.0.5", "10.0.0.6"},
		{"169.254.0.0/16", "169.254.1.1", "169.254.169.254"},
		{"169.254.169.254/32", "169.254.169.254", "169.254.1.1"},
		{"fc00::/7", "fd00::1", "fd00:ec2::254"},
		{"127.0.0.0/8", "127.0.0.1", "::1 169.254.169.254"},
		{"127.0.0.1/32", "127.0.0.1", "127.0.0.2"},
		{"64:ff9b::/96", "", "64:ff9b::127.0.0.1"},
		{"168.63.129.16/32", "168.63.129.16", ""},
		{"93.184.216.99/32", "93.184.216.99", "2a00::5"},
	} {
		a := &addresses{local: own, private: prefixes(strings.Fields(c.open)...)}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for s := range strings.FieldsSeq(list) {
				if addr, err := netip.ParseAddr(s); err == nil && (a.check(addr) == "") != want {
					t.Errorf("%s open: %s within reach is %v", c.open, s, !want)
				}
			}
		}
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"a.test:80", "[::1]:1", "127.1", "bücher.de", "0x1", "[::ffff:1.2.3.4]", "a.:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseEndpoint(s)
		if err != nil {
			return
		}
		again, err := parseEndpoint(strings.TrimSuffix(e.String(), ":0"))
		if err != nil || again != e {
			t.Errorf("%q became %v and then %v: %v", s, e, again, err)
		}
		if addr, err := netip.ParseAddr(e.name); (err == nil) != e.addr.IsValid() || err == nil && addr != e.addr {
			t.Errorf("%q has the address %v and the name %q", s, e.addr, e.name)
		}
		if strings.ContainsAny(e.name, "@/\\%? \r\n\x00#") {
			t.Errorf("%q became %q", s, e.name)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"a.test", "*.a:22", "~a.*", "10.0.0.0/8", "[::1]:1", "a*b*", "::/0"} {
		f.Add(s, "a.test:80")
	}
	f.Fuzz(func(t *testing.T, s, host string) {
		for _, allows := range []bool{true, false} {
			p, err := parsePattern(s, allows)
			if err != nil {
				continue
			}
			if e, err := parseEndpoint(host); err == nil && p.matches(e) && p.port != 0 && p.port != e.port {
				t.Errorf("%q matches %v", s, e)
			}
		}
	})
}
