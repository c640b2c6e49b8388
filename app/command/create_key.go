package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// Create creates a key within what the caller can give, and returns it with its secret,
// which is returned only once. in needs no ID and no Hash.
func (s *Keys) Create(ctx context.Context, caller access.Grant, in access.Request, cause event.Cause) (access.Key, string, error) {
	return s.create(ctx, in, cause, func(in access.Request, now time.Time) ([]domain.Event, error) {
		return access.Create(caller, in, now)
	})
}

// CreateToken creates an access token for its issuer. Tokens are not listed.
func (s *Keys) CreateToken(
	ctx context.Context, issuer access.Issuer, in access.Request, ttl time.Duration, cause event.Cause,
) (access.Key, string, error) {
	return s.create(ctx, in, cause, func(in access.Request, now time.Time) ([]domain.Event, error) {
		events, err := access.CreateToken(issuer, in, ttl, now)
		if err == nil {
			err = s.tokens.add(cause.By.ID, now, now.Add(ttl))
		}
		return events, err
	})
}

// CreateViewToken creates a token for one view, and returns it with its text, which is returned only once.
// Tokens are not listed.
func (s *Keys) CreateViewToken(
	ctx context.Context, issuer access.Issuer, in access.Request, v access.View, personal bool, ttl time.Duration, cause event.Cause,
) (access.Key, string, error) {
	id, random, err := s.randomKey()
	if err != nil {
		return access.Key{}, "", err
	}
	token, err := access.NewViewToken(id, random, v)
	if err != nil {
		return access.Key{}, "", err
	}
	return s.record(ctx, id, token, in, cause, func(in access.Request, now time.Time) ([]domain.Event, error) {
		events, err := access.CreateViewToken(issuer, in, v, personal, ttl, now)
		if err == nil {
			err = s.tokens.add(cause.By.ID, now, now.Add(ttl))
		}
		return events, err
	})
}

func (s *Keys) create(ctx context.Context, in access.Request, cause event.Cause, decide decideKey) (access.Key, string, error) {
	id, random, err := s.randomKey()
	if err != nil {
		return access.Key{}, "", err
	}
	return s.record(ctx, id, access.NewSecret(id, random), in, cause, decide)
}

// randomKey returns the ID of a new key, and the random part of its secret.
func (s *Keys) randomKey() (id uuid.UUID, random [access.SecretBytes]byte, err error) {
	if _, err := io.ReadFull(s.random, random[:]); err != nil {
		return id, random, fmt.Errorf("create a secret: %w", err)
	}
	return s.ids(), random, nil
}

type decideKey func(access.Request, time.Time) ([]domain.Event, error)

// record records a new key with its secret.
func (s *Keys) record(
	ctx context.Context, id uuid.UUID, secret string, in access.Request, cause event.Cause, decide decideKey,
) (access.Key, string, error) {
	in.ID, in.Hash = id.String(), access.Hash(secret)
	now := s.clock()
	events, err := decide(in, now)
	if err != nil {
		return access.Key{}, "", err
	}
	key, err := s.Keys.Create(ctx, id, cause.Meta(now), events[0])
	if err != nil {
		return access.Key{}, "", err
	}
	return key, secret, nil
}

const (
	// maxTokens is the number of access tokens of one issuer that can be active at a time,
	// of those created by one process: one for each browser of a large team, many times
	// over.
	maxTokens = 5_000
	// tokenSweep is how often expired tokens of all issuers are removed.
	tokenSweep = time.Minute
)

// issuedTokens limits the access tokens of each issuer.
type issuedTokens struct {
	mu       sync.Mutex
	expiries map[string][]time.Time // by issuer
	sweptAt  time.Time
}

// add records an access token, or returns an error if its issuer has too many. It is not
// undone if the token cannot be recorded in the event log.
func (t *issuedTokens) add(issuer string, now, expiresAt time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.sweptAt) >= tokenSweep || len(t.expiries[issuer]) >= maxTokens {
		t.sweep(now)
	}
	if len(t.expiries[issuer]) >= maxTokens {
		return domain.Unavailable("the key has %d access tokens that are still valid, which is the limit; use each until it ends, or give a shorter ttl", maxTokens)
	}
	t.expiries[issuer] = append(t.expiries[issuer], expiresAt)
	return nil
}

// sweep removes expired tokens. The caller must hold t.mu.
func (t *issuedTokens) sweep(now time.Time) {
	t.sweptAt = now
	for issuer, expiries := range t.expiries {
		expiries = slices.DeleteFunc(expiries, func(at time.Time) bool { return !at.After(now) })
		if len(expiries) == 0 {
			delete(t.expiries, issuer)
		} else {
			t.expiries[issuer] = expiries
		}
	}
}
