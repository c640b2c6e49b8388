package graph

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// Limits for invalid tokens. An address can try failuresBurst of them at once, and then
// one every failuresEvery. Someone who mistypes a key does not notice the limit, and
// someone who tries many keys makes no progress.
const (
	failuresBurst      = 20
	failuresEvery      = 3 * time.Second
	failuresRetryAfter = "3" // in seconds
	// lookupsAtOnce limits the concurrent lookups of unknown tokens, and lookupWait how
	// long a lookup waits for its turn.
	lookupsAtOnce = 16
	lookupWait    = 5 * time.Second
	// keptAddresses limits the remembered addresses, about 200 bytes each.
	keptAddresses = 10_000
	// keptTokens limits the tokens that are known to be valid.
	keptTokens = 10_000
	// addressBits is the part of an IPv6 address that identifies a network.
	addressBits = 64
)

// errTooManyFailures is the error for an address that tried too many invalid tokens.
var errTooManyFailures = &domain.Error{
	Code: domain.CodeUnauthenticated, Message: "too many invalid keys from this address; wait a few seconds",
}

// failures limits the invalid tokens of each client address. A token is always looked
// up first, so a valid one is accepted whatever others tried: callers can share an
// address, such as that of a proxy, with someone who keeps trying. The limit on
// concurrent lookups of unknown tokens limits the cost.
type failures struct {
	clock event.Clock
	// keys and signed are the lookups in progress, separate for keys and signed tokens:
	// a slow issuer does not delay keys.
	keys, signed chan struct{}

	mu        sync.Mutex
	addresses *lru.Cache[netip.Addr, *rate.Limiter]
	good      *lru.Cache[[sha256.Size]byte, struct{}]
}

func newFailures(clock event.Clock) *failures {
	addresses, _ := lru.New[netip.Addr, *rate.Limiter](keptAddresses) // fails only for a size below 1
	good, _ := lru.New[[sha256.Size]byte, struct{}](keptTokens)
	return &failures{
		clock: clock, keys: make(chan struct{}, lookupsAtOnce), signed: make(chan struct{}, lookupsAtOnce),
		addresses: addresses, good: good,
	}
}

// try runs authenticate. If it fails and the address has tried too many invalid tokens,
// try returns errTooManyFailures.
func (f *failures) try(ctx context.Context, addr, token string, authenticate func() error) error {
	hash := sha256.Sum256([]byte(token))
	if !f.good.Contains(hash) {
		slots := f.keys
		if strings.Contains(token, ".") {
			slots = f.signed
		}
		ctx, cancel := context.WithTimeout(ctx, lookupWait)
		defer cancel()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return domain.Unavailable("too many unknown keys are being looked up; try again")
		}
	}
	err := authenticate()
	switch {
	case err == nil:
		f.good.Add(hash, struct{}{})
	case domain.CodeOf(err) == domain.CodeUnauthenticated:
		f.good.Remove(hash)
		if !f.limiter(network(addr)).AllowN(f.clock(), 1) {
			return errTooManyFailures
		}
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

// network returns the network that an address is remembered by. All addresses that are
// not IP addresses, such as a Unix socket's, count as one.
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
