package simulation

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// patience is the time after the last fault by which all messages must have ended:
	// several times the longest backoffs and the longest wait for a status.
	patience = 15 * time.Minute
	// look is how often that is checked.
	look = 500 * time.Millisecond
)

// world is everything around Waypost in one run.
type world struct {
	seed   uint64
	plan   plan
	defect Defect
	start  time.Time
	quiet  *slog.Logger

	mu    sync.Mutex
	taken map[time.Duration]bool // the instants of future steps
	ids   uint64

	// The log.
	events   []event.Recorded
	streams  map[string]*stream
	appended chan struct{} // closed at the next append
	open     int           // messages that have not ended
	awaited  int           // messages whose delivery can become overdue

	// The read models.
	list    workList
	senders map[string]sender.Sender
	wamids  map[string]uuid.UUID

	leases leases
	api    cloud

	living []*process // by place, nil while it is down
	begun  int        // processes started so far

	ctx        context.Context //nolint:containedctx // it ends when the run does
	desk       *process
	projecting sync.WaitGroup
	callers    sync.WaitGroup // of messages, operators and the planned crashes
	tasks      sync.WaitGroup // webhooks in transit, processes that are ending

	violations []string
	digest     uint64
	stats      Stats
	accepted   map[uuid.UUID]bool // the messages that callers know to be recorded
	watch      watch
}

// stream is a stream of the event log and its fold.
type stream struct {
	events  []event.Recorded
	at      []time.Duration
	message message.Message
	sender  sender.Sender
}

func newWorld(seed uint64, p plan, defect Defect) *world {
	return &world{
		seed: seed, plan: p, defect: defect, start: time.Now(), quiet: slog.New(slog.DiscardHandler),
		taken:   map[time.Duration]bool{},
		streams: map[string]*stream{}, appended: make(chan struct{}),
		list:    workList{items: map[uuid.UUID]*work.Item{}, awaited: map[uuid.UUID]work.Item{}},
		senders: map[string]sender.Sender{}, wamids: map[string]uuid.UUID{},
		leases: leases{processes: map[uuid.UUID]*lease{}, lanes: map[string]uuid.UUID{}},
		api:    cloud{calls: map[callKey]*cloudCall{}, open: map[uuid.UUID]callKey{}, ended: map[uuid.UUID]time.Time{}, token: map[string]string{}},
		living: make([]*process, p.processes), accepted: map[uuid.UUID]bool{},
		watch: newWatch(),
	}
}

// now returns the virtual time since the start.
func (w *world) now() time.Duration { return time.Since(w.start) }

// faulty reports whether something can still fail.
func (w *world) faulty() bool { return w.now() < w.plan.faults.end }

// dice returns the dice of a step that begins at this instant, given its kind and what it is
// about. They depend on nothing else. So one step more or less, or another order of the
// steps that begin at one instant, changes nothing for the others.
func (w *world) dice(kind string, id uint64) *dice {
	return &dice{state: mix(w.seed*golden+hash(kind)) ^ mix(id) ^ mix(uint64(w.now())*golden+1)}
}

// reserve returns the instant at which a step that takes about d ends: one that no other
// step has.
func (w *world) reserve(d time.Duration) (at, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	at = now + max(d, 1)
	for w.taken[at] {
		at++
	}
	w.taken[at] = true
	return at, at - now
}

func (w *world) over(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.taken, at)
}

// step waits for about d. Nothing ends it early.
func (w *world) step(d time.Duration) {
	at, wait := w.reserve(d)
	time.Sleep(wait)
	w.over(at)
}

// stepWith is like step, but also ends with ctx.
func (w *world) stepWith(ctx context.Context, d time.Duration) error {
	at, wait := w.reserve(d)
	defer w.over(at)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newID returns a new ID. Nothing depends on the order of IDs.
func (w *world) newID() uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], w.ids)
	id[6], id[8] = 0x70, 0x80
	return id
}

func (w *world) violatedf(format string, args ...any) {
	if len(w.violations) < 20 {
		w.violations = append(w.violations, fmt.Sprintf("%12s  ", w.now())+fmt.Sprintf(format, args...))
	}
}

// note adds an occurrence at this instant to the digest.
func (w *world) note(what string, numbers ...uint64) {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], w.digest)
	h.Write(b[:])
	binary.BigEndian.PutUint64(b[:], uint64(w.now()))
	h.Write(b[:])
	h.Write([]byte(what))
	for _, n := range numbers {
		binary.BigEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	w.digest = h.Sum64()
}

// idOf returns a number for a message ID, for dice.
func idOf(id uuid.UUID) uint64 {
	return binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
}
