package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/request"
)

// Queries is a pool whose connections are shared fairly among callers, see request.Caller. A
// result must be read to its end or closed; only then does the next caller get its turn.
type Queries struct {
	pool   *pgxpool.Pool
	places *fair.Places
}

func newQueries(pool *pgxpool.Pool, l fair.Limits) *Queries { return &Queries{pool, fair.NewPlaces(l)} }

// Close closes the connections.
func (q *Queries) Close() { q.pool.Close() }

func (q *Queries) take(ctx context.Context) (release func(), err error) {
	return q.places.Take(ctx, request.Caller(ctx))
}

// Query runs a statement that returns rows.
func (q *Queries) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	release, err := q.take(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		release()
		return nil, err
	}
	return &placedRows{rows, release}, nil
}

// QueryRow runs a statement that returns at most one row.
func (q *Queries) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	release, err := q.take(ctx)
	if err != nil {
		return failedRow{err}
	}
	return placedRow{q.pool.QueryRow(ctx, sql, args...), release}
}

// SendBatch runs several statements at once.
func (q *Queries) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	release, err := q.take(ctx)
	if err != nil {
		return failedBatch{err}
	}
	return placedBatch{q.pool.SendBatch(ctx, b), release}
}

// BeginTx begins a transaction.
func (q *Queries) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	release, err := q.take(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := q.pool.BeginTx(ctx, opts)
	if err != nil {
		release()
		return nil, err
	}
	return placedTx{tx, release}, nil
}

// placedRows give back their slot at their end.
type placedRows struct {
	pgx.Rows

	release func()
}

func (r *placedRows) Next() bool {
	more := r.Rows.Next()
	if !more {
		r.release()
	}
	return more
}

func (r *placedRows) Close() {
	r.Rows.Close()
	r.release()
}

type placedRow struct {
	row     pgx.Row
	release func()
}

func (r placedRow) Scan(into ...any) error {
	defer r.release()
	return r.row.Scan(into...)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

type placedBatch struct {
	pgx.BatchResults

	release func()
}

func (b placedBatch) Close() error {
	defer b.release()
	return b.BatchResults.Close()
}

type failedBatch struct{ err error }

func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b failedBatch) Query() (pgx.Rows, error)         { return nil, b.err }
func (b failedBatch) QueryRow() pgx.Row                { return failedRow(b) }
func (b failedBatch) Close() error                     { return b.err }
func (b failedBatch) Tx() pgx.Tx                       { return nil }

type placedTx struct {
	pgx.Tx

	release func()
}

func (t placedTx) Commit(ctx context.Context) error {
	defer t.release()
	return t.Tx.Commit(ctx)
}

func (t placedTx) Rollback(ctx context.Context) error {
	defer t.release()
	return t.Tx.Rollback(ctx)
}
