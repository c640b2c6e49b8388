package simulator

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// ledgerGeneration is the number of messages in one generation of the ledger. Two are kept, so a message is remembered
// until at least this many newer ones were called.
const ledgerGeneration = 2_000_000

// ledger remembers what happened to each message, to detect messages that are accepted twice. A message is the part of
// the callback data before its last colon, stored as a 64-bit hash. A call without callback data has no message.
type ledger struct {
	seed maphash.Seed

	mu                  sync.Mutex
	young, old          map[uint64]entry
	messages            int64 // distinct, accepted
	duplicates          int64
	duplicatesAfterEcho int64
}

type entry struct {
	echoedAt time.Duration // when a status webhook first got the response 200; 0 means not yet
	calls    uint32
	accepted uint32
	counted  bool // in duplicatesAfterEcho
}

func newLedger() *ledger {
	return &ledger{seed: maphash.MakeSeed(), young: make(map[uint64]entry)}
}

// key returns the message that the callback data belongs to, or 0 if there is none.
func (l *ledger) key(callback string) uint64 {
	if callback == "" {
		return 0
	}
	return max(1, maphash.String(l.seed, messageOf(callback)))
}

// messageOf returns the part of the callback data that identifies the message.
func messageOf(callback string) string {
	if i := strings.LastIndexByte(callback, ':'); i >= 0 {
		return callback[:i]
	}
	return callback
}

// call counts a call for the message. It returns the number of earlier calls, and whether this one comes after the
// message's echo: it was accepted, and a status webhook of it got the response 200 before at.
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

// accept records that a call for the message was accepted. afterEcho is the result of call.
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

// echoed records that a webhook with statuses of these messages got the response 200 at that time.
func (l *ledger) echoed(batch []pendingUpdate, at time.Duration) {
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
