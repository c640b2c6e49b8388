package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/waypost/waypost/migrations"
)

const (
	runSchema    = "waypost_run"
	egressSchema = "waypost_egress"

	readModelVersions = "schema_version"
	stateVersions     = runSchema + ".schema_version"
	egressVersions    = egressSchema + ".schema_version"

	// Two processes that start together migrate one after the other. The numbers are
	// arbitrary, but must differ from each other and from the user's.
	readModelLock = 0x7761790001
	stateLock     = 0x7761790002
	egressLock    = 0x7761790004

	// lockPatience is how long to wait for a migration of another process, in seconds.
	lockPatience = 300
)

// A Migration is a migration and whether it was applied.
type Migration struct {
	// Set is "readmodel", "state" or "egress".
	Set     string
	Version int64
	File    string
	Applied bool
}

// NewerSchemaError reports that a newer version of Waypost has migrated the database.
type NewerSchemaError struct {
	// Set is the set of migrations, as in Migration.
	Set string
	// Applied is the newest migration in the database, Known the newest that this program has.
	Applied, Known int64
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database is from a newer version of Waypost: its %s tables are at migration %d, and this version knows migrations up to %d; "+
		"run that version or a later one, or restore a backup made before the upgrade", e.Set, e.Applied, e.Known)
}

// Up migrates the tables of the read model and of the state to this version. It returns a
// *NewerSchemaError, and changes nothing, if they are from a newer version.
func Up(ctx context.Context, url string) error {
	return withSets(ctx, url, func(sets []migrationSet) error {
		if err := eachOf(sets, func(s migrationSet) error { return s.checkNotNewer(ctx) }); err != nil {
			return err
		}
		return eachOf(sets, func(s migrationSet) error {
			_, err := s.provider.Up(ctx)
			return err
		})
	})
}

// CheckNotNewer returns a *NewerSchemaError if the database has migrations that this
// program doesn't know: it would misread the tables, or damage what it writes to them.
func CheckNotNewer(ctx context.Context, url string) error {
	return eachSet(ctx, url, func(s migrationSet) error { return s.checkNotNewer(ctx) })
}

// Down reverts the last migration of the read model, or of the state and the egress if state
// is set. Data that isn't in the event log, such as tokens, is lost with them.
func Down(ctx context.Context, url string, state bool) error {
	return eachSet(ctx, url, func(s migrationSet) error {
		if state != (s.name != "readmodel") {
			return nil
		}
		_, err := s.provider.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		return err
	})
}

// Status lists all migrations, the read model's first.
func Status(ctx context.Context, url string) ([]Migration, error) {
	var all []Migration
	err := eachSet(ctx, url, func(s migrationSet) error {
		list, err := s.provider.Status(ctx)
		for _, m := range list {
			all = append(all, Migration{
				Set: s.name, Version: m.Source.Version, File: m.Source.Path, Applied: m.State == goose.StateApplied,
			})
		}
		return err
	})
	return all, err
}

// Pending reports whether a migration of this program has not been applied.
func Pending(ctx context.Context, url string) (bool, error) {
	var pending bool
	err := eachSet(ctx, url, func(s migrationSet) error {
		p, err := s.provider.HasPending(ctx)
		pending = pending || p
		return err
	})
	return pending, err
}

// A migrationSet is the migrations of one schema, with connections of their own.
type migrationSet struct {
	name     string
	db       *sql.DB
	provider *goose.Provider
}

func (s migrationSet) checkNotNewer(ctx context.Context) error {
	applied, known, err := s.provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if applied > known {
		return &NewerSchemaError{Set: s.name, Applied: applied, Known: known}
	}
	return nil
}

// eachSet opens all sets and calls do for each.
func eachSet(ctx context.Context, url string, do func(migrationSet) error) error {
	return withSets(ctx, url, func(sets []migrationSet) error { return eachOf(sets, do) })
}

func eachOf(sets []migrationSet, do func(migrationSet) error) error {
	for _, s := range sets {
		err := do(s)
		var newer *NewerSchemaError
		if errors.As(err, &newer) {
			return err
		}
		if err != nil {
			return fmt.Errorf("migrate the %s tables: %w", s.name, err)
		}
	}
	return nil
}

// withSets opens all sets for a call of do. What do does with a set several times uses the
// same connection: to connect takes longer than most of what follows.
func withSets(ctx context.Context, url string, do func([]migrationSet) error) error {
	var sets []migrationSet
	defer func() {
		for _, s := range sets {
			_ = s.db.Close()
		}
	}()
	for _, set := range []struct {
		name, schema, versions string
		files                  fs.FS
		lockID                 int64
	}{
		{"readmodel", ReadModelSchema, readModelVersions, migrations.ReadModel, readModelLock},
		{"state", runSchema, stateVersions, migrations.State, stateLock},
		{"egress", egressSchema, egressVersions, migrations.Egress, egressLock},
	} {
		s, err := openSet(ctx, url, set.schema, set.name, set.versions, set.files, set.lockID)
		if err != nil {
			return fmt.Errorf("migrate the %s tables: %w", set.name, err)
		}
		sets = append(sets, s)
	}
	return do(sets)
}

// migrateReadModel creates the read model's tables in a schema of any name.
func migrateReadModel(ctx context.Context, url, schema string) error {
	s, err := openSet(ctx, url, schema, "readmodel", readModelVersions, migrations.ReadModel, readModelLock)
	if err != nil {
		return err
	}
	defer s.db.Close()
	_, err = s.provider.Up(ctx)
	return err
}

// openSet connects for the migrations of a schema, and creates the schema if it doesn't
// exist. The caller closes the set's db.
func openSet(ctx context.Context, url, schema, name, versions string, files fs.FS, lockID int64) (_ migrationSet, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return migrationSet{}, fmt.Errorf("parse the postgres url: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	config.RuntimeParams["client_min_messages"] = "warning"
	db := stdlib.OpenDB(*config)
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	if err := createSchema(ctx, db, schema); err != nil {
		return migrationSet{}, err
	}
	// Nodes that start together check one after the other, each for a few milliseconds. By
	// default, a node that finds the lock taken retries only after 5 s.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, lockPatience))
	if err != nil {
		return migrationSet{}, err
	}
	sub, err := fs.Sub(files, name)
	if err != nil {
		return migrationSet{}, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithTableName(versions), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return migrationSet{}, err
	}
	return migrationSet{name: name, db: db, provider: provider}, nil
}

// createSchema creates the schema for the version table. CREATE … IF NOT EXISTS on its own
// fails when two processes run it at once.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(readModelLock)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize()); err != nil {
		return err
	}
	return tx.Commit()
}
