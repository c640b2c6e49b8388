package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const (
	// maxKeptKeys bounds the keys kept folded: some 50 MB.
	maxKeptKeys = 100_000
	// maxKeyHistory is how many events of one key are read at most: one an hour of
	// its use for a year.
	maxKeyHistory = 10_000
	// keysPage is how many entries of the list of keys are read at a time, and
	// keysAtOnce how many keys.
	keysPage   = 1000
	keysAtOnce = 16
	// followPause is how long the key streams are not followed after a fault; keys
	// are read from the log meanwhile.
	followPause = time.Second
	// useFlush is how often the use of keys is recorded.
	useFlush = time.Minute
	// useTimeout bounds the recording of one round.
	useTimeout = 30 * time.Second
)

// Keys makes, revokes and finds API keys. They stand in the log alone. A process
// keeps those that it has met, and follows the key streams: what another process
// revokes counts here no more within moments.
type Keys struct {
	log    event.Log
	clock  Clock
	ids    IDs
	random io.Reader
	logger *slog.Logger

	mu        sync.Mutex
	following bool
	changes   uint64 // events of keys that have come in
	kept      map[uuid.UUID]keptKey
	used      map[uuid.UUID]time.Time
}

type keptKey struct {
	key      access.Key
	revision event.Revision
}

// NewKeys makes the repository and use cases of keys. random is where secrets
// come from: crypto/rand.Reader.
func NewKeys(log event.Log, clock Clock, ids IDs, random io.Reader, logger *slog.Logger) *Keys {
	return &Keys{
		log: log, clock: clock, ids: ids, random: random, logger: logger,
		kept: make(map[uuid.UUID]keptKey), used: make(map[uuid.UUID]time.Time),
	}
}

// Create makes a key within what the caller may give, and answers it with its
// secret, which is shown nowhere else. in needs no ID and no Hash.
func (s *Keys) Create(ctx context.Context, caller access.Grant, in access.Request, cause Cause) (access.Key, string, error) {
	return s.create(ctx, in, cause, func(in access.Request, now time.Time) ([]domain.Event, error) {
		return access.Create(caller, in, now)
	})
}

// CreateToken makes an access token for its issuer. Tokens are not listed.
func (s *Keys) CreateToken(
	ctx context.Context, issuer access.Issuer, in access.Request, ttl time.Duration, cause Cause,
) (access.Key, string, error) {
	return s.create(ctx, in, cause, func(in access.Request, now time.Time) ([]domain.Event, error) {
		return access.CreateToken(issuer, in, ttl, now)
	})
}

func (s *Keys) create(
	ctx context.Context, in access.Request, cause Cause, decide func(access.Request, time.Time) ([]domain.Event, error),
) (access.Key, string, error) {
	id, random := s.ids(), [access.SecretBytes]byte{}
	if _, err := io.ReadFull(s.random, random[:]); err != nil {
		return access.Key{}, "", fmt.Errorf("make a secret: %w", err)
	}
	secret := access.NewSecret(id, random)
	in.ID, in.Hash = id.String(), access.Hash(secret)
	now := s.clock()
	events, err := decide(in, now)
	if err != nil {
		return access.Key{}, "", err
	}
	key := access.Fold([]access.Record{{Event: events[0], At: now, By: cause.By}})
	if !key.Token {
		// Listed first: a key that is not in the list could never be found again.
		if _, err := s.log.Append(ctx, event.KeysStream, event.Any(), s.event(access.KeyListed{Key: in.ID}, now, cause)); err != nil {
			return access.Key{}, "", fmt.Errorf("list key %s: %w", in.ID, err)
		}
	}
	if _, err := s.log.Append(ctx, event.KeyStream(id), event.NoStream(), s.event(events[0], now, cause)); err != nil {
		return access.Key{}, "", fmt.Errorf("append to key %s: %w", in.ID, err)
	}
	return key, secret, nil
}

func (s *Keys) event(e domain.Event, now time.Time, cause Cause) event.New {
	return event.New{ID: s.ids(), Event: e, Meta: event.Meta{
		RecordedAt: now, CausationID: cause.CausationID, By: cause.By,
		OnBehalfOf: cause.By.OnBehalfOf, Traceparent: cause.Traceparent,
	}}
}

// Revoke ends a key that the caller reaches, and answers it. domain.NotFound if
// there is none.
func (s *Keys) Revoke(ctx context.Context, caller access.Grant, id string, cause Cause) (access.Key, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return access.Key{}, domain.NotFound("no key %s", id)
	}
	for range maxConflicts {
		k, err := s.read(ctx, parsed)
		if err != nil {
			return access.Key{}, err
		}
		if !k.key.Exists() || !caller.Reaches(k.key.Senders) {
			return access.Key{}, domain.NotFound("no key %s", id)
		}
		events, err := access.Revoke(k.key)
		if err != nil || len(events) == 0 {
			return k.key, err
		}
		now := s.clock()
		_, err = s.log.Append(ctx, event.KeyStream(parsed), event.At(k.revision), s.event(events[0], now, cause))
		s.forget(parsed)
		var wrong *event.WrongRevisionError
		switch {
		case err == nil:
			return k.key.Apply(access.Record{Event: events[0], At: now, By: cause.By}), nil
		case !errors.As(err, &wrong):
			return access.Key{}, fmt.Errorf("append to key %s: %w", id, err)
		}
	}
	return access.Key{}, domain.Unavailable("key %s is being changed by too many at once; try again", id)
}

// List answers the keys, in the order in which they were made, from the log.
func (s *Keys) List(ctx context.Context) ([]access.Key, error) {
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
			break
		}
	}
	found := make([]keptKey, len(ids))
	err := each(ctx, make(chan struct{}, keysAtOnce), len(ids), func(ctx context.Context, i int) (err error) {
		found[i], err = s.read(ctx, ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := make([]access.Key, 0, len(found))
	for _, k := range found {
		if k.key.Exists() { // one that was listed and then not made is no key
			keys = append(keys, k.key)
		}
	}
	return keys, nil
}

// Authenticate answers the key of a secret. A secret of no key, or of one that
// counts no more, is a *domain.Error of CodeUnauthenticated.
func (s *Keys) Authenticate(ctx context.Context, secret string) (access.Key, error) {
	id, ok := access.KeyOf(secret)
	if !ok {
		return access.Key{}, access.Unknown()
	}
	k, err := s.load(ctx, id)
	if err != nil {
		return access.Key{}, err
	}
	if !k.Fits(secret) {
		return access.Key{}, access.Unknown()
	}
	if err := s.standing(ctx, k); err != nil {
		return access.Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.clock(); len(s.used) < maxKeptKeys && access.Use(k, now) != nil {
		s.used[id] = now
	}
	return k, nil
}

// Name is what a key was called when it was made; false if there is none of that id.
func (s *Keys) Name(ctx context.Context, id string) (string, bool, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return "", false, nil //nolint:nilerr // what is no id is no key's
	}
	k, err := s.load(ctx, parsed)
	return k.Name, k.Exists(), err
}

// Standing answers why a key does not count, or no more; nil if it does.
func (s *Keys) Standing(ctx context.Context, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return access.Unknown()
	}
	k, err := s.load(ctx, parsed)
	if err != nil {
		return err
	}
	return s.standing(ctx, k)
}

// standing also looks at the parent of a token: it ends with it.
func (s *Keys) standing(ctx context.Context, k access.Key) error {
	now := s.clock()
	if err := k.Standing(now); err != nil || k.Parent == "" {
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
	return parent.Standing(now)
}

// load is the key as this process has it, else as the log has it; the zero Key if
// nothing is recorded of it.
func (s *Keys) load(ctx context.Context, id uuid.UUID) (access.Key, error) {
	s.mu.Lock()
	k, ok := s.kept[id]
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
	// What came in during the read may be of this key and newer than the read.
	if s.following && s.changes == before {
		if len(s.kept) >= maxKeptKeys {
			clear(s.kept) // rare and cheap to fill again
		}
		s.kept[id] = k
	}
	return k.key, nil
}

func (s *Keys) read(ctx context.Context, id uuid.UUID) (keptKey, error) {
	events, err := s.log.Read(ctx, event.KeyStream(id), 0, maxKeyHistory)
	if err != nil {
		return keptKey{}, fmt.Errorf("load key %s: %w", id, err)
	}
	if len(events) == 0 {
		return keptKey{}, nil
	}
	records := make([]access.Record, len(events))
	for i, e := range events {
		records[i] = keyRecord(e)
	}
	return keptKey{access.Fold(records), events[len(events)-1].Revision}, nil
}

func keyRecord(e event.Recorded) access.Record {
	by := e.Meta.By
	by.OnBehalfOf = e.Meta.OnBehalfOf
	return access.Record{Event: e.Event, At: e.Meta.RecordedAt, By: by}
}

func (s *Keys) forget(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
	s.changes++
}

// Run follows the key streams and records the use of keys until ctx ends. after
// waits as time.After does.
func (s *Keys) Run(ctx context.Context, after func(time.Duration) <-chan time.Time) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-after(useFlush):
				s.recordUse(ctx)
			}
		}
	})
	for {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.logger.WarnContext(ctx, "key streams are not followed for the moment; keys are read from the log", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-after(followPause):
		}
	}
}

// follow lets keys be kept while their streams are followed.
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
			s.changed(e)
		}
		return nil
	})
}

func (s *Keys) setFollowing(following bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following = following
	s.changes++ // a read that began before proves nothing
	clear(s.kept)
}

func (s *Keys) changed(e event.Recorded) {
	id, err := uuid.Parse(strings.TrimPrefix(e.Stream, event.KeyStreams))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	k, ok := s.kept[id]
	switch {
	case !ok || e.Revision <= k.revision:
	case e.Revision == k.revision+1 && e.Event != nil:
		s.kept[id] = keptKey{k.key.Apply(keyRecord(e)), e.Revision}
	default:
		delete(s.kept, id)
	}
}

// recordUse records the use of the keys that were used since the last round. What
// it misses is recorded with the next use.
func (s *Keys) recordUse(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	s.mu.Lock()
	used, now := s.used, s.clock()
	s.used = make(map[uuid.UUID]time.Time)
	for id, k := range s.kept { // what has ended needs no room
		if k.key.Standing(now) != nil {
			delete(s.kept, id)
		}
	}
	s.mu.Unlock()
	for id, at := range used {
		k, err := s.read(ctx, id)
		if err != nil {
			return // the store is away; there is nothing to be gained by asking on
		}
		events := access.Use(k.key, at)
		if len(events) == 0 {
			continue
		}
		_, err = s.log.Append(ctx, event.KeyStream(id), event.At(k.revision), s.event(events[0], at, Cause{By: domain.Platform("keys")}))
		var wrong *event.WrongRevisionError
		if err != nil && !errors.As(err, &wrong) {
			return
		}
	}
}
