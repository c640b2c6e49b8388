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
//
// It returns the earliest of these times of all live processes with RoleWebhook, or zero if
// none of them can record webhooks now.
func (l *Leases) Heartbeat(
	ctx context.Context, process uuid.UUID, roles []string, recordingSince time.Time, ttl time.Duration,
) (time.Time, error) {
	var extended bool
	var earliest *time.Time
	readEarliest := func(b *pgx.Batch) {
		b.Queue(`SELECT min(recording_since) FROM waypost_run.process
			WHERE expires_at > clock_timestamp() AND $1 = ANY (roles)`, RoleWebhook).
			QueryRow(func(row pgx.Row) error { return row.Scan(&earliest) })
	}
	err := l.durably(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE waypost_run.process SET roles = $2, recording_since = $3, heartbeat_at = clock_timestamp(),
				expires_at = clock_timestamp() + $4::interval WHERE id = $1 AND expires_at > clock_timestamp()`,
			process, roles, timeOrNil(recordingSince), ttl).
			Exec(func(tag pgconn.CommandTag) error {
				extended = tag.RowsAffected() == 1
				return nil
			})
		readEarliest(b)
	})
	if err == nil && !extended {
		err = l.durably(ctx, func(b *pgx.Batch) {
			// Its lanes are deleted with the old row.
			b.Queue(`DELETE FROM waypost_run.process WHERE id = $1`, process)
			b.Queue(`INSERT INTO waypost_run.process (id, roles, recording_since, heartbeat_at, expires_at)
				VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::interval)`,
				process, roles, timeOrNil(recordingSince), ttl)
			readEarliest(b)
		})
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("renew the lease of process %s: %w", process, err)
	}
	return orZero(earliest), nil
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
// share, and returns all lanes that it owns, and its share. Lanes of processes with an expired
// lease are free; a concurrent heartbeat of such a process takes precedence. It returns
// ErrLapsed if the process has no lease. A process that owns more than its share frees some
// with ReleaseLanes.
func (l *Leases) Claim(ctx context.Context, process uuid.UUID, senders []string) (owned []string, share int, err error) {
	owned, share, changes, err := l.owned(ctx, process, senders)
	if err == nil && !changes {
		return owned, share, nil
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
			SELECT s, $1 FROM unnest($4::text[]) AS s
			WHERE EXISTS (SELECT FROM waypost_run.process WHERE id = $1 AND expires_at > clock_timestamp())
				AND NOT EXISTS (SELECT FROM waypost_run.lane l WHERE l.sender = s)
			ORDER BY s
			LIMIT greatest(0, `+shareQuery+` - (SELECT count(*) FROM waypost_run.lane WHERE owner = $1))
			ON CONFLICT DO NOTHING`, process, len(senders), RoleDispatch, senders)
		b.Queue(`SELECT `+ownedQuery+`, `+shareQuery, process, len(senders), RoleDispatch).
			QueryRow(func(row pgx.Row) error { return row.Scan(&owned, &share) })
	})
	if err == nil && !alive {
		err = ErrLapsed
	}
	if err != nil {
		return nil, 0, fmt.Errorf("claim lanes: %w", err)
	}
	return owned, share, nil
}

const (
	// ownedQuery selects the lanes of process $1, by name.
	ownedQuery = `ARRAY(SELECT sender FROM waypost_run.lane WHERE owner = $1 ORDER BY sender)`
	// shareQuery selects how many of $2 senders each live dispatcher should own, including
	// process $1. $3 is RoleDispatch.
	shareQuery = `(SELECT ($2::bigint + d.n - 1) / d.n FROM (SELECT greatest(1, count(*)) AS n FROM waypost_run.process
		WHERE expires_at > clock_timestamp() AND $3 = ANY (roles) OR id = $1) d)`
)

// owned returns the lanes of a process with a lease, and its share. changes is set if a claim can change anything: a
// sender has no owner, or a lease has expired. Usually it can't, and claims are made all the time.
func (l *Leases) owned(ctx context.Context, process uuid.UUID, senders []string) (owned []string, share int, changes bool, err error) {
	err = l.pool.QueryRow(ctx, `SELECT `+ownedQuery+`, `+shareQuery+`,
			EXISTS (SELECT FROM unnest($4::text[]) AS s WHERE NOT EXISTS (SELECT FROM waypost_run.lane l WHERE l.sender = s))
			OR EXISTS (SELECT FROM waypost_run.process WHERE expires_at <= clock_timestamp())
			OR NOT EXISTS (SELECT FROM waypost_run.process WHERE id = $1)`,
		process, len(senders), RoleDispatch, senders).Scan(&owned, &share, &changes)
	return owned, share, changes, err
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
