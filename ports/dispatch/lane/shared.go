package lane

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

// priorities are the classes of service, the most urgent first.
var priorities = [...]message.Priority{message.PriorityOTP, message.PriorityTransactional, message.PriorityBulk}

// rank returns the index of a priority in priorities; an unknown one ranks last.
func rank(p message.Priority) int {
	if i := slices.Index(priorities[:], p); i >= 0 {
		return i
	}
	return len(priorities) - 1
}

// Shared is what all lanes of one process use. Its fields are set before the first lane is
// created and never replaced.
type Shared struct {
	// Clock returns Waypost's time.
	Clock func() time.Time
	// MayCall reports whether this process can make calls at a time of its monotonic
	// clock: it holds the lease of its lanes and is not draining. It is called with a
	// lane's mutex held, so it must not call a lane.
	MayCall func(now time.Time) bool
	// PairLimit keeps each lane within Meta's limit for one recipient.
	PairLimit bool
	// Template returns what to do with messages of a template of a business account. It is
	// called with a lane's mutex held, so it must not call a lane. If nil, all are sendable.
	Template func(businessAccountID, key string) template.Sendability
	// Category returns the category of a template of a business account, or "" if it is not
	// known. It is called as Template is. If nil, no category is known.
	Category func(businessAccountID, key string) string
	// Paused reports whether an operator has paused the messages with a label, as the work list
	// identifies it. It is called as Template is. If nil, none are.
	Paused func(label string) bool
	// Gate holds back new calls, except those of OTP messages. If nil, nothing does.
	Gate *fair.Gate
	// HoldsBulk reports whether BULK messages must wait. It must not block. If nil, they need
	// not.
	HoldsBulk func() bool

	Throttles pace.Throttles
	Recording pace.Recording
	Known     Known
	Failures  *pace.Failures
	Alarm     *Alarm
}

// holds reports whether messages of a priority must wait in all lanes.
func (s *Shared) holds(p message.Priority) bool {
	return p == message.PriorityBulk && s.HoldsBulk != nil && s.HoldsBulk()
}

// Known holds the flights of a process by message. An item whose message is known
// is not queued again. The zero value is ready to use. Known is safe for concurrent
// use.
type Known struct {
	mu       sync.Mutex // guards all fields below
	flights  map[uuid.UUID]*Flight
	finished []finishedFlight
	// undelivered are the finished flights whose items came from the read model of messages.
	undelivered []finishedFlight
}

// finishedFlight is a flight whose last event is at position.
type finishedFlight struct {
	*Flight

	position event.Position
}

// get returns the flight of a message, or nil.
func (k *Known) get(id uuid.UUID) *Flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.flights[id]
}

// has reports whether f is the flight of its message.
func (k *Known) has(f *Flight) bool { return k.get(f.item.MessageID) == f }

// add records f as the flight of its message. It reports whether the message was
// unknown; if not, it does nothing.
func (k *Known) add(f *Flight) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flights[f.item.MessageID] != nil {
		return false
	}
	k.putLocked(f)
	return true
}

// replace records f as the flight of its message, whether or not there was one.
func (k *Known) replace(f *Flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.putLocked(f)
}

func (k *Known) putLocked(f *Flight) {
	if k.flights == nil {
		k.flights = make(map[uuid.UUID]*Flight)
	}
	k.flights[f.item.MessageID] = f
}

// remove forgets f. It does nothing if another flight has taken its place.
func (k *Known) remove(f *Flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removeLocked(f)
}

func (k *Known) removeLocked(f *Flight) {
	if k.flights[f.item.MessageID] == f {
		delete(k.flights, f.item.MessageID)
	}
}

// Empty reports whether no flight is known: none is in memory or with the handler, and the read
// models have projected the last event of each finished one.
func (k *Known) Empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.flights) == 0
}

// removeAt forgets f once the read model that its item came from has projected the event at
// position.
func (k *Known) removeAt(f *Flight, position event.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f.item.State == work.Undelivered {
		k.undelivered = append(k.undelivered, finishedFlight{f, position})
		return
	}
	k.finished = append(k.finished, finishedFlight{f, position})
}

// Projected forgets the finished flights whose last event is at or before position,
// which the work list has projected.
func (k *Known) Projected(position event.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished = k.removeUntilLocked(k.finished, position)
}

// MessagesProjected is Projected for the flights of undelivered messages. They are forgotten
// once the read model of messages has projected their last event.
func (k *Known) MessagesProjected(position event.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.undelivered = k.removeUntilLocked(k.undelivered, position)
}

// Undelivered returns the number of finished flights of undelivered messages that
// MessagesProjected has not forgotten yet.
func (k *Known) Undelivered() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.undelivered)
}

// removeUntilLocked forgets the flights whose last event is at or before position, and
// returns the others, in the same array.
func (k *Known) removeUntilLocked(finished []finishedFlight, position event.Position) []finishedFlight {
	kept := finished[:0]
	for _, f := range finished {
		if f.position <= position {
			k.removeLocked(f.Flight)
			continue
		}
		kept = append(kept, f)
	}
	clear(finished[len(kept):])
	return kept
}

// Alarm wakes the loop that picks flights. It is safe for concurrent use.
type Alarm struct {
	c  chan struct{}
	mu sync.Mutex
	at time.Time // when the loop looks next; guarded by mu
}

// NewAlarm returns an Alarm.
func NewAlarm() *Alarm { return &Alarm{c: make(chan struct{}, 1)} }

// C returns the channel that the loop receives from.
func (a *Alarm) C() <-chan struct{} { return a.c }

// Ring wakes the loop.
func (a *Alarm) Ring() {
	select {
	case a.c <- struct{}{}:
	default:
	}
}

// Set records that the loop looks next at the given time.
func (a *Alarm) Set(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = at
}

// Advance records that the loop looks next at the given time, or at the time that was
// set before if that is earlier.
func (a *Alarm) Advance(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.Before(a.at) {
		a.at = at
	}
}

// RingBefore wakes the loop if it would otherwise look later than at.
func (a *Alarm) RingBefore(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.Before(a.at) {
		a.at = at
		a.Ring()
	}
}

// Set holds the lanes of a process by sender. The zero value is empty. A Set is safe
// for concurrent use.
type Set struct {
	mu     sync.RWMutex // guards all fields below
	byID   map[string]*Lane
	sorted []*Lane // by sender ID; replaced, never changed
}

// Get returns the lane of a sender, or nil.
func (s *Set) Get(id string) *Lane {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// All returns the lanes sorted by sender ID. The caller must not change the slice.
func (s *Set) All() []*Lane {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sorted
}

// Add adds a lane. The set must not have one of the same sender.
func (s *Set) Add(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[string]*Lane)
	}
	s.byID[l.id] = l
	i, _ := slices.BinarySearchFunc(s.sorted, l.id, func(l *Lane, id string) int { return cmp.Compare(l.id, id) })
	s.sorted = slices.Insert(slices.Clone(s.sorted), i, l)
}

// Remove removes a lane.
func (s *Set) Remove(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, l.id)
	s.sorted = slices.DeleteFunc(slices.Clone(s.sorted), func(other *Lane) bool { return other == l })
}
