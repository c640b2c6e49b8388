package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
)

const (
	// storeEvery is how long a derived key waits to be stored while Postgres is
	// available.
	storeEvery = 250 * time.Millisecond
	// heartbeatEvery is how often a process reports that its seed is in use and checks
	// whether it must retire it.
	heartbeatEvery = time.Second
	// adoptEvery is how often a process looks for abandoned seeds.
	adoptEvery = 10 * time.Second
	// abandonedAfter is the time after its last heartbeat when a seed counts as
	// abandoned. Its keys are then found in the log. A living process that was cut off
	// for longer has stored them itself.
	abandonedAfter = 10 * time.Minute
	// seedLife is how long keys are derived from one seed. After a crash, that much of
	// the log is searched for them.
	seedLife = 5 * time.Minute
	// storeTimeout limits one transaction.
	storeTimeout = 30 * time.Second
)

// seed is the secret that this process derives its keys from.
type seed struct {
	id     seedID
	secret [keySize]byte
	next   uint32 // the number of the next key
	madeAt time.Time
}

// Start makes the keys ready for use: they are stored in pool, and log is what they
// seal. It fails if the secret keys do not belong to this vault. alone means that no
// other process uses the vault, so that Run immediately adopts the keys that a crash
// left behind.
func (d *DataKeys) Start(ctx context.Context, pool *pgxpool.Pool, log event.Log, alone bool) error {
	index, err := d.installationKey(ctx, pool, "index")
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.pool, d.log, d.index = pool, log, newMACKey(index)
	d.mu.Unlock()
	if alone {
		left, err := d.seeds(ctx)
		if err != nil {
			return fmt.Errorf("open the vault: %w", err)
		}
		d.mu.Lock()
		d.left = left
		d.mu.Unlock()
	}
	return d.rotate(ctx)
}

// seeds returns the IDs of all seeds.
func (d *DataKeys) seeds(ctx context.Context) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rows, err := d.pool.Query(ctx, `SELECT id FROM waypost_vault.key_seed`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]byte])
}

// Close stores pending keys and retires the seed: no key can be derived any longer. It
// must be called after Run has returned. Without it, the next process finds the keys.
func (d *DataKeys) Close(ctx context.Context) error {
	d.mu.Lock()
	if d.seed == nil {
		d.mu.Unlock()
		return nil
	}
	d.retired, d.seed = append(d.retired, d.seed.id[:]), nil
	d.mu.Unlock()
	d.asks.Wait()
	return d.store(ctx)
}

// installationKey returns a secret of the installation. The first caller creates it.
func (d *DataKeys) installationKey(ctx context.Context, pool *pgxpool.Pool, name string) ([]byte, error) {
	fresh := make([]byte, keySize)
	if _, err := rand.Read(fresh); err != nil {
		return nil, err
	}
	wrapped, err := d.keys.wrap(fresh, "installation "+name)
	if err != nil {
		return nil, err
	}
	var stands []byte
	err = durably(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO waypost_vault.installation_key (name, wrapped) VALUES ($1, $2)
			ON CONFLICT DO NOTHING`, name, wrapped); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT wrapped FROM waypost_vault.installation_key WHERE name = $1`, name).Scan(&stands)
	})
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	secret, err := d.keys.unwrap(stands, "installation "+name)
	if err != nil {
		return nil, fmt.Errorf("the vault %w", err)
	}
	return secret, nil
}

// durably runs a transaction that is on disk when it returns. The pool may trade
// durability for speed for the read models, but a key has no other copy.
func durably(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		return do(tx)
	})
}

// Run stores new keys until ctx ends, and once more after that. While Postgres is
// unavailable, they wait. After a crash, they can be derived again from their seed,
// which is already stored.
func (d *DataKeys) Run(ctx context.Context) error {
	timer := time.NewTimer(storeEvery)
	defer timer.Stop()
	var beat, looked time.Time
	stored := d.reporter(ctx, "data keys wait to be stored")
	found := d.reporter(ctx, "keys of a process that ended are not found yet")
	// Minutes of the log are searched for keys while other keys are being stored.
	adopting, adopted := false, make(chan error, 1)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-d.full:
		case <-d.waiting:
			timer.Reset(storeEvery)
			continue
		case err := <-adopted:
			adopting = false
			if err != nil {
				looked = time.Time{}
			}
			found(err)
			continue
		}
		err := d.store(context.WithoutCancel(ctx))
		if err == nil && time.Since(beat) >= heartbeatEvery {
			beat = time.Now()
			if err = d.heartbeat(ctx); err == nil && !adopting && time.Since(looked) >= adoptEvery {
				adopting, looked = true, beat
				go func() { adopted <- d.adopt(ctx) }()
			}
		}
		stored(err)
		next := storeEvery
		if err == nil { // nothing waits, or it has been reported since
			next = max(next, time.Until(beat.Add(heartbeatEvery)))
		}
		timer.Reset(next)
	}
	if adopting {
		<-adopted
	}
	d.asks.Wait()
	return ctx.Err()
}

// reporter returns a function that logs an error, but not the same problem repeatedly.
func (d *DataKeys) reporter(ctx context.Context, message string) func(error) {
	reported := false
	return func(err error) {
		if err != nil && !reported && ctx.Err() == nil {
			d.logger.WarnContext(ctx, message, "error", err)
		}
		reported = err != nil
	}
}

// store stores pending keys, and deletes the seeds that are no longer used.
func (d *DataKeys) store(ctx context.Context) error {
	d.storing.Lock()
	defer d.storing.Unlock()
	return d.storeLocked(ctx)
}

// storeLocked is like store, for callers that hold storing.
func (d *DataKeys) storeLocked(ctx context.Context) error {
	for {
		keys, links, retired := d.takePending(storeBatch)
		if len(keys) == 0 && len(links) == 0 && len(retired) == 0 {
			return nil
		}
		var earlyKeys []pendingKey
		var earlyLinks []pendingAlias
		err := durably(ctx, d.pool, func(tx pgx.Tx) error {
			awaited, err := d.awaited(ctx, tx, keys, links, retired)
			if err != nil {
				return err
			}
			var storable []pendingKey
			var storableLinks []pendingAlias
			earlyKeys, storable = divide(keys, func(k pendingKey) bool { return k.like != nil && awaited[*k.like] })
			earlyLinks, storableLinks = divide(links, func(l pendingAlias) bool { return awaited[l.key] })
			if err := d.insert(ctx, tx, storable, storableLinks); err != nil {
				return err
			}
			if len(awaited) > 0 {
				return nil // the seeds are needed until all of their keys are stored
			}
			_, err = tx.Exec(ctx, `DELETE FROM waypost_vault.key_seed WHERE id = ANY ($1)`, retired)
			return err
		})
		if err != nil {
			d.putBack(keys, links, retired)
			return fmt.Errorf("store data keys: %w", err)
		}
		if len(earlyKeys)+len(earlyLinks) > 0 {
			d.putBack(earlyKeys, earlyLinks, retired)
			return nil
		}
	}
}

// awaited returns the keys that these keys and aliases refer to and that another process has
// derived and not stored yet. Without them, the owners of a key would be unknown: no erasure
// would find it. They are stored by that process, or from the log if it crashed.
func (d *DataKeys) awaited(ctx context.Context, tx pgx.Tx, keys []pendingKey, links []pendingAlias, retired [][]byte) (map[keyID]bool, error) {
	ours := make(map[seedID]bool)
	if own := d.seedID(); len(own) > 0 {
		ours[seedID(own)] = true
	}
	for _, seed := range retired {
		ours[seedID(seed)] = true
	}
	together := make(map[keyID]bool, len(keys))
	for _, k := range keys {
		together[k.id] = true
	}
	var ids, seeds [][]byte
	refer := func(to keyID) {
		if seed := to.seed(); !ours[seed] && !together[to] {
			ids, seeds = append(ids, to[:]), append(seeds, seed[:])
		}
	}
	for _, k := range keys {
		if k.like != nil {
			refer(*k.like)
		}
	}
	for _, l := range links {
		refer(l.key)
	}
	awaited := make(map[keyID]bool)
	if len(ids) == 0 {
		return awaited, nil
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT u.id FROM unnest($1::bytea[], $2::bytea[]) AS u (id, seed)
		JOIN waypost_vault.key_seed s ON s.id = u.seed
		WHERE NOT EXISTS (SELECT FROM waypost_vault.data_key k WHERE k.id = u.id)`, ids, seeds)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	for _, id := range found {
		awaited[keyID(id)] = true
	}
	return awaited, err
}

// divide returns the elements for which is returns true, and the others.
func divide[T any](all []T, is func(T) bool) (those, others []T) {
	for _, one := range all {
		if is(one) {
			those = append(those, one)
		} else {
			others = append(others, one)
		}
	}
	return those, others
}

// takePending takes keys that wait. Aliases and the seeds to delete come with the last
// of them, because they may refer to earlier keys.
func (d *DataKeys) takePending(limit int) (keys []pendingKey, links []pendingAlias, retired [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(limit, len(d.pending))
	keys, d.pending = d.pending[:n:n], d.pending[n:]
	if len(d.pending) == 0 {
		links, retired = d.links, d.retired
		d.pending, d.links, d.retired = nil, nil, nil
	}
	return keys, links, retired
}

func (d *DataKeys) putBack(keys []pendingKey, links []pendingAlias, retired [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(keys, d.pending...)
	d.links, d.retired = append(links, d.links...), append(retired, d.retired...)
}

// insert stores keys. A key that was destroyed in the meantime stays destroyed.
func (d *DataKeys) insert(ctx context.Context, tx pgx.Tx, keys []pendingKey, links []pendingAlias) error {
	var ids, wrapped, owners, owned, liking, liked, aliases, aliased [][]byte
	var madeAt []time.Time
	var kinds []int16
	for _, k := range keys {
		w, err := d.wrapKey(k.id, k.secret)
		if err != nil {
			return err
		}
		ids, wrapped, madeAt = append(ids, k.id[:]), append(wrapped, w), append(madeAt, k.madeAt)
		kind := ownerSole
		if len(k.owners) > 1 {
			kind = ownerShared
		}
		if k.kind != 0 {
			kind = k.kind
		}
		for _, o := range k.owners {
			owners, owned, kinds = append(owners, o[:]), append(owned, k.id[:]), append(kinds, int16(kind))
		}
		if k.like != nil {
			liking, liked = append(liking, k.id[:]), append(liked, k.like[:])
		}
	}
	for _, l := range links {
		aliases, aliased = append(aliases, l.owner[:]), append(aliased, l.key[:])
	}
	var b pgx.Batch
	b.Queue(`INSERT INTO waypost_vault.data_key (id, wrapped, made_at)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::timestamptz[]) ON CONFLICT DO NOTHING`, ids, wrapped, madeAt)
	b.Queue(`INSERT INTO waypost_vault.data_key_owner (owner, key_id, kind)
		SELECT u.owner, u.id, u.kind FROM unnest($1::bytea[], $2::bytea[], $3::smallint[]) AS u (owner, id, kind)
		JOIN waypost_vault.data_key d ON d.id = u.id AND d.erased_at IS NULL ON CONFLICT DO NOTHING`, owners, owned, kinds)
	if len(liking) > 0 {
		b.Queue(`INSERT INTO waypost_vault.data_key_owner (owner, key_id, kind)
			SELECT o.owner, u.id, o.kind FROM unnest($1::bytea[], $2::bytea[]) AS u (id, other)
			JOIN waypost_vault.data_key_owner o ON o.key_id = u.other ON CONFLICT DO NOTHING`, liking, liked)
		// If the key whose owners this one shares was destroyed in the meantime, this
		// one is destroyed with it.
		b.Queue(`WITH gone AS (UPDATE waypost_vault.data_key d SET wrapped = NULL, erased_at = other.erased_at
			FROM unnest($1::bytea[], $2::bytea[]) AS u (id, other) JOIN waypost_vault.data_key other ON other.id = u.other
			WHERE d.id = u.id AND d.erased_at IS NULL AND other.erased_at IS NOT NULL RETURNING d.id)
			INSERT INTO waypost_vault.scrub_due (destroyed_at) SELECT now() WHERE EXISTS (SELECT FROM gone)`, liking, liked)
	}
	if len(aliases) > 0 {
		b.Queue(`INSERT INTO waypost_vault.data_key_owner (owner, key_id, kind)
			SELECT u.owner, u.id, $3 FROM unnest($1::bytea[], $2::bytea[]) AS u (owner, id)
			JOIN waypost_vault.data_key d ON d.id = u.id AND d.erased_at IS NULL ON CONFLICT DO NOTHING`, aliases, aliased, ownerAlias)
	}
	return tx.SendBatch(ctx, &b).Close()
}

// heartbeat reports that the seed is in use, and takes a new one when it is time to.
func (d *DataKeys) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	d.mu.Lock()
	if d.seed == nil {
		d.mu.Unlock()
		return nil
	}
	id, used, age := d.seed.id, d.seed.next > 0, d.clock().Sub(d.seed.madeAt)
	d.mu.Unlock()
	var retiring bool
	err := d.pool.QueryRow(ctx, `UPDATE waypost_vault.key_seed SET seen_at = now() WHERE id = $1 RETURNING retiring`, id[:]).Scan(&retiring)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		retiring = true // it was considered abandoned: its keys are stored with the next seed
	case err != nil:
		return err
	}
	if retiring || (used && age > seedLife) {
		if err := d.rotate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rotate takes a new seed. The old one is deleted in the transaction that stores the
// last of its keys: from then on, each of them can be destroyed individually.
func (d *DataKeys) rotate(ctx context.Context) error {
	d.storing.Lock()
	defer d.storing.Unlock()
	fresh := &seed{madeAt: d.clock()}
	if _, err := rand.Read(fresh.id[:]); err != nil {
		return err
	}
	if _, err := rand.Read(fresh.secret[:]); err != nil {
		return err
	}
	wrapped, err := d.wrapSeed(fresh.id, fresh.secret)
	if err != nil {
		return err
	}
	end, err := d.log.End(ctx)
	if err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	err = durably(ctx, d.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO waypost_vault.key_seed (id, wrapped, from_position, made_at, seen_at)
			VALUES ($1, $2, $3, $4, now())`, fresh.id[:], wrapped, int64(end), fresh.madeAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	d.mu.Lock()
	if d.seed != nil {
		d.retired = append(d.retired, d.seed.id[:])
	}
	d.seed = fresh
	d.mu.Unlock()
	return d.storeLocked(ctx)
}

// errScanned ends a subscription that has seen the log.
var errScanned = errors.New("the log was scanned")

// adopt stores the keys of seeds that existed when this process was started with no
// other process running, or that have not been used for a while: their process ended
// before it could store them. Data sealed under them is found in the log, which
// contains their owners. This takes as long as reading the log since then. The seeds
// are deleted.
func (d *DataKeys) adopt(ctx context.Context) error {
	abandoned, err := d.abandoned(ctx)
	if err != nil || len(abandoned) == 0 {
		return err
	}
	secrets := make(map[seedID][keySize]byte, len(abandoned))
	from := abandoned[0].from
	var ids [][]byte
	for _, a := range abandoned {
		secret, err := d.unwrapSeed(seedID(a.id), a.wrapped)
		if err != nil {
			return err
		}
		secrets[seedID(a.id)], ids, from = secret, append(ids, a.id), min(from, a.from)
	}
	end, err := d.log.End(ctx)
	if err != nil {
		return fmt.Errorf("find the keys of a process that ended: %w", err)
	}
	// A restored log may end before the seed was created. It contains none of the
	// seed's keys then.
	keys, err := d.scan(ctx, secrets, min(event.Position(from), end))
	if err != nil {
		return fmt.Errorf("find the keys of a process that ended: %w", err)
	}
	// There can be as many keys as waited while Postgres was unavailable. Stored keys
	// stay stored, and the seeds are deleted with the last of them.
	for len(keys) > storeBatch {
		if err := d.storeFound(ctx, keys[:storeBatch], nil); err != nil {
			return err
		}
		keys = keys[storeBatch:]
	}
	return d.storeFound(ctx, keys, ids)
}

// storeFound stores keys and deletes seeds of a process that ended.
func (d *DataKeys) storeFound(ctx context.Context, keys []pendingKey, seeds [][]byte) error {
	d.storing.Lock()
	defer d.storing.Unlock()
	err := durably(ctx, d.pool, func(tx pgx.Tx) error {
		if err := d.insert(ctx, tx, keys, nil); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM waypost_vault.key_seed WHERE id = ANY ($1)`, seeds)
		return err
	})
	if err != nil {
		return fmt.Errorf("store the keys of a process that ended: %w", err)
	}
	return nil
}

// abandoned returns the seeds of processes that ended.
func (d *DataKeys) abandoned(ctx context.Context) ([]seedRow, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	d.mu.Lock()
	left := d.left
	d.mu.Unlock()
	rows, err := d.pool.Query(ctx, `SELECT id, wrapped, from_position FROM waypost_vault.key_seed
		WHERE id = ANY ($1) OR id <> $2 AND seen_at <= now() - $3::interval`, left, d.seedID(), abandonedAfter)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s seedRow, err error) {
		err = row.Scan(&s.id, &s.wrapped, &s.from)
		return s, err
	})
}

type seedRow struct {
	id, wrapped []byte
	from        int64
}

func (d *DataKeys) seedID() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seed == nil {
		return []byte{}
	}
	return append([]byte(nil), d.seed.id[:]...)
}

// scan finds the keys of these seeds that were used after a position.
func (d *DataKeys) scan(ctx context.Context, secrets map[seedID][keySize]byte, from event.Position) ([]pendingKey, error) {
	found := make(map[keyID]bool)
	var keys []pendingKey
	err := d.log.Subscribe(ctx, event.Subscription{After: from, Sealed: true}, func(_ context.Context, b event.Batch) error {
		for _, r := range b.Events {
			id, ok := parseKeyID(r.Key)
			secret, ours := secrets[id.seed()]
			if !ok || !ours || found[id] {
				continue
			}
			k := pendingKey{id: id, secret: deriveKey(secret, id), madeAt: r.Meta.RecordedAt}
			_, about, sealed, ok := event.Sealed(r.Stream, r.Type, r.Data)
			if !ok {
				continue
			}
			text, err := dataKey{secret: k.secret}.decrypt(about, sealed)
			if err != nil {
				return fmt.Errorf("%s/%d: %w", r.Stream, r.Revision, err)
			}
			if k.owners, k.like, _, err = parseHeader(text); err != nil {
				return fmt.Errorf("%s/%d: %w", r.Stream, r.Revision, err)
			}
			if len(k.owners) == 0 && k.like == nil {
				continue // a later event under a key whose owners another event names
			}
			switch { // the header does not say so
			case strings.HasPrefix(r.Stream, event.MarketingStreams) || r.Stream == event.CampaignsStream:
				k.kind = ownerKept
			case strings.HasPrefix(r.Stream, event.IdentityStreams):
				k.kind = ownerLinked
			}
			found[id] = true
			keys = append(keys, k)
		}
		if b.Live {
			return errScanned
		}
		return nil
	})
	if errors.Is(err, errScanned) {
		err = nil
	}
	return keys, err
}
