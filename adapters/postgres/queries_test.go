package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/app/request"
)

// However a caller reads, it has its share of the connections and gives it back.
func TestCallersShareTheConnectionsForQueries(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := postgres.OpenQueries(ctx, postgrestest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, b := request.WithCaller(ctx, "a"), request.WithCaller(ctx, "b")
	const share = 4
	for range 3 * share { // each gives its place back
		var n int
		must(q.QueryRow(a, "SELECT 1").Scan(&n))
		rows, err := q.Query(a, "SELECT generate_series(1, 3)")
		must(err)
		_, err = pgx.CollectRows(rows, pgx.RowTo[int])
		must(err)
		rows, err = q.Query(a, "SELECT generate_series(1, 3)")
		must(err)
		rows.Close()
		batch := &pgx.Batch{}
		batch.Queue("SELECT 1")
		must(q.SendBatch(a, batch).Close())
		must(pgx.BeginTxFunc(a, q, pgx.TxOptions{}, func(pgx.Tx) error { return nil }))
		if _, err := q.Query(a, "SELECT nothing"); err == nil { //nolint:sqlclosecheck // it fails
			t.Fatal("nothing is selected")
		}
		if err := q.QueryRow(a, "SELECT nothing").Scan(&n); err == nil {
			t.Fatal("nothing is scanned")
		}
	}
	var held []pgx.Tx
	for range share {
		tx, err := q.BeginTx(a, pgx.TxOptions{})
		must(err)
		held = append(held, tx)
	}
	waiting := make(chan error, 1)
	go func() {
		var n int
		waiting <- q.QueryRow(a, "SELECT 1").Scan(&n)
	}()
	var timeout, readOnly string
	must(q.QueryRow(b, "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')").Scan(&timeout, &readOnly))
	if timeout != "15s" || readOnly != "on" {
		t.Errorf("a statement ends after %s, and is read-only: %s", timeout, readOnly)
	}
	select {
	case err := <-waiting:
		t.Errorf("a has more than its share: %v", err)
	default:
	}
	must(held[0].Rollback(a))
	must(<-waiting)
	for _, tx := range held[1:] {
		must(tx.Rollback(a))
	}
}
