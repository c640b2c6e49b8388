package postgrestest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func TestDatabasesAreIsolated(t *testing.T) {
	t.Parallel()
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), postgrestest.New(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), `CREATE TABLE same_name ()`); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDatabaseIsDroppedAfterItsTest(t *testing.T) {
	var dsn string
	t.Run("uses it", func(t *testing.T) { dsn = postgrestest.New(t) })
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		conn.Close(t.Context())
		t.Fatalf("%s is still there", dsn)
	}
}

// TestMigratedDatabasesAreCopies checks that a copy has the tables and that what a test
// writes to its copy is in no other.
func TestMigratedDatabasesAreCopies(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Migrated(t)
			pending, err := postgres.Pending(t.Context(), url)
			if err != nil || pending {
				t.Fatalf("migrations are pending: %t, %v", pending, err)
			}
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), `CREATE TABLE same_name ()`); err != nil {
				t.Fatal(err)
			}
		})
	}
}
