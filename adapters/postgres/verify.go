package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Difference is a row of the read model that is not as the log has it.
type Difference struct {
	Table string
	// Key are the values of the primary key, by column.
	Key map[string]any
	// Kind is missing, surplus or changed.
	Kind DifferenceKind
	// Columns are those that differ, if the row is changed.
	Columns []string
}

// DifferenceKind is how a row differs.
type DifferenceKind string

// The kinds of differences, as seen from the live model.
const (
	Missing DifferenceKind = "missing"
	Surplus DifferenceKind = "surplus"
	Changed DifferenceKind = "changed"
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
	return s
}

// Verified is what a verification compared.
type Verified struct {
	Rows        int64
	Differences int64
}

// Verify folds the log into a fresh schema and holds the live model against it, row by
// row, both at the same positions. It hands every difference to found, which may end it
// with an error. Nothing is changed; queries and projectors go on meanwhile.
func Verify(ctx context.Context, o RebuildOptions, found func(Difference) error) (Verified, error) {
	var v Verified
	err := beside(ctx, o, func(ctx context.Context, f *freshModel) error {
		return f.compared(ctx, func(tx pgx.Tx) error {
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
				n, err := differences(ctx, tx, live[i].Table, found)
				if err != nil {
					return fmt.Errorf("compare %s: %w", live[i].Table, err)
				}
				v.Differences += n
			}
			return nil
		})
	})
	if err != nil {
		return Verified{}, fmt.Errorf("verify the read model: %w", err)
	}
	return v, nil
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
		return `(SELECT t.*, to_jsonb(t) AS entire FROM ` + pgx.Identifier{schema, table}.Sanitize() + ` t` + telling(table, "t") + `)`
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
