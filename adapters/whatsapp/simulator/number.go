package simulator

import (
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// maxNumbers limits the phone number IDs that are remembered. A further one does not exist.
const maxNumbers = 10_000

// recentRecipients is the number of a number's latest recipients that can write to it.
const recentRecipients = 64

// number is one business phone number.
type number struct {
	id      string
	display string // digits, derived from the ID

	mu       sync.Mutex
	calls    window // every call
	load     window // what counts toward the throughput: calls that were let through, and inbound messages
	pairs    pairs
	figures  NumberStats
	recent   []recipient // a ring buffer
	recentAt int
	inbound  float64 // the fraction of an inbound message that is due
	freeUsed int     // the free service messages of freeMonth
	// freeMonth is the latest month in which a service message was accepted, as its first moment in UTC.
	freeMonth time.Time
	// wrote is when each user wrote last, by wa_id and by user ID.
	wrote map[string]time.Duration
}

// arrive stamps a call that arrived ago before now, counts it, and reports whether the throughput limit stops it.
func (n *number) arrive(clock func() time.Duration, ago time.Duration, s *settings) (at time.Duration, throttled bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at = clock() - min(ago, maxLate)
	n.figures.Calls++
	own := true
	n.calls.with(at, func(inSecond int) {
		n.figures.LargestSecond = max(n.figures.LargestSecond, inSecond)
		// Only this call can bring a second that ended with an earlier call above the rate.
		if s.Rate > 0 && (inSecond == s.Rate+1 || own && inSecond > s.Rate) {
			n.figures.CallsOverRate++
		}
		own = false
	})
	n.calls.add(at)
	if s.limit > 0 {
		n.load.with(at, func(inSecond int) { throttled = throttled || inSecond > s.limit })
	}
	if throttled {
		n.figures.Throttled++
		return at, true
	}
	n.load.add(at)
	return at, false
}

// admitPair applies the pair limit to a message for recipient.
func (n *number) admitPair(recipient string, clock func() time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pairs.admit(recipient, clock())
}

// accepted counts an accepted message and remembers its recipient. It returns the recipient as webhooks report them: with
// the user ID of a phone number if userIDs is set, and with the phone number of a user ID if the business wrote to that
// number recently.
func (n *number) accepted(to recipient, userIDs bool) recipient {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.figures.Accepted++
	if to.waID != "" && userIDs {
		to.user = UserID(to.waID)
	}
	if to.waID == "" {
		for _, known := range n.recent {
			if known.user == to.user {
				to.waID = known.waID
			}
		}
	}
	if len(n.recent) < recentRecipients {
		n.recent = append(n.recent, to)
		return to
	}
	n.recent[n.recentAt] = to
	n.recentAt = (n.recentAt + 1) % recentRecipients
	return to
}

// wroteAt opens the service window of a user who writes at that time.
func (n *number) wroteAt(from recipient, at time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wrote == nil {
		n.wrote = make(map[string]time.Duration)
	}
	ids := []string{from.waID, from.user}
	if from.waID != "" {
		ids = append(ids, UserID(from.waID)) // the same person
	}
	for _, id := range ids {
		if id != "" {
			n.wrote[id] = max(n.wrote[id], at)
		}
	}
}

// windowOpen reports whether the user wrote within the length of the window.
func (n *number) windowOpen(to recipient, now, length time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, wrote := n.wrote[to.key()]
	return wrote && at <= now && now-at < length
}

// price returns the price of a message that was accepted at that time. In each month, the number's first free service
// messages cost nothing. Reactions are never charged and don't count.
func (n *number) price(contentType string, at time.Time, free int) price {
	switch contentType {
	case kindTemplate:
		return priceTemplate
	case kindReaction:
		return priceFreeService
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	year, month, _ := at.UTC().Date()
	if start := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC); start.After(n.freeMonth) {
		n.freeMonth, n.freeUsed = start, 0
	}
	if n.freeUsed >= free {
		return priceService
	}
	n.freeUsed++
	return priceFreeService
}

// numbers are the phone numbers that were called.
type numbers struct {
	mu   sync.RWMutex
	byID map[string]*number
}

// get returns the number with an ID, creating it if necessary, or nil if there are too many.
func (ns *numbers) get(id string) *number {
	ns.mu.RLock()
	n := ns.byID[id]
	ns.mu.RUnlock()
	if n != nil {
		return n
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if n := ns.byID[id]; n != nil {
		return n
	}
	if len(ns.byID) >= maxNumbers {
		return nil
	}
	if ns.byID == nil {
		ns.byID = make(map[string]*number)
	}
	n = &number{id: id, display: displayNumber(id)}
	ns.byID[id] = n
	return n
}

// all returns the numbers in no particular order.
func (ns *numbers) all() []*number {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	list := make([]*number, 0, len(ns.byID))
	for _, n := range ns.byID {
		list = append(list, n)
	}
	return list
}

// displayNumber returns a US number in the range reserved for fiction.
func displayNumber(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("1555010%04d", h.Sum32()%10_000)
}
