package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

const (
	// settleTimeout is how long destroying waits for other processes to store the keys that they have just derived:
	// several heartbeats.
	settleTimeout = 15 * time.Second
	settlePoll    = 100 * time.Millisecond
)

// FlushAllProcesses makes every process store the keys that it has derived so far. It returns domain.Unavailable if a
// process does not do so in time.
func (d *DataKeys) FlushAllProcesses(ctx context.Context) error {
	if err := d.rotate(ctx); err != nil {
		return err
	}
	return d.retireOthers(ctx, `id <> $1`, d.seedID())
}

// retireOthers makes the processes whose seeds match the condition take new seeds, and waits until the old ones are
// deleted.
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
		if retry.Sleep(ctx, settlePoll) != nil {
			return domain.Unavailable("another process of this installation has not stored its data keys yet; try again in %s", abandonedAfter)
		}
	}
	return nil
}

// KeysOf returns all keys of a person's name, and of the notations of it that WhatsApp reported for a call: the stored
// ones, and the one that this process currently uses for sealing, which may not be stored yet. To get all of them, call
// FlushAllProcesses first. If until is not zero, it returns only the keys made before that time.
func (d *DataKeys) KeysOf(ctx context.Context, name string, until time.Time) ([]event.KeyID, error) {
	who := d.ownersOf([]string{name})[0]
	// WhatsApp may know a number under another ID. The keys of one name lead to the other name. Shared keys do not lead
	// to other people.
	rows, err := d.pool.Query(ctx, `WITH names AS (
			SELECT $1::bytea AS owner
			UNION
			SELECT other.owner FROM waypost_vault.data_key_owner mine
				JOIN waypost_vault.data_key_owner other ON other.key_id = mine.key_id
				WHERE mine.owner = $1 AND mine.kind <> ALL ($2) AND other.kind <> ALL ($2))
		SELECT DISTINCT o.key_id FROM waypost_vault.data_key_owner o JOIN names USING (owner)
			JOIN waypost_vault.data_key k ON k.id = o.key_id WHERE $3::timestamptz IS NULL OR k.made_at < $3`,
		who[:], []ownerKind{ownerShared, ownerLinked, ownerKept}, orNull(until))
	if err != nil {
		return nil, fmt.Errorf("find a person's data keys: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("find a person's data keys: %w", err)
	}
	if id, _, ok := d.current(who); ok && until.IsZero() && !slices.ContainsFunc(ids, func(have []byte) bool { return keyID(have) == id }) {
		ids = append(ids, id[:])
	}
	return names(ids), nil
}

func orNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// linksLiving selects the keys of links that are still needed: other data under one of the linked names exists.
const linksLiving = `EXISTS (SELECT FROM waypost_vault.data_key_owner l
		JOIN waypost_vault.data_key_owner o ON o.owner = l.owner AND o.kind <> l.kind
		WHERE l.key_id = data_key.id AND l.kind = 3)`

// kept selects the keys that outlive the retention period.
const kept = `EXISTS (SELECT FROM waypost_vault.data_key_owner k WHERE k.key_id = data_key.id AND k.kind = 4)`

// MadeBefore returns at most limit keys, oldest first, that have not been used for new data since a time and are not
// destroyed. after is the last key of the previous page.
func (d *DataKeys) MadeBefore(ctx context.Context, unused time.Time, after event.KeyID, limit int) ([]event.KeyID, error) {
	var from []byte
	if id, ok := parseKeyID(after); ok {
		from = id[:]
	}
	rows, err := d.pool.Query(ctx, `SELECT id FROM waypost_vault.data_key
		WHERE erased_at IS NULL AND made_at < $1 AND NOT `+linksLiving+` AND NOT `+kept+` AND ($2::bytea IS NULL
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

// Alive returns the keys that are not destroyed.
func (d *DataKeys) Alive(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error) {
	ids, err := parseKeyIDs(keys)
	if err != nil {
		return nil, err
	}
	rows, err := d.pool.Query(ctx, `SELECT k.id FROM unnest($1::bytea[]) AS k (id)
		LEFT JOIN waypost_vault.data_key d ON d.id = k.id WHERE d.erased_at IS NULL`, ids)
	if err != nil {
		return nil, fmt.Errorf("check data keys: %w", err)
	}
	alive, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("check data keys: %w", err)
	}
	return names(alive), nil
}

// Destroy permanently destroys keys, as of a time. When it returns, data sealed under them is unreadable everywhere.
// Only the IDs of the keys remain. Destroying a key again changes nothing. From then on, traces in the files are due
// for [DataKeys.PurgeFiles].
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
			if _, err := tx.Exec(ctx, `DELETE FROM waypost_vault.data_key_owner WHERE key_id = ANY ($1)`, ids); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO waypost_vault.scrub_due DEFAULT VALUES`)
			return err
		})
	}()
	if err != nil {
		return fmt.Errorf("destroy data keys: %w", err)
	}
	// As long as a key's seed exists, the key can be derived again.
	seeds := make([][]byte, 0, len(ids))
	for _, id := range ids {
		seeds = append(seeds, id[:seedIDSize])
	}
	if err := d.retireOwn(ctx, ids); err != nil {
		return err
	}
	return d.retireOthers(ctx, `id = ANY ($1)`, seeds)
}

// retireOwn takes a new seed if one of the keys comes from the current one.
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

// Forget removes keys from memory that were, or are about to be, destroyed.
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
	d.own.clear() // rare, and quickly refilled
	kept := d.pending[:0:0]
	for _, p := range d.pending {
		if !gone[p.id] {
			kept = append(kept, p)
		}
	}
	d.pending = kept
}

func names(ids [][]byte) []event.KeyID {
	out := make([]event.KeyID, len(ids))
	for i, id := range ids {
		out[i] = keyID(id).name()
	}
	return out
}

var errKeyID = errors.New("is not a data key ID")

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

// sweepLock is an arbitrary number, like the locks of migrations.
const sweepLock = 0x7761790010

// Alone runs do unless another process of the installation is running it.
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
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(sweepLock)) //nolint:errcheck // it is released with the connection
	return do(ctx)
}
