package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/work"
)

// RoleDispatch and RoleWebhook are the roles of a process that leases go by.
const (
	RoleDispatch = work.RoleDispatch
	RoleWebhook  = work.RoleWebhook
)

// Leases says which processes are alive and who of them sends for which sender. All
// times are those of Postgres's clock, which all processes share.
type Leases struct{ pool *pgxpool.Pool }

// NewLeases makes the leases that stand in the Postgres of pool.
func NewLeases(pool *pgxpool.Pool) *Leases { return &Leases{pool: pool} }

// Heartbeat prolongs the process's lease to ttl from now. A process whose lease has
// ended gets a new one and owns no lane with it, whatever it owned: by its own
// monotonic clock it has stopped before, and it claims anew. recordingSince is since
// when it can record webhooks without a break, zero while it can't.
func (l *Leases) Heartbeat(
	ctx context.Context, process uuid.UUID, roles []string, recordingSince time.Time, ttl time.Duration,
) error {
	err := l.durably(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE waypost_run.process SET roles = $2, recording_since = $3, heartbeat_at = clock_timestamp(),
				expires_at = clock_timestamp() + $4::interval WHERE id = $1 AND expires_at > clock_timestamp()`,
			process, roles, timeOrNil(recordingSince), ttl)
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		// Its lanes go with the old row.
		if _, err := tx.Exec(ctx, `DELETE FROM waypost_run.process WHERE id = $1`, process); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO waypost_run.process (id, roles, recording_since, heartbeat_at, expires_at)
			VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::interval)`,
			process, roles, timeOrNil(recordingSince), ttl)
		return err
	})
	if err != nil {
		return fmt.Errorf("renew the lease of process %s: %w", process, err)
	}
	return nil
}

// Release ends the process's lease and gives up its lanes.
func (l *Leases) Release(ctx context.Context, process uuid.UUID) error {
	err := l.durably(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM waypost_run.process WHERE id = $1`, process)
		return err
	})
	if err != nil {
		return fmt.Errorf("end the lease of process %s: %w", process, err)
	}
	return nil
}

// ErrLapsed says that a process without a lease asked for lanes.
var ErrLapsed = errors.New("process has no lease: it needs a heartbeat first")

// Claim takes lanes of the given senders that nobody alive owns, up to the process's
// share, and answers all that it owns. Lanes of processes whose lease has ended are
// free; a heartbeat that is under way meanwhile decides first. ErrLapsed if the
// process has no lease.
func (l *Leases) Claim(ctx context.Context, process uuid.UUID, senders []string) ([]string, error) {
	var owned []string
	err := l.durably(ctx, func(tx pgx.Tx) error {
		// Lanes go with their owner's row. One that is locked has a heartbeat under way,
		// or another claim ends it.
		if _, err := tx.Exec(ctx, `DELETE FROM waypost_run.process WHERE id IN (
			SELECT id FROM waypost_run.process WHERE expires_at <= clock_timestamp() AND id <> $1 FOR UPDATE SKIP LOCKED)`,
			process); err != nil {
			return err
		}
		// The lock keeps the lease from being ended by others until the claims stand.
		var alive bool
		err := tx.QueryRow(ctx, `SELECT expires_at > clock_timestamp() FROM waypost_run.process WHERE id = $1 FOR UPDATE`, process).Scan(&alive)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !alive {
			return ErrLapsed
		}
		if err != nil {
			return err
		}
		share, err := shareOf(ctx, tx, process, len(senders))
		if err != nil {
			return err
		}
		// In the order of names, so that two claims never wait for each other.
		if _, err := tx.Exec(ctx, `INSERT INTO waypost_run.lane (sender, owner)
			SELECT s, $1 FROM unnest($2::text[]) AS s
			WHERE NOT EXISTS (SELECT FROM waypost_run.lane l WHERE l.sender = s)
			ORDER BY s
			LIMIT greatest(0, $3 - (SELECT count(*) FROM waypost_run.lane WHERE owner = $1))
			ON CONFLICT DO NOTHING`, process, senders, share); err != nil {
			return err
		}
		owned, err = collect[string](ctx, tx, `SELECT sender FROM waypost_run.lane WHERE owner = $1 ORDER BY sender`, process)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim lanes: %w", err)
	}
	return owned, nil
}

// Share is how many of so many senders each living dispatcher should own, the
// process counted among them: who owns more gives some back, by ReleaseLanes.
func (l *Leases) Share(ctx context.Context, process uuid.UUID, senders int) (int, error) {
	share, err := shareOf(ctx, l.pool, process, senders)
	if err != nil {
		return 0, fmt.Errorf("count dispatchers: %w", err)
	}
	return share, nil
}

func shareOf(ctx context.Context, q querier, process uuid.UUID, senders int) (int, error) {
	var dispatchers int
	err := q.QueryRow(ctx, `SELECT count(*) FROM waypost_run.process
		WHERE expires_at > clock_timestamp() AND $1 = ANY (roles) OR id = $2`, RoleDispatch, process).Scan(&dispatchers)
	dispatchers = max(dispatchers, 1)
	return (senders + dispatchers - 1) / dispatchers, err
}

// ReleaseLanes gives up lanes, once nothing of theirs is in flight any more.
func (l *Leases) ReleaseLanes(ctx context.Context, process uuid.UUID, senders []string) error {
	err := l.durably(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM waypost_run.lane WHERE owner = $1 AND sender = ANY ($2)`, process, senders)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lanes: %w", err)
	}
	return nil
}

// RecordingSince is since when this installation could record webhooks without a
// break, by the process that can longest; false if none can now.
func (l *Leases) RecordingSince(ctx context.Context) (time.Time, bool, error) {
	var since *time.Time
	err := l.pool.QueryRow(ctx, `SELECT min(recording_since) FROM waypost_run.process
		WHERE expires_at > clock_timestamp() AND $1 = ANY (roles)`, RoleWebhook).Scan(&since)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("read since when webhooks are recorded: %w", err)
	}
	return orZero(since), since != nil, nil
}

// inboundKept is how long counts of inbound messages are kept; lanes look back a second.
const inboundKept = time.Minute

// AddInbound counts messages that came in for senders within the second of at, and
// forgets those of long ago.
func (l *Leases) AddInbound(ctx context.Context, at time.Time, bySender map[string]int) error {
	var senders []string
	var numbers []int32
	for s, n := range bySender {
		senders, numbers = append(senders, s), append(numbers, int32(n))
	}
	var batch pgx.Batch
	batch.Queue(`INSERT INTO waypost_run.inbound AS i (sender, second, count)
		SELECT s, date_trunc('second', $3::timestamptz), n FROM unnest($1::text[], $2::integer[]) AS u (s, n) ORDER BY s
		ON CONFLICT (sender, second) DO UPDATE SET count = i.count + excluded.count`, senders, numbers, at)
	batch.Queue(`DELETE FROM waypost_run.inbound WHERE second < $1 AND sender = ANY ($2)`, at.Add(-inboundKept), senders)
	if err := l.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("count inbound messages: %w", err)
	}
	return nil
}

// InboundSince answers how many messages came in for each sender, over all
// processes, from at on. Counts are kept by the second: of the second in which at
// lies, so much counts as lies behind it.
func (l *Leases) InboundSince(ctx context.Context, at time.Time) (map[string]int, error) {
	rows, err := l.pool.Query(ctx, `SELECT sender, ceil(sum(count *
			least(1, 1 - extract(epoch FROM $1::timestamptz - second))))::bigint FROM waypost_run.inbound
		WHERE second >= date_trunc('second', $1::timestamptz) GROUP BY sender`, at)
	if err != nil {
		return nil, fmt.Errorf("read inbound messages: %w", err)
	}
	counts := make(map[string]int)
	var sender string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&sender, &n}, func() error {
		counts[sender] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read inbound messages: %w", err)
	}
	return counts, nil
}

// durably runs a transaction that is on disk once it is acknowledged: a lane that a
// crash of Postgres took back would have two owners.
func (l *Leases) durably(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		return do(tx)
	})
}
