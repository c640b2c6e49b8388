package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

// A destroyed key must also disappear from the files. Postgres overwrites nothing in place,
// so after the row is deleted, its bytes are in five more places:
//
//   - dead rows in the pages of the tables, and free space in them and in the indexes:
//     VACUUM FULL writes new files, without rows that no snapshot can see;
//   - the samples of column values that ANALYZE stores in pg_statistic;
//   - segments of the write-ahead log (WAL) since the last checkpoint: a checkpoint in a
//     new segment leaves none of them in use;
//   - segments that this or an earlier checkpoint recycled: they are renamed to become
//     future segments and keep their bytes until they are written again. The WAL is
//     switched through all of them, which fills each with zeros;
//   - the seed of the key, from which the key can be derived: seeds of destroyed keys
//     are retired first.

const (
	// scrubLockTimeout limits the wait for a table that is rewritten, and for another
	// process that scrubs.
	scrubLockTimeout = "5s"
	// scrubEvery is how often a process checks whether an erasure is due for a scrub.
	scrubEvery = 10 * time.Second
	// snapshotTimeout limits the wait for transactions that can still see destroyed
	// keys.
	snapshotTimeout = 10 * time.Second
	// maxSwitches limits the segments that one scrub overwrites: 64 GB.
	maxSwitches = 4096
	// scrubLock is an arbitrary number, like the locks of migrations.
	scrubLock = 0x7761790011
)

// scrubbed are the tables that contain keys, seeds, or their owners, and the table with
// samples of their columns.
var scrubbed = []string{"waypost_vault.data_key", "waypost_vault.data_key_owner", "waypost_vault.key_seed", "pg_catalog.pg_statistic"}

// PurgeFiles removes destroyed keys from Postgres's files and returns when none of them
// is left there. It does nothing if no erasure is due for it. An erasure stays due,
// across restarts, until a scrub has succeeded. The error is domain.Unavailable if a
// transaction still sees the destroyed keys, or another process did not store the keys
// that it derived in time.
//
// If Postgres doesn't permit switching the WAL or running checkpoints, it logs what to
// grant, and leaves the WAL to the server.
func (d *DataKeys) PurgeFiles(ctx context.Context) error {
	if due, err := d.scrubDue(ctx, d.pool); err != nil || len(due) == 0 {
		return err
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("scrub the vault: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SET lock_timeout = '`+scrubLockTimeout+`'`); err != nil {
		return fmt.Errorf("scrub the vault: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `RESET lock_timeout`) //nolint:errcheck // a connection that fails is closed
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(scrubLock)); err != nil {
		if codeOf(err) == lockNotAvailable {
			return domain.Unavailable("another process is removing destroyed data keys from disk; Waypost will retry")
		}
		return fmt.Errorf("scrub the vault: wait for another process that scrubs it: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(scrubLock)) //nolint:errcheck // it is released with the connection
	due, err := d.scrubDue(ctx, conn)
	if err != nil || len(due) == 0 { // the other process scrubbed them
		return err
	}
	if err := d.scrub(ctx, conn.Conn()); err != nil {
		if codeOf(err) == lockNotAvailable {
			return domain.Unavailable("the vault is locked by another transaction; Waypost will retry removing the destroyed data keys from disk")
		}
		return fmt.Errorf("scrub the vault: %w", err)
	}
	if _, err := conn.Exec(ctx, `DELETE FROM waypost_vault.scrub_due WHERE id = ANY ($1)`, due); err != nil {
		return fmt.Errorf("scrub the vault: %w", err)
	}
	return nil
}

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// scrubDue returns the erasures whose traces must still be removed.
func (d *DataKeys) scrubDue(ctx context.Context, in querier) ([][16]byte, error) {
	rows, err := in.Query(ctx, `SELECT id FROM waypost_vault.scrub_due`)
	if err != nil {
		return nil, fmt.Errorf("scrub the vault: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("scrub the vault: %w", err)
	}
	return due, nil
}

func (d *DataKeys) scrub(ctx context.Context, conn *pgx.Conn) error {
	if err := d.retireDestroyed(ctx); err != nil {
		return err
	}
	if err := awaitSnapshots(ctx, conn); err != nil {
		return err
	}
	for _, table := range scrubbed {
		if _, err := conn.Exec(ctx, `VACUUM (FULL, ANALYZE) `+table); err != nil {
			return fmt.Errorf("rewrite %s: %w", table, err)
		}
	}
	err := overwriteWAL(ctx, conn)
	if codeOf(err) == insufficientPrivilege {
		d.logger.WarnContext(ctx, "destroyed data keys remain in the write-ahead log until Postgres overwrites it; "+
			"grant the roles pg_checkpoint and pg_monitor, and EXECUTE on pg_switch_wal()", "error", err)
		return nil
	}
	return err
}

// Error codes of Postgres.
const (
	insufficientPrivilege = "42501"
	lockNotAvailable      = "55P03"
)

// codeOf returns the code of an error that Postgres reported, or "" for any other
// error.
func codeOf(err error) string {
	var reported *pgconn.PgError
	if errors.As(err, &reported) {
		return reported.Code
	}
	return ""
}

// KeepScrubbed scrubs the vault whenever an erasure is due for it, until ctx ends. It
// starts with scrubs that a crash interrupted, and retries failed ones.
func (d *DataKeys) KeepScrubbed(ctx context.Context) error {
	tick := time.NewTicker(scrubEvery)
	defer tick.Stop()
	report := d.reporter(ctx, "destroyed data keys are not removed from disk yet")
	for ctx.Err() == nil {
		report(d.PurgeFiles(ctx))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return ctx.Err()
}

// retireDestroyed retires the seeds from which destroyed keys can be derived, and waits
// until they are deleted. Such seeds remain if a process ended between destroying a key
// and retiring its seed.
func (d *DataKeys) retireDestroyed(ctx context.Context) error {
	rows, err := d.pool.Query(ctx, `SELECT s.id FROM waypost_vault.key_seed s WHERE EXISTS (
		SELECT FROM waypost_vault.data_key d WHERE d.id BETWEEN s.id || '\x00000000'::bytea AND s.id || '\xffffffff'::bytea
			AND d.erased_at IS NOT NULL)`)
	if err != nil {
		return err
	}
	seeds, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(seeds) == 0 {
		return err
	}
	if err := d.retireOwn(ctx, seeds); err != nil {
		return err
	}
	return d.retireOthers(ctx, `id = ANY ($1)`, seeds)
}

// awaitSnapshots waits until every transaction that began before now has ended: VACUUM
// keeps the rows that such a transaction can still see.
func awaitSnapshots(ctx context.Context, conn *pgx.Conn) error {
	var from string
	if err := conn.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text`).Scan(&from); err != nil {
		return err
	}
	for begin := time.Now(); ; {
		var older int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()
				AND (age(backend_xmin) > age($1::text::xid) OR age(backend_xid) > age($1::text::xid))`, from).Scan(&older); err != nil {
			return err
		}
		if older == 0 {
			return nil
		}
		if time.Since(begin) > snapshotTimeout {
			return domain.Unavailable("%d transactions in Postgres still see the destroyed data keys; Waypost will retry", older)
		}
		if err := retry.Sleep(ctx, settlePoll); err != nil {
			return err
		}
	}
}

// overwriteWAL removes everything written so far from the write-ahead log. A checkpoint
// in a new segment makes the older ones removable: Postgres deletes them, or renames
// them for reuse. The log is then switched past the last of the existing files. On a
// switch, the rest of a segment is filled with zeros.
func overwriteWAL(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{`SELECT pg_switch_wal()`, `CHECKPOINT`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("truncate the write-ahead log: %w", err)
		}
	}
	var last string
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(name COLLATE "C"), '') FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'`).Scan(&last); err != nil {
		return fmt.Errorf("list the write-ahead log: %w", err)
	}
	for range maxSwitches {
		// A switch does nothing at the start of a segment, so something is written
		// first.
		var now string
		if err := conn.QueryRow(ctx, `SELECT pg_walfile_name(pg_logical_emit_message(false, 'waypost', 'scrub'))`).Scan(&now); err != nil {
			return fmt.Errorf("overwrite the write-ahead log: %w", err)
		}
		if now > last {
			return nil
		}
		if _, err := conn.Exec(ctx, `SELECT pg_switch_wal()`); err != nil {
			return fmt.Errorf("overwrite the write-ahead log: %w", err)
		}
	}
	return fmt.Errorf("overwrite the write-ahead log: more than %d segments; try again when the server is less busy", maxSwitches)
}
