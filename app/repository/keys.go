package repository

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const (
	// maxCachedKeys bounds the cached keys: about 50 MB.
	maxCachedKeys = 100_000
	// keysPage is the number of entries of the list of keys to read at a time, and
	// keyReads is the number of keys to read concurrently.
	keysPage = 1000
	keyReads = 16
	// followPause is the pause before the key streams are followed again after an error.
	// Until then, keys are read from the log.
	followPause = time.Second
	// useFlush is how often the use of keys is recorded.
	useFlush = time.Minute
	// useTimeout bounds the recording of one round.
	useTimeout = 30 * time.Second
)

// Keys loads, authenticates, and changes API keys, which exist only in the event log. A
// process caches the keys that it has used, and follows the key streams: within moments, a
// key that another process revokes is no longer accepted here.
type Keys struct {
	log    event.Log
	clock  event.Clock
	ids    event.IDs
	logger *slog.Logger

	mu        sync.Mutex
	following bool
	changes   uint64 // the number of key events received
	cache     *simplelru.LRU[uuid.UUID, cachedKey]
	used      map[uuid.UUID]time.Time
}

// cachedKey is a key at a revision of its stream.
type cachedKey struct {
	key      access.Key
	revision event.Revision
}

// NewKeys returns a repository of keys.
func NewKeys(log event.Log, clock event.Clock, ids event.IDs, logger *slog.Logger) *Keys {
	return &Keys{
		log: log, clock: clock, ids: ids, logger: logger,
		cache: newLRU[uuid.UUID, cachedKey](maxCachedKeys), used: make(map[uuid.UUID]time.Time),
	}
}

// Create records a new key. A key that is not an access token is listed first: a key that
// is missing from the list could never be found again.
func (s *Keys) Create(ctx context.Context, id uuid.UUID, meta event.Meta, created domain.Event) (access.Key, error) {
	key := access.Fold([]access.Record{{Event: created, At: meta.RecordedAt, By: meta.By}})
	if !key.Token {
		listed := event.Propose(s.ids, meta, access.KeyListed{Key: id.String()})
		if _, err := s.log.Append(ctx, event.KeysStream, event.Any(), listed...); err != nil {
			return access.Key{}, fmt.Errorf("list key %s: %w", id, err)
		}
	}
	if _, err := s.log.Append(ctx, event.KeyStream(id), event.NoStream(), event.Propose(s.ids, meta, created)...); err != nil {
		return access.Key{}, fmt.Errorf("append to key %s: %w", id, err)
	}
	return key, nil
}

// Change executes a decision on a key, as its stream has it. decide gets the zero Key if
// there is no such key.
func (s *Keys) Change(
	ctx context.Context, id uuid.UUID, cause event.Cause, decide func(access.Key) ([]domain.Event, error),
) (access.Key, error) {
	changed, err := Execute(ctx, Stream[cachedKey, domain.Event]{
		Name: "key " + id.String(),
		Load: func(ctx context.Context) (cachedKey, error) { return s.read(ctx, id) },
		Append: func(ctx context.Context, k *cachedKey, events []domain.Event) error {
			defer s.forget(id)
			return s.append(ctx, id, k, cause.Meta(s.clock()), events)
		},
	}, func(k cachedKey) ([]domain.Event, error) { return decide(k.key) })
	return changed.key, err
}

func (s *Keys) append(ctx context.Context, id uuid.UUID, k *cachedKey, meta event.Meta, events []domain.Event) error {
	done, err := s.log.Append(ctx, event.KeyStream(id), event.ExactRevision(k.revision), event.Propose(s.ids, meta, events...)...)
	if err != nil {
		return fmt.Errorf("append to key %s: %w", id, err)
	}
	for _, e := range events {
		k.key = k.key.Apply(access.Record{Event: e, At: meta.RecordedAt, By: meta.By})
	}
	k.revision = done.Revision
	return nil
}

// List returns the keys from the log, in the order in which they were created. Access
// tokens are not listed.
func (s *Keys) List(ctx context.Context) ([]access.Key, error) {
	ids, err := s.listed(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]cachedKey, len(ids))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(keyReads)
	for i, id := range ids {
		group.Go(func() (err error) {
			found[i], err = s.read(reading, id)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	keys := make([]access.Key, 0, len(found))
	for _, k := range found {
		if k.key.Exists() { // the process can have ended after it listed a key
			keys = append(keys, k.key)
		}
	}
	return keys, nil
}

// listed returns the IDs in the list of keys.
func (s *Keys) listed(ctx context.Context) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for from := event.Revision(0); ; from += keysPage {
		events, err := s.log.Read(ctx, event.KeysStream, from, keysPage)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		for _, e := range events {
			listed, _ := e.Event.(access.KeyListed)
			if id, err := uuid.Parse(listed.Key); err == nil {
				ids = append(ids, id)
			}
		}
		if len(events) < keysPage {
			return ids, nil
		}
	}
}

// Authenticate returns the key that a secret belongs to. It returns a *domain.Error of
// CodeUnauthenticated if there is no such key or the key is no longer active.
func (s *Keys) Authenticate(ctx context.Context, secret string) (access.Key, error) {
	id, ok := access.ParseSecret(secret)
	if !ok {
		return access.Key{}, access.Unknown()
	}
	k, err := s.matching(ctx, id, secret)
	if err != nil {
		return access.Key{}, err
	}
	if k.View != "" {
		return access.Key{}, access.Unknown()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.clock(); len(s.used) < maxCachedKeys && access.Use(k, now) != nil {
		s.used[id] = now
	}
	return k, nil
}

// AuthenticateView returns the key and the view of a token for one view. It returns a *domain.Error of
// CodeUnauthenticated if there is no such token, or it is no longer active.
func (s *Keys) AuthenticateView(ctx context.Context, token string) (access.Key, access.View, error) {
	id, view, ok := access.ParseViewToken(token)
	if !ok {
		return access.Key{}, access.View{}, access.Unknown()
	}
	k, err := s.matching(ctx, id, token)
	if err == nil && (k.View == "" || k.View != view.Kind) {
		err = access.Unknown()
	}
	return k, view, err
}

// matching returns an active key if the secret belongs to it.
func (s *Keys) matching(ctx context.Context, id uuid.UUID, secret string) (access.Key, error) {
	k, err := s.load(ctx, id)
	if err != nil {
		return access.Key{}, err
	}
	if !k.MatchesSecret(secret) {
		return access.Key{}, access.Unknown()
	}
	if err := s.checkActive(ctx, k); err != nil {
		return access.Key{}, err
	}
	return k, nil
}

// Name returns the name of a key, or false if there is no key with that ID.
func (s *Keys) Name(ctx context.Context, id string) (string, bool, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return "", false, nil //nolint:nilerr // no key has such an ID
	}
	k, err := s.load(ctx, parsed)
	return k.Name, k.Exists(), err
}

// CheckActive returns an error unless the key is active.
func (s *Keys) CheckActive(ctx context.Context, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return access.Unknown()
	}
	k, err := s.load(ctx, parsed)
	if err != nil {
		return err
	}
	return s.checkActive(ctx, k)
}

// checkActive also checks the parent of an access token, because the token ends with it.
func (s *Keys) checkActive(ctx context.Context, k access.Key) error {
	now := s.clock()
	if err := k.CheckActive(now); err != nil || k.Parent == "" {
		return err
	}
	id, err := uuid.Parse(k.Parent)
	if err != nil {
		return access.Unknown()
	}
	parent, err := s.load(ctx, id)
	if err != nil {
		return err
	}
	return parent.CheckActive(now)
}

// load returns the cached key, or else the key as its stream has it. It returns the zero
// Key if nothing is recorded of the key.
func (s *Keys) load(ctx context.Context, id uuid.UUID) (access.Key, error) {
	s.mu.Lock()
	k, ok := s.cache.Get(id)
	before := s.changes
	s.mu.Unlock()
	if ok {
		return k.key, nil
	}
	k, err := s.read(ctx, id)
	if err != nil || !k.key.Exists() {
		return access.Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// An event that was received during the read can be of this key and newer than the read.
	if s.following && s.changes == before {
		s.cache.Add(id, k)
	}
	return k.key, nil
}

func (s *Keys) read(ctx context.Context, id uuid.UUID) (cachedKey, error) {
	events, err := readStream(ctx, s.log, event.KeyStream(id)) // one event for each hour of use, for years
	if err != nil {
		return cachedKey{}, err
	}
	if len(events) == 0 {
		return cachedKey{}, nil
	}
	records := make([]access.Record, len(events))
	for i, e := range events {
		records[i] = keyRecord(e)
	}
	return cachedKey{access.Fold(records), events[len(events)-1].Revision}, nil
}

func keyRecord(e event.Recorded) access.Record {
	by := e.Meta.By
	by.OnBehalfOf = e.Meta.OnBehalfOf
	return access.Record{Event: e.Event, At: e.Meta.RecordedAt, By: by}
}

func (s *Keys) forget(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache.Remove(id)
	s.changes++
}

// Run follows the key streams and records the use of keys until ctx ends. after is
// time.After, or a test's.
func (s *Keys) Run(ctx context.Context, after func(time.Duration) <-chan time.Time) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for retry.Wait(ctx, after, useFlush) == nil {
			s.recordUse(ctx)
		}
	})
	for {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.logger.WarnContext(ctx, "cannot follow the key streams; keys are read from the log", "error", err)
		if err := retry.Wait(ctx, after, followPause); err != nil {
			return err
		}
	}
}

// follow keeps the cache up to date. Keys are cached only while their streams are followed.
func (s *Keys) follow(ctx context.Context) error {
	end, err := s.log.End(ctx)
	if err != nil {
		return err
	}
	s.setFollowing(true)
	defer s.setFollowing(false)
	return s.log.Subscribe(ctx, event.Subscription{
		After: end, Filter: event.Filter{StreamPrefixes: []string{event.KeyStreams}},
	}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			s.apply(e)
		}
		return nil
	})
}

func (s *Keys) setFollowing(following bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following = following
	s.changes++ // a read that began before proves nothing
	s.cache.Purge()
}

// apply updates the cache with an event of a key stream.
func (s *Keys) apply(e event.Recorded) {
	id, err := uuid.Parse(strings.TrimPrefix(e.Stream, event.KeyStreams))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	k, ok := s.cache.Peek(id)
	switch {
	case !ok || e.Revision <= k.revision:
	case e.Revision == k.revision+1 && e.Event != nil:
		s.cache.Add(id, cachedKey{k.key.Apply(keyRecord(e)), e.Revision})
	default:
		s.cache.Remove(id)
	}
}

// recordUse records the use of the keys that were used since the last round. What it
// fails to record is recorded with the next use.
func (s *Keys) recordUse(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	for id, at := range s.takeUsed() {
		k, err := s.read(ctx, id)
		if err != nil {
			return // the event store is unavailable
		}
		events := access.Use(k.key, at)
		if len(events) == 0 {
			continue
		}
		cause := event.Cause{By: domain.Platform("keys")}
		if err := s.append(ctx, id, &k, cause.Meta(at), events); err != nil && !IsConflict(err) {
			return
		}
	}
}

// takeUsed returns the keys used since the last call, and drops inactive keys from the
// cache.
func (s *Keys) takeUsed() map[uuid.UUID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	used, now := s.used, s.clock()
	s.used = make(map[uuid.UUID]time.Time)
	for _, id := range s.cache.Keys() {
		if k, _ := s.cache.Peek(id); k.key.CheckActive(now) != nil {
			s.cache.Remove(id)
		}
	}
	return used
}
