package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/work"
)

// RoleDispatch and RoleWebhook are the roles of a process that leases depend on.
const (
	RoleDispatch = work.RoleDispatch
	RoleWebhook  = work.RoleWebhook
)

// Leases records which processes are alive and which of them sends for which sender. All
// times are by Postgres's clock, which all processes share.
type Leases struct{ pool *pgxpool.Pool }

// NewLeases returns the leases in the Postgres of pool.
func NewLeases(pool *pgxpool.Pool) *Leases { return &Leases{pool: pool} }

// Heartbeat extends the process's lease to ttl from now. A process whose lease has expired
// gets a new one without any lanes, because by its own monotonic clock it has stopped
// before; it must claim lanes again. recordingSince is the time since which it has recorded
// webhooks without interruption, or zero if it can't.
func (l *Leases) Heartbeat(
	ctx context.Context, process uuid.UUID, roles []string, recordingSince time.Time, ttl time.Duration,
) error {
	var extended bool
	err := l.durably(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE waypost_run.process SET roles = $2, recording_since = $3, heartbeat_at = clock_timestamp(),
				expires_at = clock_timestamp() + $4::interval WHERE id = $1 AND expires_at > clock_timestamp()`,
			process, roles, timeOrNil(recordingSince), ttl).
			Exec(func(tag pgconn.CommandTag) error {
				extended = tag.RowsAffected() == 1
				return nil
			})
	})
	if err == nil && !extended {
		err = l.durably(ctx, func(b *pgx.Batch) {
			// Its lanes are deleted with the old row.
			b.Queue(`DELETE FROM waypost_run.process WHERE id = $1`, process)
			b.Queue(`INSERT INTO waypost_run.process (id, roles, recording_since, heartbeat_at, expires_at)
				VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::interval)`,
				process, roles, timeOrNil(recordingSince), ttl)
		})
	}
	if err != nil {
		return fmt.Errorf("renew the lease of process %s: %w", process, err)
	}
	return nil
}

// Release ends the process's lease and frees its lanes.
func (l *Leases) Release(ctx context.Context, process uuid.UUID) error {
	err := l.durably(ctx, func(b *pgx.Batch) { b.Queue(`DELETE FROM waypost_run.process WHERE id = $1`, process) })
	if err != nil {
		return fmt.Errorf("end the lease of process %s: %w", process, err)
	}
	return nil
}

// ErrLapsed reports that a process without a lease claimed lanes.
var ErrLapsed = errors.New("process has no lease: it needs a heartbeat first")

// Claim takes lanes of the given senders that no live process owns, up to the process's
// share, and returns all lanes that it owns. Lanes of processes with an expired lease are
// free; a concurrent heartbeat of such a process takes precedence. It returns ErrLapsed if
// the process has no lease.
func (l *Leases) Claim(ctx context.Context, process uuid.UUID, senders []string) ([]string, error) {
	owned, changes, err := l.owned(ctx, process, senders)
	if err == nil && !changes {
		return owned, nil
	}
	var alive bool
	err = l.durably(ctx, func(b *pgx.Batch) {
		// Lanes are deleted with their owner's row. A locked row has a heartbeat in
		// progress, or another claim deletes it.
		b.Queue(`DELETE FROM waypost_run.process WHERE id IN (
			SELECT id FROM waypost_run.process WHERE expires_at <= clock_timestamp() AND id <> $1 FOR UPDATE SKIP LOCKED)`,
			process)
		// The lock prevents others from ending the lease until the claims are committed.
		b.Queue(`SELECT expires_at > clock_timestamp() FROM waypost_run.process WHERE id = $1 FOR UPDATE`, process).
			QueryRow(func(row pgx.Row) error {
				err := row.Scan(&alive)
				if errors.Is(err, pgx.ErrNoRows) {
					return nil
				}
				return err
			})
		// Ordered by name, so that two claims never wait for each other.
		b.Queue(`INSERT INTO waypost_run.lane (sender, owner)
			SELECT s, $1 FROM unnest($2::text[]) AS s
			WHERE EXISTS (SELECT FROM waypost_run.process WHERE id = $1 AND expires_at > clock_timestamp())
				AND NOT EXISTS (SELECT FROM waypost_run.lane l WHERE l.sender = s)
			ORDER BY s
			LIMIT greatest(0, (SELECT ($3::bigint + d.n - 1) / d.n FROM (SELECT greatest(1, count(*)) AS n `+dispatchers+`) d)
				- (SELECT count(*) FROM waypost_run.lane WHERE owner = $1))
			ON CONFLICT DO NOTHING`, process, senders, len(senders), RoleDispatch)
		b.Queue(`SELECT sender FROM waypost_run.lane WHERE owner = $1 ORDER BY sender`, process).
			Query(func(rows pgx.Rows) (err error) {
				owned, err = pgx.CollectRows(rows, pgx.RowTo[string])
				return err
			})
	})
	if err == nil && !alive {
		err = ErrLapsed
	}
	if err != nil {
		return nil, fmt.Errorf("claim lanes: %w", err)
	}
	return owned, nil
}

// owned returns the lanes of a process with a lease. changes is set if a claim can change anything: a
// sender has no owner, or a lease has expired. Usually it can't, and claims are made all the time.
func (l *Leases) owned(ctx context.Context, process uuid.UUID, senders []string) (owned []string, changes bool, err error) {
	err = l.pool.QueryRow(ctx, `SELECT ARRAY(SELECT sender FROM waypost_run.lane WHERE owner = $1 ORDER BY sender),
			EXISTS (SELECT FROM unnest($2::text[]) AS s WHERE NOT EXISTS (SELECT FROM waypost_run.lane l WHERE l.sender = s))
			OR EXISTS (SELECT FROM waypost_run.process WHERE expires_at <= clock_timestamp())
			OR NOT EXISTS (SELECT FROM waypost_run.process WHERE id = $1)`, process, senders).Scan(&owned, &changes)
	return owned, changes, err
}

// dispatchers selects the live dispatchers, including process $1. $4 is RoleDispatch.
const dispatchers = `FROM waypost_run.process WHERE expires_at > clock_timestamp() AND $4 = ANY (roles) OR id = $1`

// Share returns how many of the given number of senders each live dispatcher should own,
// including this process. A process that owns more frees some with ReleaseLanes.
func (l *Leases) Share(ctx context.Context, process uuid.UUID, senders int) (int, error) {
	var n int
	err := l.pool.QueryRow(ctx, `SELECT count(*) FROM waypost_run.process
		WHERE expires_at > clock_timestamp() AND $1 = ANY (roles) OR id = $2`, RoleDispatch, process).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count dispatchers: %w", err)
	}
	n = max(n, 1)
	return (senders + n - 1) / n, nil
}

// ReleaseLanes frees lanes. The caller must have no call in flight on them.
func (l *Leases) ReleaseLanes(ctx context.Context, process uuid.UUID, senders []string) error {
	err := l.durably(ctx, func(b *pgx.Batch) {
		b.Queue(`DELETE FROM waypost_run.lane WHERE owner = $1 AND sender = ANY ($2)`, process, senders)
	})
	if err != nil {
		return fmt.Errorf("release lanes: %w", err)
	}
	return nil
}

// RecordingSince returns the time since which webhooks could be recorded without
// interruption, by the process that has done so for longest. It returns false if no process
// can now.
func (l *Leases) RecordingSince(ctx context.Context) (time.Time, bool, error) {
	var since *time.Time
	err := l.pool.QueryRow(ctx, `SELECT min(recording_since) FROM waypost_run.process
		WHERE expires_at > clock_timestamp() AND $1 = ANY (roles)`, RoleWebhook).Scan(&since)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("read the start of webhook recording: %w", err)
	}
	return orZero(since), since != nil, nil
}

// inboundKept is how long counts of inbound messages are kept. Lanes need the last second.
const inboundKept = time.Minute

// AddInbound counts messages received for senders in the second of at, and deletes old
// counts.
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

// InboundSince returns the number of messages received for each sender since at, over all
// processes. Counts are per second: of the second that contains at, the fraction after at is
// counted.
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

// durably runs statements as one transaction, in one round trip, which is on disk once it is
// acknowledged. If a crash of Postgres undid a claim, the lane would have two owners.
// Leases are renewed every second, also while nothing is sent.
func (l *Leases) durably(ctx context.Context, queue func(*pgx.Batch)) error {
	var batch pgx.Batch
	// Statements that are sent together without BEGIN are one transaction, to which SET
	// LOCAL does not apply.
	batch.Queue(`SELECT set_config('synchronous_commit', 'on', true)`)
	queue(&batch)
	return l.pool.SendBatch(ctx, &batch).Close()
}
