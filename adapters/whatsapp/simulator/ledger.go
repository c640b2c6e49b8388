package simulator

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// ledgerGeneration is how many messages one generation of the ledger holds. Two are kept, so a message is
// remembered until at least this many newer ones were called.
const ledgerGeneration = 2_000_000

// ledger remembers what happened to each message, so that one accepted twice is noticed. A message is the
// part of the callback data before its last colon, kept as a 64-bit hash; a call without callback data has
// no message.
type ledger struct {
	seed maphash.Seed

	mu                  sync.Mutex
	young, old          map[uint64]entry
	messages            int64 // distinct, accepted
	duplicates          int64
	duplicatesAfterEcho int64
}

type entry struct {
	echoedAt time.Duration // when a status webhook was first answered 200; 0: not yet
	calls    uint32
	accepted uint32
	counted  bool // in duplicatesAfterEcho
}

func newLedger() *ledger {
	return &ledger{seed: maphash.MakeSeed(), young: make(map[uint64]entry)}
}

// key returns the message that the callback data belongs to; 0 means none.
func (l *ledger) key(callback string) uint64 {
	if callback == "" {
		return 0
	}
	return max(1, maphash.String(l.seed, messageOf(callback)))
}

// messageOf returns the part of the callback data that names the message.
func messageOf(callback string) string {
	if i := strings.LastIndexByte(callback, ':'); i >= 0 {
		return callback[:i]
	}
	return callback
}

// call counts a call for the message and returns how many came before it, and whether this one comes after
// the message's echo: it was accepted, and a status webhook of it was answered 200 before at.
func (l *ledger) call(key uint64, at time.Duration) (before uint32, afterEcho bool) {
	if key == 0 {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.get(key)
	before = e.calls
	afterEcho = e.echoedAt > 0 && e.echoedAt < at
	e.calls++
	l.put(key, e)
	return before, afterEcho
}

// accept records that a call for the message was accepted; afterEcho is what call said about it.
func (l *ledger) accept(key uint64, afterEcho bool) {
	if key == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.get(key)
	e.accepted++
	switch e.accepted {
	case 1:
		l.messages++
	case 2:
		l.duplicates++
	}
	if afterEcho && !e.counted {
		e.counted = true
		l.duplicatesAfterEcho++
	}
	l.put(key, e)
}

// echoed records that a webhook with statuses of these messages was answered 200 at that instant.
func (l *ledger) echoed(batch []owed, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range batch {
		if o.message.key == 0 {
			continue
		}
		if e := l.get(o.message.key); e.echoedAt == 0 {
			e.echoedAt = at
			l.put(o.message.key, e)
		}
	}
}

func (l *ledger) get(key uint64) entry {
	if e, ok := l.young[key]; ok {
		return e
	}
	return l.old[key]
}

func (l *ledger) put(key uint64, e entry) {
	if len(l.young) >= ledgerGeneration {
		l.old, l.young = l.young, make(map[uint64]entry)
	}
	l.young[key] = e
}
