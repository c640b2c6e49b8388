package hooks

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// A ForbiddenAddressError reports that a host resolves to an address that outgoing
// webhooks may not reach.
type ForbiddenAddressError struct{ Addr netip.Addr }

func (e *ForbiddenAddressError) Error() string {
	return fmt.Sprintf("%s is in an internal network; to allow it, add the network to WAYPOST_HOOK_NETWORKS", e.Addr)
}

// A guard allows connections to public addresses and to the networks that the operator
// allowed. It checks the address that is dialed. So it also blocks a name that resolves to
// an internal address, and a name that resolves differently the second time.
type guard struct{ allowed []netip.Prefix }

// control implements net.Dialer.Control, which is called with the resolved address of each
// connection attempt.
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

// internal returns the networks in IANA's special-purpose registries that are internal or
// unreachable and that netip's methods don't cover.
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
		netip.MustParsePrefix("64:ff9b::/96"),   // NAT64, which embeds an IPv4 address
		netip.MustParsePrefix("64:ff9b:1::/48"), // local NAT64
		netip.MustParsePrefix("100::/64"),
		netip.MustParsePrefix("2001::/32"), // Teredo; like 6to4 (2002::/16), it embeds an IPv4 address
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
