package graph

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
)

// Bounds of tokens that count for nothing. An address may try failuresBurst of
// them at once and then one every failuresEvery: nobody who mistypes a key meets
// that, and somebody who tries them all gets nowhere.
const (
	failuresBurst      = 20
	failuresEvery      = 3 * time.Second
	failuresRetryAfter = "3" // in seconds
	// keptAddresses bounds the addresses that are remembered, some 200 bytes each.
	keptAddresses = 10_000
	// keptTokens bounds the tokens that are known to be good.
	keptTokens = 10_000
	// addressBits is how much of an IPv6 address tells one network from another.
	addressBits = 64
)

// errTooManyFailures is the answer to an address that tried too many.
var errTooManyFailures = &domain.Error{
	Code: domain.CodeUnauthenticated, Message: "too many wrong keys came from this address; wait some seconds",
}

// failures limits the tokens that count for nothing, for each client address.
// Tokens that counted before are let through: callers may share an address, such
// as that of a proxy, with one that keeps trying.
type failures struct {
	clock command.Clock

	mu        sync.Mutex
	addresses *lru.Cache[netip.Addr, *rate.Limiter]
	good      *lru.Cache[[sha256.Size]byte, struct{}]
}

func newFailures(clock command.Clock) *failures {
	addresses, _ := lru.New[netip.Addr, *rate.Limiter](keptAddresses) // fails for a size below 1 alone
	good, _ := lru.New[[sha256.Size]byte, struct{}](keptTokens)
	return &failures{clock: clock, addresses: addresses, good: good}
}

// try runs authenticate, unless the address has tried too many tokens.
func (f *failures) try(addr, token string, authenticate func() error) error {
	hash := sha256.Sum256([]byte(token))
	now := f.clock()
	var taken *rate.Reservation
	if !f.good.Contains(hash) {
		taken = f.limiter(network(addr)).ReserveN(now, 1)
		if taken.DelayFrom(now) > 0 {
			taken.CancelAt(now)
			return errTooManyFailures
		}
	}
	err := authenticate()
	wrong := domain.CodeOf(err) == domain.CodeUnauthenticated
	switch {
	case wrong:
		f.good.Remove(hash)
	case err == nil:
		f.good.Add(hash, struct{}{})
	}
	if taken != nil && !wrong {
		taken.CancelAt(now)
	}
	return err
}

func (f *failures) limiter(network netip.Addr) *rate.Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.addresses.Get(network)
	if !ok {
		l = rate.NewLimiter(rate.Every(failuresEvery), failuresBurst)
		f.addresses.Add(network, l)
	}
	return l
}

// network is what an address is remembered by. What is no address of the
// internet, such as a Unix socket's, is all one.
func network(addr string) netip.Addr {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(addressBits); err == nil {
			return p.Addr()
		}
	}
	return a
}
