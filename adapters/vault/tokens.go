package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/domain"
)

// maxOpened limits the tokens kept in memory.
const maxOpened = 10_000

// Tokens stores the access tokens of senders in waypost_vault, encrypted. A token is
// never changed: a new one gets a new ID.
type Tokens struct {
	pool *pgxpool.Pool
	keys *Keys
	ids  func() uuid.UUID

	mu     sync.Mutex
	opened map[string]string
}

// NewTokens returns the token store.
func NewTokens(pool *pgxpool.Pool, keys *Keys, ids func() uuid.UUID) *Tokens {
	return &Tokens{pool: pool, keys: keys, ids: ids, opened: make(map[string]string)}
}

// queryTimeout limits one statement.
const queryTimeout = 5 * time.Second

// Put stores a sender's token and returns its ID. The token is on disk when Put
// returns.
func (t *Tokens) Put(ctx context.Context, senderID, token string) (string, error) {
	id := t.ids().String()
	sealed, err := t.keys.seal(token, senderID+"\n"+id)
	if err != nil {
		return "", fmt.Errorf("encrypt the token of sender %s: %w", senderID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		// The pool may trade durability for speed for the read models, but a token has
		// no other copy.
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO waypost_vault.sender_token (id, sender, ciphertext, created_at) VALUES ($1, $2, $3, now())`, id, senderID, sealed)
		return err
	})
	if err != nil {
		return "", domain.Unavailable("cannot store the token of sender %s: Postgres is unavailable; try again", senderID)
	}
	return id, nil
}

// Get returns the token with an ID.
func (t *Tokens) Get(ctx context.Context, senderID, id string) (string, error) {
	t.mu.Lock()
	token, ok := t.opened[id]
	t.mu.Unlock()
	if ok {
		return token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var sealed []byte
	err := t.pool.QueryRow(ctx, `SELECT ciphertext FROM waypost_vault.sender_token WHERE id = $1`, id).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", domain.NotFound("the token of sender %s is not in the vault; set it again with updateSender", senderID)
	}
	if err != nil {
		return "", fmt.Errorf("read the token of sender %s: %w", senderID, err)
	}
	if token, err = t.keys.open(sealed, senderID+"\n"+id); err != nil {
		return "", fmt.Errorf("the token of sender %s: %w", senderID, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.opened) >= maxOpened {
		clear(t.opened)
	}
	t.opened[id] = token
	return token, nil
}
