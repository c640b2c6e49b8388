package vault

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// rewrapBatch is the number of rows that one transaction rewraps.
const rewrapBatch = 1000

// Rewrap rewraps everything in the vault that an older secret key has wrapped, and
// returns the number of rows. When it is done, the older keys are no longer needed. It
// can run at any time. Only one process of the installation runs it at a time.
func (d *DataKeys) Rewrap(ctx context.Context) (rows int, err error) {
	if len(d.keys.keys) < 2 {
		return 0, nil
	}
	err = d.Alone(ctx, func(ctx context.Context) error {
		for _, t := range []rewrapped{
			{"installation_key", "name", "wrapped", "''", func(id, _ []byte) string { return "installation " + string(id) }, d.rewrapKey},
			{"key_seed", "id", "wrapped", "''", func(id, _ []byte) string { return "seed " + string(id) }, d.rewrapKey},
			{"data_key", "id", "wrapped", "''", func(id, _ []byte) string { return "key " + string(id) }, d.rewrapKey},
			{"sender_token", "id", "ciphertext", "sender", func(id, sender []byte) string { return string(sender) + "\n" + string(id) }, d.rewrapToken},
		} {
			n, err := d.rewrapTable(ctx, t)
			rows += n
			if err != nil {
				return fmt.Errorf("rewrap %s: %w", t.table, err)
			}
		}
		return nil
	})
	return rows, err
}

// rewrapped is a table with a wrapped column, and the context that each row's value is
// bound to.
type rewrapped struct {
	table, id, column, other string
	about                    func(id, other []byte) string
	rewrap                   func(sealed []byte, about string) ([]byte, error)
}

func (d *DataKeys) rewrapKey(wrapped []byte, about string) ([]byte, error) {
	secret, err := d.keys.unwrap(wrapped, about)
	if err != nil {
		return nil, err
	}
	return d.keys.wrap(secret, about)
}

func (d *DataKeys) rewrapToken(sealed []byte, about string) ([]byte, error) {
	token, err := d.keys.open(sealed, about)
	if err != nil {
		return nil, err
	}
	return d.keys.seal(token, about)
}

func (d *DataKeys) rewrapTable(ctx context.Context, t rewrapped) (rows int, err error) {
	var after []byte // IDs are bytes here, whatever their type: one order for all tables
	id := t.id
	if t.table == "installation_key" || t.table == "sender_token" {
		id = `convert_to(` + t.id + `, 'UTF8')`
	}
	for {
		var n, changed int
		err := durably(ctx, d.pool, func(tx pgx.Tx) error {
			var ids, olds, fresh [][]byte
			var rowID, wrapped, other []byte
			found, err := tx.Query(ctx, `SELECT `+id+`, `+t.column+`, convert_to(`+t.other+`, 'UTF8') FROM waypost_vault.`+t.table+`
				WHERE substring(`+t.column+` FROM 1 FOR $1) <> convert_to($2, 'UTF8') AND ($3::bytea IS NULL OR `+id+` > $3)
				ORDER BY `+id+` LIMIT $4`, len(d.keys.current()), d.keys.current(), after, rewrapBatch)
			if err != nil {
				return err
			}
			_, err = pgx.ForEachRow(found, []any{&rowID, &wrapped, &other}, func() error {
				n++
				after = rowID
				again, err := t.rewrap(wrapped, t.about(rowID, other))
				if err != nil {
					d.logger.WarnContext(ctx, "a row of the vault stays wrapped by another key", "table", t.table, "error", err)
					return nil
				}
				ids, olds, fresh = append(ids, rowID), append(olds, wrapped), append(fresh, again)
				return nil
			})
			if err != nil {
				return err
			}
			// A key that was destroyed in the meantime stays destroyed.
			tag, err := tx.Exec(ctx, `UPDATE waypost_vault.`+t.table+` t SET `+t.column+` = u.fresh
				FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS u (id, old, fresh)
				WHERE `+qualified(t, id)+` = u.id AND t.`+t.column+` = u.old`, ids, olds, fresh)
			changed = int(tag.RowsAffected())
			return err
		})
		rows += changed
		if err != nil || n < rewrapBatch {
			return rows, err
		}
	}
}

func qualified(t rewrapped, id string) string {
	if id == t.id {
		return "t." + id
	}
	return `convert_to(t.` + t.id + `, 'UTF8')`
}
