package loopback_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/waypost/waypost/adapters/loopback"
)

func TestFreeAddr(t *testing.T) {
	given := map[string]bool{}
	for range 1000 {
		addr, err := loopback.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		if given[addr] {
			t.Errorf("%s is returned twice", addr)
		}
		given[addr] = true
		if at := netip.MustParseAddrPort(addr); !at.Addr().IsLoopback() || at.Port() < 10_000 || at.Port() > 32_000 {
			t.Errorf("%s has no port of its own", addr)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // while the others are chosen
	}
}
