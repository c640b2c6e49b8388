package repository

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost/waypost/app/event"
)

// messageCache caches the messages used last. It drops a message as soon as the data key
// of its recipient is destroyed.
type messageCache struct {
	mu   sync.Mutex
	byID *simplelru.LRU[uuid.UUID, Loaded]
	// eras is how often keys were forgotten, and forgotAt is the last time.
	eras     uint64
	forgotAt time.Time
}

func newMessageCache(limit int) *messageCache {
	return &messageCache{byID: newLRU[uuid.UUID, Loaded](limit)}
}

// newLRU returns a cache that is not safe for concurrent use.
func newLRU[K comparable, V any](limit int) *simplelru.LRU[K, V] {
	cache, err := simplelru.NewLRU[K, V](limit, nil)
	if err != nil {
		panic(err) // the limit is not positive
	}
	return cache
}

func (c *messageCache) get(id uuid.UUID) (Loaded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.byID.Get(id)
	l.cached = true
	l.era = c.eras // if its key had been forgotten, the message would not be here
	return l, ok
}

// revision returns the revision of a cached message.
func (c *messageCache) revision(id uuid.UUID) (event.Revision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.byID.Peek(id)
	return l.Revision, ok
}

// era returns the era for messages that are read from now on.
func (c *messageCache) era() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eras
}

// put caches l unless a newer revision is cached. It doesn't cache l if its personal data
// is missing, or if keys were forgotten since it was read, because its own key can be among
// them.
func (c *messageCache) put(l Loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, known := c.byID.Peek(l.ID)
	newer := !known || old.Revision < l.Revision
	switch {
	case l.locked, l.era != c.eras:
		if known && newer { // the cached revision is outdated
			c.byID.Remove(l.ID)
		}
	case newer:
		c.byID.Add(l.ID, l)
	default:
		c.byID.Get(l.ID) // it was used
	}
}

// maxReadDelay bounds how long ago a message was read that a subscription delivers. In
// practice it is some milliseconds.
const maxReadDelay = time.Minute

// putQueued is put for a message that a subscription read. If keys were forgotten since
// then, the message is not cached.
func (c *messageCache) putQueued(l Loaded, now time.Time) {
	c.mu.Lock()
	era, forgotAt := c.eras, c.forgotAt
	c.mu.Unlock()
	if now.Sub(forgotAt) > maxReadDelay {
		l.era = era
		c.put(l)
	}
}

func (c *messageCache) forgetKeys(keys []event.KeyID, now time.Time) {
	forgotten := make(map[event.KeyID]bool, len(keys))
	for _, k := range keys {
		forgotten[k] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eras++
	c.forgotAt = now
	for _, id := range c.byID.Keys() {
		if l, _ := c.byID.Peek(id); forgotten[l.Key] {
			c.byID.Remove(id)
		}
	}
}

func (c *messageCache) forget(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID.Remove(id)
}
