package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/audit"
)

const (
	// repeatAfter is how long a read by the same caller is not recorded again: a page that
	// polls each second would fill the log.
	repeatAfter = time.Minute
	// keptReads bounds the reads that are remembered for that.
	keptReads = 10_000
)

// Reads records who reads what.
type Reads struct {
	log   event.Log
	clock func() time.Time
	ids   func() uuid.UUID

	mu   sync.Mutex
	seen *simplelru.LRU[string, time.Time]
}

// NewReads returns a Reads that appends to log.
func NewReads(log event.Log, clock func() time.Time, ids func() uuid.UUID) *Reads {
	seen, err := simplelru.NewLRU[string, time.Time](keptReads, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Reads{log: log, clock: clock, ids: ids, seen: seen}
}

// Record records a read. Call it before the read is answered, because a read that cannot be
// recorded must not happen. The same read by the same actor is recorded once per minute.
func (r *Reads) Record(ctx context.Context, by domain.Actor, read audit.LogRead) error {
	now := r.clock()
	key := strings.Join(slices.Concat([]string{string(by.Kind), by.ID, by.OnBehalfOf},
		read.Scopes, []string{""}, read.Fields, []string{""}, read.Messages, []string{""}, read.Senders), "\x00")
	if r.repeated(key, now) {
		return nil
	}
	_, err := r.log.Append(ctx, event.AccessStream(now), event.Any(), event.Propose(r.ids, event.Cause{By: by}.Meta(now), read)...)
	if err != nil {
		r.forget(key)
		return fmt.Errorf("record the read: %w", err)
	}
	return nil
}

// repeated reports whether the read was recorded within repeatAfter, and remembers it. Of
// more than keptReads reads, some are recorded twice.
func (r *Reads) repeated(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen.Peek(key); ok && now.Sub(at) < repeatAfter {
		return true
	}
	r.seen.Add(key, now)
	return false
}

func (r *Reads) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Remove(key)
}
