package hooks

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ForbiddenAddressError says that a host leads to where no outgoing webhook may go.
type ForbiddenAddressError struct{ Addr netip.Addr }

func (e *ForbiddenAddressError) Error() string {
	return fmt.Sprintf("%s is an address of an internal network; allow it with WAYPOST_HOOK_NETWORKS if it is meant", e.Addr)
}

// guard lets connections go to public addresses, and to the networks that the
// operator allowed. It looks at the address that is dialled, so that neither a name
// that resolves to an internal one nor one that resolves differently the second
// time gets through.
type guard struct{ allowed []netip.Prefix }

// control is net.Dialer's: it is called with the resolved address of each try.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	return g.check(a)
}

func (g guard) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	for _, p := range g.allowed {
		if p.Contains(a) {
			return nil
		}
	}
	if !public(a) {
		return &ForbiddenAddressError{Addr: a}
	}
	return nil
}

// internal are the networks of IANA's special-purpose registries that lead to
// somewhere inside, or to nowhere, beyond those that netip knows.
func internal() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT; metadata services of some clouds
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("64:ff9b::/96"),   // NAT64: an IPv4 address in disguise
		netip.MustParsePrefix("64:ff9b:1::/48"), // the same, local
		netip.MustParsePrefix("100::/64"),
		netip.MustParsePrefix("2001::/32"), // Teredo, and 6to4 below: the same
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("fec0::/10"),
	}
}

func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range internal() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
