package pace

import (
	"sync"
	"time"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// calmAfter is how long calls must succeed after a throttle until the next throttle
// starts with the shortest wait again.
const calmAfter = 10 * time.Second

// A Scope is what a throttle applies to: one number, one account, or all senders
// that share a token.
type Scope struct {
	Reach message.ThrottleScope
	id    string
}

// ScopeOf returns the scope of the given reach that contains the sender. If the
// sender has no account, that is its number.
func ScopeOf(reach message.ThrottleScope, s sender.Sender) Scope {
	switch {
	case reach == message.ScopeApp:
		return Scope{reach, s.TokenID}
	case reach == message.ScopeAccount && s.BusinessAccountID != "":
		return Scope{reach, s.BusinessAccountID}
	}
	return Scope{message.ScopeNumber, s.PhoneNumberID}
}

// throttle is the state of a scope that WhatsApp asked to slow down.
type throttle struct {
	level int
	until time.Time
}

// hit records a throttled call and returns the time until which the scope waits.
// Calls that were in flight when the wait began don't extend it, except by what
// their response asks for.
func (t *throttle) hit(now time.Time, atLeast time.Duration) time.Time {
	wait := atLeast
	if !now.Before(t.until) {
		if now.Sub(t.until) > calmAfter+Backoff(t.level) {
			t.level = 0
		}
		wait = max(wait, Backoff(t.level))
		t.level++
	}
	if until := now.Add(wait); until.After(t.until) {
		t.until = until
	}
	return t.until
}

// Throttles are the throttled scopes of all lanes of a process. The zero value is
// ready to use. There are at most as many as numbers, accounts, and tokens.
// Throttles are safe for concurrent use.
type Throttles struct {
	mu      sync.Mutex
	byScope map[Scope]*throttle // guarded by mu
}

// Hit records that a call was throttled and returns the time until which the scope
// waits, at least atLeast from now.
func (t *Throttles) Hit(s Scope, now time.Time, atLeast time.Duration) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.byScope[s]
	if have == nil {
		if t.byScope == nil {
			t.byScope = make(map[Scope]*throttle)
		}
		have = &throttle{}
		t.byScope[s] = have
	}
	return have.hit(now, atLeast)
}

// Until returns the time until which the sender waits for its scopes: zero or past
// if it doesn't wait.
func (t *Throttles) Until(s *sender.Sender) (until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byScope) == 0 {
		return time.Time{}
	}
	for _, reach := range [...]message.ThrottleScope{message.ScopeNumber, message.ScopeAccount, message.ScopeApp} {
		if have := t.byScope[ScopeOf(reach, *s)]; have != nil && have.until.After(until) {
			until = have.until
		}
	}
	return until
}
