package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Difference is a row of the read model that differs from the event log.
type Difference struct {
	Table string
	// Key holds the values of the primary key, by column.
	Key  map[string]any
	Kind DifferenceKind
	// Columns are the columns that differ, if the row is changed.
	Columns []string
	// Detail says where and why a stream is parked.
	Detail string
}

// DifferenceKind is how a row differs.
type DifferenceKind string

// The kinds of differences, seen from the live model.
const (
	Missing DifferenceKind = "missing"
	Surplus DifferenceKind = "surplus"
	Changed DifferenceKind = "changed"
	// Parked is a stream that the live model leaves out, or that this version would leave
	// out, because one of its events can't be projected.
	Parked DifferenceKind = "parked"
)

func (d Difference) String() string {
	var key []string
	for _, column := range slices.Sorted(maps.Keys(d.Key)) {
		key = append(key, fmt.Sprintf("%s=%v", column, d.Key[column]))
	}
	s := fmt.Sprintf("%s %s: %s", d.Table, strings.Join(key, " "), d.Kind)
	if len(d.Columns) > 0 {
		s += " " + strings.Join(d.Columns, ", ")
	}
	if d.Detail != "" {
		s += " " + d.Detail
	}
	return s
}

// Verified is the result of a verification.
type Verified struct {
	Rows        int64
	Differences int64
}

// Verify compares the live read model with the event log, row by row, and passes every
// difference to found, which can end it with an error. It projects the log into a fresh
// schema up to the positions of the live model and compares all tables. The rows of
// messages are also compared with what the aggregate's own fold gives, because a fault in
// a projection makes both models wrong in the same way. A parked stream is a difference,
// even if both models leave it out. Verify changes nothing; queries and projectors keep
// running.
func Verify(ctx context.Context, o RebuildOptions, found func(Difference) error) (Verified, error) {
	var v Verified
	reported := make(map[string]bool)
	report := func(d Difference) error {
		for _, table := range foldTables {
			if d.Table == table.name {
				reported[rowName(d.Table, d.Key[table.key])] = true
			}
		}
		return found(d)
	}
	err := withFreshModel(ctx, o, func(ctx context.Context, f *freshModel) error {
		return f.withSharedSnapshot(ctx, func(tx pgx.Tx) error {
			live, err := digests(ctx, tx, ReadModelSchema)
			if err != nil {
				return err
			}
			fresh, err := digests(ctx, tx, freshSchema)
			if err != nil {
				return err
			}
			for i := range live {
				v.Rows += live[i].Rows
				if live[i] == fresh[i] {
					continue
				}
				n, err := differences(ctx, tx, live[i].Table, report)
				if err != nil {
					return fmt.Errorf("compare %s: %w", live[i].Table, err)
				}
				v.Differences += n
			}
			n, err := f.compareWithFold(ctx, tx, reported, found)
			if err != nil {
				return fmt.Errorf("compare with the fold of the event log: %w", err)
			}
			v.Differences += n
			n, err = parkedDifferences(ctx, tx, found)
			if err != nil {
				return fmt.Errorf("list parked streams: %w", err)
			}
			v.Differences += n
			return nil
		})
	})
	if err != nil {
		return Verified{}, fmt.Errorf("verify the read model: %w", err)
	}
	return v, nil
}

// compareWithFold compares the rows of messages with what the aggregate's own fold gives.
func (f *freshModel) compareWithFold(ctx context.Context, tx pgx.Tx, reported map[string]bool, found func(Difference) error) (int64, error) {
	if f.options.withoutFold {
		return 0, nil
	}
	positions, err := f.positions(ctx, tx)
	if err != nil {
		return 0, err
	}
	c := foldCheck{
		tx: tx, log: f.options.Log, positions: positions, reported: reported, found: found, most: cmp.Or(f.options.held, foldedAtMost),
	}
	return c.run(ctx)
}

// differences compares a table of both models by its primary key.
func differences(ctx context.Context, tx pgx.Tx, table string, found func(Difference) error) (int64, error) {
	key, err := primaryKey(ctx, tx, table)
	if err != nil {
		return 0, err
	}
	var same, columns []string
	for _, column := range key {
		quoted := pgx.Identifier{column}.Sanitize()
		same = append(same, "live."+quoted+" = fresh."+quoted)
		columns = append(columns, quoted)
	}
	side := func(schema string) string {
		return `(SELECT t.*, to_jsonb(t) AS entire FROM ` + pgx.Identifier{schema, table}.Sanitize() + ` t` + digestFilter(table, "t") + `)`
	}
	rows, err := tx.Query(ctx, `SELECT live.entire, fresh.entire FROM `+side(ReadModelSchema)+` live
		FULL JOIN `+side(freshSchema)+` fresh ON `+strings.Join(same, " AND ")+`
		WHERE live.entire IS DISTINCT FROM fresh.entire ORDER BY `+strings.Join(columnsOf(columns), ", "))
	if err != nil {
		return 0, err
	}
	var n int64
	var live, fresh []byte
	_, err = pgx.ForEachRow(rows, []any{&live, &fresh}, func() error {
		d, err := difference(table, key, live, fresh)
		if err != nil {
			return err
		}
		n++
		return found(d)
	})
	return n, err
}

// parkedDifferences passes the streams that are parked in either model to found.
func parkedDifferences(ctx context.Context, tx pgx.Tx, found func(Difference) error) (int64, error) {
	side := func(schema string) string {
		return `SELECT projection, stream, revision, position, type, error, '` + schema + `' = '` + ReadModelSchema + `' AS live FROM ` +
			pgx.Identifier{schema, "parked_event"}.Sanitize()
	}
	rows, err := tx.Query(ctx, `SELECT projection, stream, (array_agg(revision ORDER BY NOT live))[1],
			(array_agg(type ORDER BY NOT live))[1], (array_agg(error ORDER BY NOT live))[1], bool_or(live), bool_or(NOT live)
		FROM (`+side(ReadModelSchema)+` UNION ALL `+side(freshSchema)+`) p
		GROUP BY projection, stream ORDER BY min(position), projection`)
	if err != nil {
		return 0, err
	}
	var n int64
	var projection, stream, typ, reason string
	var revision int64
	var live, fresh bool
	_, err = pgx.ForEachRow(rows, []any{&projection, &stream, &revision, &typ, &reason, &live, &fresh}, func() error {
		n++
		d := Difference{Table: "parked_event", Kind: Parked, Key: map[string]any{"projection": projection, "stream": stream}}
		d.Detail = fmt.Sprintf("at revision %d (%s): %s", revision, typ, reason)
		switch {
		case !fresh:
			d.Detail += "; this version can project it and does so when it starts"
		case !live:
			d.Detail += "; only this version parks it"
		}
		return found(d)
	})
	return n, err
}

// columnsOf orders by whichever side has the row.
func columnsOf(key []string) []string {
	order := make([]string, len(key))
	for i, column := range key {
		order[i] = "coalesce(live." + column + ", fresh." + column + ")"
	}
	return order
}

func difference(table string, key []string, live, fresh []byte) (Difference, error) {
	d := Difference{Table: table, Kind: Changed, Key: make(map[string]any)}
	var is, should map[string]any
	if live != nil {
		if err := json.Unmarshal(live, &is); err != nil {
			return d, err
		}
	}
	if fresh != nil {
		if err := json.Unmarshal(fresh, &should); err != nil {
			return d, err
		}
	}
	row := should
	switch {
	case live == nil:
		d.Kind = Missing
	case fresh == nil:
		d.Kind, row = Surplus, is
	default:
		for _, column := range slices.Sorted(maps.Keys(should)) {
			if fmt.Sprint(is[column]) != fmt.Sprint(should[column]) {
				d.Columns = append(d.Columns, column)
			}
		}
	}
	for _, column := range key {
		d.Key[column] = row[column]
	}
	return d, nil
}

// primaryKey are the columns of a table's primary key, in its order.
func primaryKey(ctx context.Context, tx pgx.Tx, table string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT a.attname FROM pg_index i
		CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = $1::text::regclass AND i.indisprimary ORDER BY k.place`,
		pgx.Identifier{freshSchema, table}.Sanitize())
	if err != nil {
		return nil, err
	}
	key, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(key) == 0 {
		err = fmt.Errorf("table %s has no primary key", table)
	}
	return key, err
}
