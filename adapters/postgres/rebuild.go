package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/event"
)

const (
	freshSchema = ReadModelSchema + "_fresh"
	oldSchema   = ReadModelSchema + "_old"
)

// RebuildOptions configure a rebuild or a verification.
type RebuildOptions struct {
	// URL is the URL of Postgres. Log and LogID are the event log and its identity.
	URL    string
	Log    event.Log
	LogID  string
	Logger *slog.Logger
	// Vault seals personal data in rows; see ProjectorOptions.
	Vault Vault
	// OnProgress receives how much of the log has been projected, over all groups. It can
	// be nil.
	OnProgress func(done, all event.Position)

	// batch and held are for tests. If zero, rebuildBatch and heldAtMost are used.
	batch, held int
	// complete is passed on to the projectors, and withoutFold makes Verify compare the
	// live rows only with rebuilt ones; both are for tests.
	complete    func(context.Context, event.Log, []event.Recorded) ([]event.Recorded, error)
	withoutFold bool
}

// ErrRebuilding reports that another rebuild or verification is running.
var ErrRebuilding = errors.New("another rebuild or verification of the read model is running; wait until it has finished")

// rebuildLock is an arbitrary number, like the locks of migrations.
const rebuildLock = 0x7761790003

// Rebuilt has the digests of the old model and of the fresh one, both at the same positions.
// They differ if the old model was wrong. Before is empty if nothing of this log had been
// projected.
type Rebuilt struct{ Before, After []Digest }

// Rebuild projects the whole log into a fresh schema alongside the live one and then swaps
// them in one transaction. Queries never see an incomplete model, nor one older than what
// they saw before. The swap fences projectors of the live model; they must be run again.
func Rebuild(ctx context.Context, o RebuildOptions) (Rebuilt, error) {
	var done Rebuilt
	err := withFreshModel(ctx, o, func(ctx context.Context, f *freshModel) error {
		err := f.withSharedSnapshot(ctx, func(tx pgx.Tx) error {
			// Digests use one core and don't touch the tables that get their indexes.
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return f.finish(ctx) })
			group.Go(func() (err error) {
				projected, err := f.positions(ctx, tx)
				if err != nil {
					return err
				}
				if len(projected) > 0 {
					if done.Before, err = digests(ctx, tx, ReadModelSchema); err != nil {
						return err
					}
				}
				done.After, err = digests(ctx, tx, freshSchema)
				return err
			})
			return group.Wait()
		})
		if err != nil {
			return err
		}
		err = f.withLivePaused(ctx, func(tx pgx.Tx) error {
			if err := sameVersion(ctx, tx); err != nil {
				return err
			}
			// A batch can be waiting for the row of its group. It would update the old
			// row and then write into the fresh tables.
			if _, err := tx.Exec(ctx, `UPDATE `+ReadModelSchema+`.projection SET epoch = gen_random_uuid()`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `ALTER SCHEMA `+ReadModelSchema+` RENAME TO `+oldSchema); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `ALTER SCHEMA `+freshSchema+` RENAME TO `+ReadModelSchema)
			return err
		})
		if err != nil {
			return fmt.Errorf("swap in the rebuilt read model: %w", err)
		}
		return nil
	})
	if err != nil {
		return Rebuilt{}, fmt.Errorf("rebuild the read model: %w", err)
	}
	return done, nil
}

// sameVersion returns a *NewerSchemaError if a newer version of Waypost has migrated the live model since the rebuild began.
func sameVersion(ctx context.Context, tx pgx.Tx) error {
	newer := &NewerSchemaError{Set: "readmodel"}
	err := tx.QueryRow(ctx, `SELECT (SELECT max(version_id) FROM `+ReadModelSchema+`.`+readModelVersions+`),
		(SELECT max(version_id) FROM `+freshSchema+`.`+readModelVersions+`)`).Scan(&newer.Applied, &newer.Known)
	if err == nil && newer.Applied > newer.Known {
		return newer
	}
	return err
}

// withFreshModel builds a fresh model up to the positions of the live one, passes it to do,
// and drops what remains.
func withFreshModel(ctx context.Context, o RebuildOptions, do func(context.Context, *freshModel) error) (err error) {
	pool, err := Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer conn.Release()
	var alone bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(rebuildLock)).Scan(&alone); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !alone {
		return ErrRebuilding
	}
	defer func() { // if it fails, the lock ends with the connection
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(rebuildLock))
	}()
	// An interrupted run can have left these.
	if err := dropSchemas(ctx, pool, freshSchema, oldSchema); err != nil {
		return err
	}
	// This is separate from the swap, because it waits for those who still read the old
	// tables, and they must not wait for anything that the swap holds.
	defer func() {
		err = errors.Join(err, dropSchemas(context.WithoutCancel(ctx), pool, freshSchema, oldSchema))
	}()
	if err := migrateReadModel(ctx, o.URL, freshSchema); err != nil {
		return err
	}
	f := &freshModel{options: o, live: pool}
	if f.pool, err = open(ctx, o.URL, freshSchema); err != nil {
		return err
	}
	defer f.pool.Close()
	if err := f.build(ctx); err != nil {
		return err
	}
	return do(ctx, f)
}

func dropSchemas(ctx context.Context, pool *pgxpool.Pool, schemas ...string) error {
	for _, schema := range schemas {
		if _, err := pool.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{schema}.Sanitize()+` CASCADE`); err != nil {
			return fmt.Errorf("drop the schema %s: %w", schema, err)
		}
	}
	return nil
}

// freshModel is a model that is built alongside the live one and never gets ahead of it, so
// that both can be brought to the same positions.
type freshModel struct {
	options    RebuildOptions
	live, pool *pgxpool.Pool
	groups     []*Projector
	// indexes are the statements that recreate the indexes dropped by dropIndexes.
	indexes []string
}

// build projects the log up to the positions of the live model, or all of it if nothing of
// the log has been projected.
func (f *freshModel) build(ctx context.Context) error {
	end, err := f.options.Log.End(ctx)
	if err != nil {
		return err
	}
	targets, err := f.positions(ctx, f.live)
	if err != nil {
		return err
	}
	all := event.Position(0)
	for _, g := range Groups() {
		if _, ok := targets[g]; !ok {
			targets[g] = end
		}
		all = max(all, targets[g])
		p, err := NewProjector(ProjectorOptions{
			Group: g, Log: f.options.Log, Pool: f.pool, LogID: f.options.LogID, Logger: f.options.Logger, Vault: f.options.Vault,
			held: cmp.Or(f.options.held, heldAtMost), complete: f.options.complete,
		})
		if err != nil {
			return err
		}
		f.groups = append(f.groups, p)
	}
	if err := f.autovacuum(ctx, `SET (autovacuum_enabled = off)`); err != nil {
		return err
	}
	if err := f.dropIndexes(ctx); err != nil {
		return fmt.Errorf("drop indexes: %w", err)
	}
	return f.projectTo(ctx, targets, func(done event.Position) {
		if f.options.OnProgress != nil {
			f.options.OnProgress(min(done, all), all)
		}
	})
}

// autovacuum changes whether Postgres vacuums the tables automatically. While they are
// built, it would do so repeatedly and find almost nothing.
func (f *freshModel) autovacuum(ctx context.Context, change string) error {
	tables, err := tables()
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := f.pool.Exec(ctx, `ALTER TABLE `+pgx.Identifier{table}.Sanitize()+` `+change); err != nil {
			return fmt.Errorf("alter %s: %w", table, err)
		}
	}
	return nil
}

// unindexed is the index that projections use themselves, to erase a person's data.
const unindexed = "message_data_key"

// dropIndexes drops the indexes of messages that only queries need. Created together on the
// finished table, they take a fraction of the time.
func (f *freshModel) dropIndexes(ctx context.Context) error {
	rows, err := f.pool.Query(ctx, `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
		WHERE indrelid = ANY (ARRAY['message', 'message_exception']::regclass[]) AND NOT indisprimary
			AND indexrelid <> $1::text::regclass`, unindexed)
	if err != nil {
		return err
	}
	var name, definition string
	var drop pgx.Batch
	if err := eachRow(rows, []any{&name, &definition}, func() {
		drop.Queue(`DROP INDEX ` + name)
		f.indexes = append(f.indexes, definition)
	}); err != nil {
		return err
	}
	return f.pool.SendBatch(ctx, &drop).Close()
}

// finish prepares the model for queries: it creates the indexes and collects the planner's
// statistics.
func (f *freshModel) finish(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(2) // each sorts in memory
	for _, definition := range f.indexes {
		group.Go(func() error {
			_, err := f.pool.Exec(ctx, definition)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("make indexes: %w", err)
	}
	tables, err := tables()
	if err != nil {
		return err
	}
	if _, err := f.pool.Exec(ctx, `ANALYZE `+strings.Join(tables, ", ")); err != nil {
		return err
	}
	// Only then can dead letters be counted from an index without the table.
	if _, err := f.pool.Exec(ctx, `VACUUM message_exception`); err != nil {
		return err
	}
	return f.autovacuum(ctx, `RESET (autovacuum_enabled)`)
}

// positions returns the positions of the groups that have projected something of this log.
func (f *freshModel) positions(ctx context.Context, q querier) (map[Group]event.Position, error) {
	rows, err := q.Query(ctx, `SELECT name, position FROM `+ReadModelSchema+`.projection WHERE log_id = $1 AND position > 0`, f.options.LogID)
	if err != nil {
		return nil, err
	}
	found := make(map[Group]event.Position)
	var g Group
	var p event.Position
	_, err = pgx.ForEachRow(rows, []any{&g, &p}, func() error {
		found[g] = p
		return nil
	})
	return found, err
}

// withLivePaused brings the fresh model to the live one's positions and runs do while the
// live projectors are paused there. It commits what do does.
func (f *freshModel) withLivePaused(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, f.live, func(tx pgx.Tx) error {
		// Each batch of a projector updates its row, so that none can commit now.
		if _, err := tx.Exec(ctx, `SELECT FROM `+ReadModelSchema+`.projection FOR UPDATE`); err != nil {
			return err
		}
		targets, err := f.positions(ctx, tx)
		if err != nil {
			return err
		}
		if err := f.projectTo(ctx, targets, func(event.Position) {}); err != nil {
			return err
		}
		return do(tx)
	})
}

// withSharedSnapshot runs do on one snapshot that has both models at the same positions. The
// live projectors are paused only until it is taken.
func (f *freshModel) withSharedSnapshot(ctx context.Context, do func(pgx.Tx) error) error {
	snapshot, err := f.live.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = snapshot.Rollback(context.WithoutCancel(ctx)) }() // it only reads
	err = f.withLivePaused(ctx, func(pgx.Tx) error {
		_, err := snapshot.Exec(ctx, `SELECT`) // the first statement takes the snapshot
		return err
	})
	if err != nil {
		return err
	}
	return do(snapshot)
}

// rebuildBatch is the number of events that a rebuild projects in one transaction. It is so
// large that the other statements cost nothing in comparison.
const rebuildBatch = 10_000

// projectTo projects up to the positions of the groups and no further. It reads the log once
// for all groups, and reads the next batch while one is written.
func (f *freshModel) projectTo(ctx context.Context, targets map[Group]event.Position, progress func(event.Position)) error {
	var types []string
	after, until := event.MaxPosition, event.Position(0)
	for _, p := range f.groups {
		position, err := p.Prepare(ctx)
		if err != nil {
			return err
		}
		after, until = min(after, position), max(until, targets[p.options.Group])
		types = append(types, p.types...)
	}
	if after >= until {
		return nil
	}
	slices.Sort(types)
	batches := make(chan event.Batch, 1)
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return readTo(working, f.options.Log, event.Subscription{
			After: after, Filter: event.Filter{Types: slices.Compact(types)}, MaxBatch: min(readBatch, f.batch()),
		}, f.batch(), until, batches)
	})
	group.Go(func() error {
		for b := range batches {
			groups, ctx := errgroup.WithContext(working)
			for _, p := range f.groups {
				groups.Go(func() error { return p.Apply(ctx, upTo(b, targets[p.options.Group])) })
			}
			if err := groups.Wait(); err != nil {
				return err
			}
			progress(b.Position)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range f.groups {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *freshModel) batch() int { return cmp.Or(f.options.batch, rebuildBatch) }

// upTo returns the part of a batch up to a position.
func upTo(b event.Batch, target event.Position) event.Batch {
	if b.Position <= target {
		return b
	}
	n, _ := slices.BinarySearchFunc(b.Events, target+1, func(r event.Recorded, p event.Position) int { return cmp.Compare(r.Position, p) })
	return event.Batch{Events: b.Events[:n], Position: target}
}

// errReached ends a subscription that has reached its target.
var errReached = errors.New("reached")

// readTo reads the log up to a position and no further, in large batches.
func readTo(ctx context.Context, log event.Log, s event.Subscription, size int, target event.Position, to chan<- event.Batch) error {
	events := make([]event.Recorded, 0, size+s.MaxBatch)
	hand := func(ctx context.Context, b event.Batch) error {
		b.Events = events
		select {
		case to <- b:
			events = make([]event.Recorded, 0, size+s.MaxBatch)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := log.Subscribe(ctx, s, func(ctx context.Context, b event.Batch) error {
		events = append(events, b.Events...)
		// All events up to the target that match the filter have been read: those between
		// the last of them and the target are of other types.
		if b.Position >= target || b.Live {
			b.Position = target
			events = slices.DeleteFunc(events, func(r event.Recorded) bool { return r.Position > target })
			if err := hand(ctx, b); err != nil {
				return err
			}
			return errReached
		}
		if len(events) < size {
			return nil
		}
		return hand(ctx, b)
	})
	if errors.Is(err, errReached) {
		return nil
	}
	return err
}

// A Digest is a sum over all rows of a table, in any order.
type Digest struct {
	Table string
	Rows  int64
	Sum   string
}

// Digests returns the digest of each table of the read model, except the positions, from one
// snapshot. Two models built from the same events have the same digests.
func Digests(ctx context.Context, pool *pgxpool.Pool) ([]Digest, error) {
	var list []Digest
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		list, err = digests(ctx, tx, ReadModelSchema)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("digest the read model: %w", err)
	}
	return list, nil
}

func digests(ctx context.Context, tx pgx.Tx, schema string) ([]Digest, error) {
	tables, err := tables()
	if err != nil {
		return nil, err
	}
	var list []Digest
	for _, table := range tables {
		d := Digest{Table: table}
		sql := `SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM ` +
			pgx.Identifier{schema, table}.Sanitize() + ` t` + digestFilter(table, "t")
		if err := tx.QueryRow(ctx, sql).Scan(&d.Rows, &d.Sum); err != nil {
			return nil, fmt.Errorf("digest %s: %w", table, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// digestFilter returns a condition that excludes rows that depend on how events were
// batched: a counter that is back at 0 is equal to none.
func digestFilter(table, alias string) string {
	if table == "message_count" || table == "work_count" {
		return ` WHERE ` + alias + `.count <> 0`
	}
	return ""
}

// tables returns the tables that projections write.
func tables() ([]string, error) {
	var names []string
	for _, g := range Groups() {
		p, err := NewProjector(ProjectorOptions{Group: g})
		if err != nil {
			return nil, err
		}
		for _, f := range p.folds {
			names = append(names, f.tables...)
		}
	}
	return names, nil
}
