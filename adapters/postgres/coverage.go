package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/domain/coverage"
)

// recorderSilence is how long a process that records webhooks can be silent before the others
// take it for dead. Heartbeats come every second.
const recorderSilence = 3 * time.Second

// A RecordingBeat is the report of a process that can record webhooks now.
type RecordingBeat struct {
	Process uuid.UUID
	// First is set if the process has not reported before. If not, it reported SinceLast ago.
	First     bool
	SinceLast time.Duration
	// Unbroken is set if it could record webhooks all the time since then.
	Unbroken bool
	// Numbers are the phone numbers of which webhooks came since.
	Numbers []string
}

// RecordingBeat records a heartbeat, and the breaks that it shows: that of the process itself, and those
// of processes that are silent. A process that was silent itself, because Postgres was
// unavailable, does not judge others, which had no chance to report.
func (l *Leases) RecordingBeat(ctx context.Context, h RecordingBeat) error {
	// Each process does this every second. BEGIN and COMMIT in the batches save two round trips of four. The pool closes
	// a connection whose transaction is open.
	err := l.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		r, now, silent, err := h.begin(ctx, c)
		if err != nil {
			return err
		}
		r = h.judge(r, silent, now)
		r.HeardAt = now
		var batch pgx.Batch
		batch.Queue(`INSERT INTO waypost_run.webhook_recording (id, since, heard_at, broke_at, bridged_at) VALUES (1, $1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET since = excluded.since, heard_at = excluded.heard_at,
				broke_at = excluded.broke_at, bridged_at = excluded.bridged_at`,
			r.Since, r.HeardAt, timeOrNil(r.BrokeAt), timeOrNil(r.BridgedAt))
		batch.Queue(`INSERT INTO waypost_run.webhook_recorder (process, heard_at) VALUES ($1, $2)
			ON CONFLICT (process) DO UPDATE SET heard_at = excluded.heard_at`, h.Process, now)
		if len(h.Numbers) > 0 {
			batch.Queue(`INSERT INTO waypost_run.webhook_number AS n (phone_number_id, since, heard_at)
				SELECT DISTINCT id, $2::timestamptz, $2::timestamptz FROM unnest($1::text[]) AS u (id)
				ON CONFLICT (phone_number_id) DO UPDATE SET heard_at = excluded.heard_at,
					since = CASE WHEN excluded.heard_at - n.heard_at > $3::interval THEN excluded.since ELSE n.since END`,
				h.Numbers, now, coverage.Window)
		}
		batch.Queue(`COMMIT`)
		return c.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return fmt.Errorf("record the heartbeat of a process that records webhooks: %w", err)
	}
	return nil
}

// begin begins a transaction. It returns the recording, Postgres's time, and when the silent processes were heard last,
// which it removes.
func (h *RecordingBeat) begin(ctx context.Context, c *pgxpool.Conn) (r coverage.Recording, now time.Time, silent []time.Time, err error) {
	var batch pgx.Batch
	batch.Queue(`BEGIN`)
	// Heartbeats of several processes come one after the other.
	batch.Queue(`LOCK TABLE waypost_run.webhook_recording IN SHARE ROW EXCLUSIVE MODE`)
	batch.Queue(recordingQuery).Query(func(rows pgx.Rows) (err error) {
		r, now, err = scanRecording(rows)
		return err
	})
	if h.First || h.SinceLast <= recorderSilence {
		batch.Queue(`DELETE FROM waypost_run.webhook_recorder WHERE heard_at < clock_timestamp() - $1::interval AND process <> $2
			RETURNING heard_at`, recorderSilence, h.Process).Query(func(rows pgx.Rows) (err error) {
			silent, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
			return err
		})
	}
	err = c.SendBatch(ctx, &batch).Close()
	return r, now, silent, err
}

// judge returns the recording after the breaks that a heartbeat shows.
func (h *RecordingBeat) judge(r coverage.Recording, silent []time.Time, now time.Time) coverage.Recording {
	switch {
	case h.First:
		r = r.Resume(r.HeardAt, now) // another process can have died, or nothing was recorded
	case !h.Unbroken:
		r = r.Resume(now.Add(-h.SinceLast), now)
	}
	for _, since := range silent {
		r = r.Resume(since, now)
	}
	return r
}

const recordingQuery = `SELECT clock_timestamp(), since, heard_at, broke_at, bridged_at
	FROM (SELECT 1 AS id) o LEFT JOIN waypost_run.webhook_recording USING (id)`

// readRecording returns the recording and Postgres's time.
func readRecording(ctx context.Context, q querier) (r coverage.Recording, now time.Time, err error) {
	rows, err := q.Query(ctx, recordingQuery)
	if err != nil {
		return r, now, err
	}
	return scanRecording(rows)
}

func scanRecording(rows pgx.Rows) (r coverage.Recording, now time.Time, err error) {
	var since, heard, broke, bridged *time.Time
	_, err = pgx.ForEachRow(rows, []any{&now, &since, &heard, &broke, &bridged}, func() error { return nil })
	return coverage.Recording{Since: orZero(since), HeardAt: orZero(heard), BrokeAt: orZero(broke), BridgedAt: orZero(bridged)}, now, err
}

// Coverage returns how completely the webhooks of all numbers were recorded, by phone number ID.
// The times are those of the clock that is now at now.
func (r *ReadModel) Coverage(ctx context.Context, now time.Time) (map[string]coverage.Coverage, error) {
	found, err := readCoverage(ctx, r.pool, now)
	if err != nil {
		return nil, fmt.Errorf("read how completely webhooks were recorded: %w", err)
	}
	return found, nil
}

func readCoverage(ctx context.Context, q querier, now time.Time) (map[string]coverage.Coverage, error) {
	r, at, err := readRecording(ctx, q)
	if err != nil {
		return nil, err
	}
	// Postgres's clock can differ.
	local := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(now.Sub(at))
	}
	var confirmed *time.Time
	err = q.QueryRow(ctx, `SELECT min(heard_at) FROM waypost_run.webhook_recorder`).Scan(&confirmed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	whole := coverage.Coverage{
		Recording: coverage.Recording{
			Since: local(r.Since), HeardAt: local(r.HeardAt), BrokeAt: local(r.BrokeAt), BridgedAt: local(r.BridgedAt),
		},
		ConfirmedAt: local(orZero(confirmed)),
	}
	rows, err := q.Query(ctx, `SELECT phone_number_id, since, heard_at FROM waypost_run.webhook_number`)
	if err != nil {
		return nil, err
	}
	found := make(map[string]coverage.Coverage)
	var number string
	var n coverage.Number
	_, err = pgx.ForEachRow(rows, []any{&number, &n.Since, &n.HeardAt}, func() error {
		of := whole
		of.Number = coverage.Number{Since: local(n.Since), HeardAt: local(n.HeardAt)}
		found[number] = of
		return nil
	})
	return found, err
}
