package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
)

const (
	// askTimeout limits a query to Postgres that a caller waits for. Without a result,
	// an append continues and a reader tries again.
	askTimeout = 500 * time.Millisecond
	// awayPause is how long this process does not query again after a query got no
	// result, so that an unavailable Postgres does not slow down accepting.
	awayPause = time.Second
)

// question collects the keys and owners that several callers ask for, for one query. While a query is
// in progress, callers join the next question.
type question struct {
	keys   map[keyID]bool
	owners map[owner]bool
	done   chan struct{}
	answer answer
	err    error
}

// answer contains the keys that Postgres knows.
type answer struct {
	keys map[keyID]dataKey
}

// query asks Postgres for keys by their IDs, and for the current keys of people. Keys
// that it finds are cached afterwards. It returns event.ErrLocked if there is no
// response.
func (d *DataKeys) query(ctx context.Context, keys []keyID, owners []owner) (answer, error) {
	d.mu.Lock()
	if d.pool == nil || d.clock().Before(d.awayTil) {
		d.mu.Unlock()
		return answer{}, event.ErrLocked
	}
	q := d.ask
	if q == nil {
		q = &question{keys: make(map[keyID]bool), owners: make(map[owner]bool), done: make(chan struct{})}
		d.ask = q
		d.asks.Go(func() { d.runQuestion(context.WithoutCancel(ctx), q) })
	}
	for _, k := range keys {
		q.keys[k] = true
	}
	for _, o := range owners {
		q.owners[o] = true
	}
	d.mu.Unlock()
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		return answer{}, event.ErrLocked
	}
}

// runQuestion queries Postgres after the previous query has returned. Until then,
// callers join the question.
func (d *DataKeys) runQuestion(ctx context.Context, q *question) {
	d.asking <- struct{}{}
	defer func() { <-d.asking }()
	defer close(q.done)
	d.mu.Lock()
	d.ask = nil
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if q.err = d.askPostgres(ctx, q); q.err != nil {
		d.mu.Lock()
		first := d.clock().Sub(d.awayTil) > awayPause
		d.awayTil = d.clock().Add(awayPause)
		d.mu.Unlock()
		if first {
			d.logger.WarnContext(ctx, "data keys cannot be read; new ones are used until they can", "error", q.err)
		}
		q.err = event.ErrLocked
	}
}

func (d *DataKeys) askPostgres(ctx context.Context, q *question) error {
	q.answer.keys = make(map[keyID]dataKey, len(q.keys))
	if len(q.keys) > 0 {
		ids := make([][]byte, 0, len(q.keys))
		for id := range q.keys {
			ids = append(ids, id[:])
		}
		// One statement, and so one snapshot: a key is stored and its seed deleted at
		// the same time.
		rows, err := d.pool.Query(ctx, `SELECT k.id, d.wrapped, d.erased_at, s.wrapped
			FROM unnest($1::bytea[]) AS k (id)
			LEFT JOIN waypost_vault.data_key d ON d.id = k.id
			LEFT JOIN waypost_vault.key_seed s ON s.id = substring(k.id FROM 1 FOR 8) AND d.id IS NULL`, ids)
		if err != nil {
			return err
		}
		if err := d.takeKeys(rows, q.answer.keys); err != nil {
			return err
		}
	}
	found := make(map[owner]ownKey, len(q.owners))
	if len(q.owners) > 0 {
		if err := d.askOwners(ctx, q, found); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, key := range q.answer.keys {
		d.open.put(id, key)
	}
	for o, k := range found {
		if _, have := d.own.get(o); !have {
			d.own.put(o, k)
		}
	}
	return nil
}

func (d *DataKeys) takeKeys(rows pgx.Rows, into map[keyID]dataKey) error {
	seeds := make(map[seedID][keySize]byte)
	var id, wrapped, wrappedSeed []byte
	var erasedAt *time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &wrapped, &erasedAt, &wrappedSeed}, func() error {
		k := keyID(id)
		switch {
		case erasedAt != nil:
			into[k] = dataKey{erasedAt: *erasedAt}
		case wrapped != nil:
			key, err := d.unwrapKey(k, wrapped)
			if err != nil {
				d.logger.Error("data key cannot be opened; what it sealed stays locked", "error", err)
				return nil
			}
			into[k] = key
		case wrappedSeed != nil:
			secret, known := seeds[k.seed()]
			if !known {
				var err error
				if secret, err = d.unwrapSeed(k.seed(), wrappedSeed); err != nil {
					d.logger.Error("seed of data keys cannot be opened; what its keys sealed stays locked", "error", err)
					return nil
				}
				seeds[k.seed()] = secret
			}
			into[k] = dataKey{secret: deriveKey(secret, k)}
		}
		return nil
	})
	return err
}

func (d *DataKeys) askOwners(ctx context.Context, q *question, found map[owner]ownKey) error {
	owners := make([][]byte, 0, len(q.owners))
	for o := range q.owners {
		owners = append(owners, o[:])
	}
	// OFFSET 0 keeps the planner to the two primary keys. With an index on made_at, it
	// would read all keys for a person without any.
	rows, err := d.pool.Query(ctx, `SELECT u.owner, k.id, k.wrapped, k.made_at FROM unnest($1::bytea[]) AS u (owner)
		CROSS JOIN LATERAL (SELECT key_id FROM waypost_vault.data_key_owner
			WHERE owner = u.owner AND kind = $2 OFFSET 0) o
		CROSS JOIN LATERAL (SELECT id, wrapped, made_at, erased_at FROM waypost_vault.data_key
			WHERE id = o.key_id OFFSET 0) k
		WHERE k.erased_at IS NULL AND k.made_at > $3 ORDER BY k.made_at`, owners, ownerSole, d.clock().Add(-d.generation))
	if err != nil {
		return err
	}
	var who, id, wrapped []byte
	var madeAt time.Time
	_, err = pgx.ForEachRow(rows, []any{&who, &id, &wrapped, &madeAt}, func() error {
		k := keyID(id)
		key, err := d.unwrapKey(k, wrapped)
		if err != nil {
			return nil //nolint:nilerr // the person gets a new key; the old one stays locked
		}
		q.answer.keys[k] = key
		found[owner(who)] = ownKey{id: k, madeAt: madeAt}
		return nil
	})
	return err
}

func (d *DataKeys) unwrapKey(id keyID, wrapped []byte) (dataKey, error) {
	secret, err := d.keys.unwrap(wrapped, "key "+string(id[:]))
	if err != nil {
		return dataKey{}, fmt.Errorf("data key %s %w", id.name(), err)
	}
	return dataKey{secret: [keySize]byte(secret)}, nil
}

func (d *DataKeys) wrapKey(id keyID, secret [keySize]byte) ([]byte, error) {
	return d.keys.wrap(secret[:], "key "+string(id[:]))
}

func (d *DataKeys) unwrapSeed(id seedID, wrapped []byte) ([keySize]byte, error) {
	secret, err := d.keys.unwrap(wrapped, "seed "+string(id[:]))
	if err != nil {
		return [keySize]byte{}, fmt.Errorf("a seed of data keys %w", err)
	}
	return [keySize]byte(secret), nil
}

func (d *DataKeys) wrapSeed(id seedID, secret [keySize]byte) ([]byte, error) {
	return d.keys.wrap(secret[:], "seed "+string(id[:]))
}
