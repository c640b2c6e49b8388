package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

const (
	// settleTimeout is how long destroying waits for other processes to store the
	// keys they have just derived: some heartbeats.
	settleTimeout = 15 * time.Second
	settlePoll    = 100 * time.Millisecond
	// scrubLock bounds the wait for a table that is to be rewritten.
	scrubLock = "5s"
)

// Settle makes every process store the keys it has derived so far. domain.Unavailable
// if one does not in time.
func (d *DataKeys) Settle(ctx context.Context) error {
	if err := d.rotate(ctx); err != nil {
		return err
	}
	return d.retireOthers(ctx, `id <> $1`, d.seedID())
}

// retireOthers makes the processes whose seeds the condition names take new ones, and
// waits until the old ones are gone.
func (d *DataKeys) retireOthers(ctx context.Context, condition string, arg any) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	rows, err := d.pool.Query(ctx, `UPDATE waypost_vault.key_seed SET retiring = true WHERE `+condition+` RETURNING id`, arg)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return err
	}
	for len(ids) > 0 {
		var left int
		if err := d.pool.QueryRow(ctx, `SELECT count(*) FROM waypost_vault.key_seed WHERE id = ANY ($1)`, ids).Scan(&left); err != nil {
			return err
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return domain.Unavailable("another process of this installation has not stored its data keys yet; try again in %s", abandonedAfter)
		case <-time.After(settlePoll):
		}
	}
	return nil
}

// KeysOf are all keys of a person, under whatever name data about them came. Call
// Settle before.
func (d *DataKeys) KeysOf(ctx context.Context, person string) ([]event.KeyID, error) {
	who := d.ownersOf([]string{person})[0]
	// A number may be known to WhatsApp under another id: the keys of the one name
	// the other. Keys that are shared with others lead to nobody else.
	rows, err := d.pool.Query(ctx, `WITH names AS (
			SELECT $1::bytea AS owner
			UNION
			SELECT other.owner FROM waypost_vault.data_key_owner mine
				JOIN waypost_vault.data_key_owner other ON other.key_id = mine.key_id
				WHERE mine.owner = $1 AND mine.kind <> $2 AND other.kind <> $2)
		SELECT DISTINCT o.key_id FROM waypost_vault.data_key_owner o JOIN names USING (owner)`, who[:], ownerShared)
	if err != nil {
		return nil, fmt.Errorf("find a person's data keys: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("find a person's data keys: %w", err)
	}
	return names(ids), nil
}

// MadeBefore are at most limit keys that took up nothing since a time and that are
// not destroyed, the oldest first, made after a key that was answered before.
func (d *DataKeys) MadeBefore(ctx context.Context, unused time.Time, after event.KeyID, limit int) ([]event.KeyID, error) {
	var from []byte
	if id, ok := parseKeyID(after); ok {
		from = id[:]
	}
	rows, err := d.pool.Query(ctx, `SELECT id FROM waypost_vault.data_key
		WHERE erased_at IS NULL AND made_at < $1 AND ($2::bytea IS NULL
			OR (made_at, id) > ((SELECT made_at FROM waypost_vault.data_key WHERE id = $2), $2))
		ORDER BY made_at, id LIMIT $3`, unused.Add(-d.generation), from, limit)
	if err != nil {
		return nil, fmt.Errorf("find data keys that are due: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("find data keys that are due: %w", err)
	}
	return names(ids), nil
}

// Alive are those of the keys that are not destroyed.
func (d *DataKeys) Alive(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error) {
	ids, err := parseKeyIDs(keys)
	if err != nil {
		return nil, err
	}
	rows, err := d.pool.Query(ctx, `SELECT k.id FROM unnest($1::bytea[]) AS k (id)
		LEFT JOIN waypost_vault.data_key d ON d.id = k.id WHERE d.erased_at IS NULL`, ids)
	if err != nil {
		return nil, fmt.Errorf("look at data keys: %w", err)
	}
	alive, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("look at data keys: %w", err)
	}
	return names(alive), nil
}

// Destroy destroys keys for good, as of a time. What they sealed can be read nowhere
// when it returns; only their ids stay. Destroying a key again changes nothing.
func (d *DataKeys) Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error {
	ids, err := parseKeyIDs(keys)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	d.Forget(keys, at)
	err = func() error {
		d.storing.Lock()
		defer d.storing.Unlock()
		return durably(ctx, d.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO waypost_vault.data_key AS d (id, made_at, erased_at)
				SELECT id, $2, $2 FROM unnest($1::bytea[]) AS k (id)
				ON CONFLICT (id) DO UPDATE SET wrapped = NULL, erased_at = excluded.erased_at WHERE d.erased_at IS NULL`, ids, at); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DELETE FROM waypost_vault.data_key_owner WHERE key_id = ANY ($1)`, ids)
			return err
		})
	}()
	if err != nil {
		return fmt.Errorf("destroy data keys: %w", err)
	}
	// As long as a key's seed stands, the key can be made again.
	seeds := make([][]byte, 0, len(ids))
	for _, id := range ids {
		seeds = append(seeds, id[:seedIDSize])
	}
	if err := d.retireOwn(ctx, ids); err != nil {
		return err
	}
	return d.retireOthers(ctx, `id = ANY ($1)`, seeds)
}

// retireOwn takes a new seed if one of the keys comes from the one in use.
func (d *DataKeys) retireOwn(ctx context.Context, ids [][]byte) error {
	own := seedID{}
	copy(own[:], d.seedID())
	for _, id := range ids {
		if seedID(id[:seedIDSize]) == own {
			return d.rotate(ctx)
		}
	}
	return nil
}

// Forget removes keys from memory: they were, or are about to be, destroyed.
func (d *DataKeys) Forget(keys []event.KeyID, at time.Time) {
	gone := make(map[keyID]bool, len(keys))
	for _, k := range keys {
		if id, ok := parseKeyID(k); ok {
			gone[id] = true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range gone {
		d.open.put(id, dataKey{erasedAt: at})
	}
	d.own.clear() // rare, and soon filled again
	kept := d.pending[:0:0]
	for _, p := range d.pending {
		if !gone[p.id] {
			kept = append(kept, p)
		}
	}
	d.pending = kept
}

// Scrub rewrites the tables that held keys, so that destroyed ones leave the files
// too: Postgres overwrites nothing in place. What it may not do on a given server
// (checkpoints are a privilege) it leaves to that server's own time.
func (d *DataKeys) Scrub(ctx context.Context) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("rewrite the vault: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SET lock_timeout = '`+scrubLock+`'`); err != nil {
		return fmt.Errorf("rewrite the vault: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `RESET lock_timeout`) //nolint:errcheck // a connection that fails is closed
	for _, table := range []string{"data_key", "data_key_owner", "key_seed"} {
		if _, err := conn.Exec(ctx, `VACUUM (FULL) waypost_vault.`+table); err != nil {
			return fmt.Errorf("rewrite the vault: %w", err)
		}
	}
	// The log of the server's writes holds the old rows until it is cut: two
	// checkpoints leave nothing before them.
	for _, statement := range []string{`SELECT pg_switch_wal()`, `CHECKPOINT`, `SELECT pg_switch_wal()`, `CHECKPOINT`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil // see above
		}
	}
	return nil
}

func names(ids [][]byte) []event.KeyID {
	out := make([]event.KeyID, len(ids))
	for i, id := range ids {
		out[i] = keyID(id).name()
	}
	return out
}

var errKeyID = errors.New("is no id of a data key")

func parseKeyIDs(keys []event.KeyID) ([][]byte, error) {
	ids := make([][]byte, len(keys))
	for i, k := range keys {
		id, ok := parseKeyID(k)
		if !ok {
			return nil, fmt.Errorf("%q %w", k, errKeyID)
		}
		ids[i] = id[:]
	}
	return ids, nil
}

// sweepLock is as arbitrary as the locks of migrations.
const sweepLock = 0x7761790010

// Alone runs do unless another process of the installation is at it.
func (d *DataKeys) Alone(ctx context.Context, do func(context.Context) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock the vault: %w", err)
	}
	defer conn.Release()
	var alone bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(sweepLock)).Scan(&alone); err != nil {
		return fmt.Errorf("lock the vault: %w", err)
	}
	if !alone {
		return nil
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(sweepLock)) //nolint:errcheck // it goes with the connection
	return do(ctx)
}
