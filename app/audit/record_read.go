package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/audit"
)

const (
	// repeatAfter is how long the same read by the same caller is not recorded again:
	// a page that asks each second would fill the log.
	repeatAfter = time.Minute
	// keptReads bounds what is remembered for that.
	keptReads = 10_000
)

// Reads records who read what.
type Reads struct {
	log   event.Log
	clock func() time.Time
	ids   func() uuid.UUID

	mu   sync.Mutex
	seen map[string]time.Time
}

// NewReads makes a Reads that appends to log.
func NewReads(log event.Log, clock func() time.Time, ids func() uuid.UUID) *Reads {
	return &Reads{log: log, clock: clock, ids: ids, seen: make(map[string]time.Time)}
}

// Record records the read before it is answered: a read that cannot be recorded must
// not be. The same read by the same actor is recorded once a minute.
func (r *Reads) Record(ctx context.Context, by domain.Actor, read audit.LogRead) error {
	now := r.clock()
	key := strings.Join(slices.Concat([]string{string(by.Kind), by.ID, by.OnBehalfOf},
		read.Scopes, []string{""}, read.Fields, []string{""}, read.Messages, []string{""}, read.Senders), "\x00")
	if r.repeated(key, now) {
		return nil
	}
	_, err := r.log.Append(ctx, event.AccessStream(now), event.Any(), event.New{
		ID: r.ids(), Event: read, Meta: event.Meta{RecordedAt: now, By: by, OnBehalfOf: by.OnBehalfOf},
	})
	if err != nil {
		r.forget(key)
		return fmt.Errorf("record the read: %w", err)
	}
	return nil
}

func (r *Reads) repeated(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[key]; ok && now.Sub(at) < repeatAfter {
		return true
	}
	if len(r.seen) >= keptReads {
		for k, at := range r.seen {
			if now.Sub(at) >= repeatAfter {
				delete(r.seen, k)
			}
		}
		if len(r.seen) >= keptReads {
			clear(r.seen) // some reads stand in the log twice then
		}
	}
	r.seen[key] = now
	return false
}

func (r *Reads) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, key)
}
