package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dumpSuffix is the suffix of a table's file in a dump: CSV with a header.
const dumpSuffix = ".csv"

// Dump writes every table of the vault into an existing directory, one file per table,
// in one snapshot. Keys and tokens in it are as in the vault: wrapped by the secret
// key, and worthless without it. Only the owner can read the files.
func Dump(ctx context.Context, pool *pgxpool.Pool, dir string) error {
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		tables, err := vaultTables(ctx, tx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			if err := dumpTable(ctx, tx, table, filepath.Join(dir, table+dumpSuffix)); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump the vault: %w", err)
	}
	return nil
}

func dumpTable(ctx context.Context, tx pgx.Tx, table, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().CopyTo(ctx, f, `COPY `+vaultTable(table)+` TO STDOUT (FORMAT csv, HEADER)`)
	return errors.Join(err, f.Sync(), f.Close())
}

// Load fills an empty vault from a dump. It fails if the vault contains anything, or if
// the dump contains a table that this version of the vault does not have.
func Load(ctx context.Context, pool *pgxpool.Pool, dir string) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		tables, err := vaultTables(ctx, tx)
		if err != nil {
			return err
		}
		known := make(map[string]bool)
		for _, table := range tables {
			known[table+dumpSuffix] = true
			var taken bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+vaultTable(table)+`)`).Scan(&taken); err != nil {
				return err
			}
			if taken {
				return fmt.Errorf("table %s is not empty: load the dump into a new vault", table)
			}
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			if !known[file.Name()] {
				return fmt.Errorf("%s does not belong to a table of the vault: use the version of Waypost that created the backup", file.Name())
			}
		}
		for _, table := range tables {
			if err := loadTable(ctx, tx, table, filepath.Join(dir, table+dumpSuffix)); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the vault: %w", err)
	}
	return nil
}

func loadTable(ctx context.Context, tx pgx.Tx, table, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an older vault did not have this table
	}
	if err != nil {
		return err
	}
	defer f.Close()
	columns, err := header(f)
	if err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().CopyFrom(ctx, f, `COPY `+vaultTable(table)+` (`+columns+`) FROM STDIN (FORMAT csv, HEADER)`)
	return err
}

// header returns the columns of a dumped table and rewinds the file.
func header(f *os.File) (string, error) {
	start := make([]byte, 4096)
	n, err := f.ReadAt(start, 0)
	if n == 0 {
		return "", fmt.Errorf("the file is empty: %w", err)
	}
	line, _, found := strings.Cut(string(start[:n]), "\n")
	if !found {
		return "", errors.New("the file has no header")
	}
	var columns []string
	for name := range strings.SplitSeq(line, ",") {
		columns = append(columns, pgx.Identifier{strings.TrimSpace(name)}.Sanitize())
	}
	return strings.Join(columns, ", "), nil
}

// schema is the schema of the vault.
const schema = "waypost_vault"

func vaultTable(name string) string { return pgx.Identifier{schema, name}.Sanitize() }

// vaultTables lists the vault's tables.
func vaultTables(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY tablename`, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
