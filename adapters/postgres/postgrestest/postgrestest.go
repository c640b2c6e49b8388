// Package postgrestest gives each test its own Postgres database.
//
// The databases are in one private cluster per test process, which starts with the
// first [New] or [Migrated] and is stopped by [Main]; or on the server that
// WAYPOST_TEST_POSTGRES_URL names. The private cluster does not sync to disk: it dies
// with the process. Tests that start Waypost themselves use [CopyCluster].
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
)

const (
	// serverURL names a server to use instead of a private cluster, by the URL of a
	// role that can create databases.
	serverURL = "WAYPOST_TEST_POSTGRES_URL"

	// required turns the skip of a test that lacks its store into a failure.
	required = "REQUIRE_STORES"

	dirPrefix = "waypost-postgrestest-"

	// leftoverAge is how old the directory of a killed test process must be before
	// another process removes it. No test runs that long.
	leftoverAge = 24 * time.Hour

	// These bound what takes milliseconds to seconds on an idle machine.
	startTimeout = 5 * time.Minute
	queryTimeout = 2 * time.Minute
)

// server is the Postgres server of this process's tests. The testing package has no
// other place for state that the tests of a process share.
var server struct {
	sync.Mutex
	wrapped bool // Main runs, so the cluster that start starts is stopped
	dir     string
	cluster *privatepg.Cluster
	url     string
	err     error
	conn    *pgx.Conn // to create and drop databases with; nil before the first
}

const (
	// maintenance is the database in which databases are created and dropped. A database
	// can't be copied while someone is connected to it.
	maintenance = "postgres"

	// original is the database that Migrated copies: the one that the prepared cluster has.
	original = "waypost"
)

// Main runs a package's tests and then stops the cluster that they used:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
//
// It accepts any runner, goleak's included, and returns its exit code.
func Main(m interface{ Run() int }) int {
	server.Lock()
	server.wrapped = true
	server.Unlock()
	code := m.Run()
	if err := errors.Join(stop(), removePrepared()); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		return max(code, 1)
	}
	return code
}

// New returns the URL of an empty database, which is dropped when the test ends.
// If there is no Postgres, the test is skipped, or fails if REQUIRE_STORES is set.
func New(t testing.TB) string {
	t.Helper()
	s := start(t)
	return create(t, s, newName(), "")
}

// Migrated is New for a database that has Waypost's tables. It copies a migrated one,
// which takes a fraction of the time.
func Migrated(t testing.TB) string {
	t.Helper()
	s := start(t)
	if os.Getenv(serverURL) != "" { // it has no migrated database, and other processes use that server too
		u := create(t, s, newName(), "")
		migrate(t, u)
		return u
	}
	return create(t, s, newName(), original)
}

func migrate(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := postgres.Up(ctx, url); err != nil {
		t.Fatal(err)
	}
}

func newName() string { return "test_" + strings.ToLower(rand.Text()) }

// create creates a database, empty or as a copy of the template, and returns its URL.
func create(t testing.TB, s, name, template string) string {
	t.Helper()
	statement := "CREATE DATABASE " + name
	if template != "" {
		// Copying the files takes a third of the CPU time of logging each of their blocks, which is the default.
		statement += " TEMPLATE " + template + " STRATEGY FILE_COPY"
	}
	execute(t, s, statement)
	t.Cleanup(func() { execute(t, s, "DROP DATABASE "+name+" WITH (FORCE)") })
	return databaseURL(t, s, name)
}

// databaseURL returns the URL of a database on the server.
func databaseURL(t testing.TB, s, name string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatalf("%s is not a valid URL: %v", serverURL, err)
	}
	u.Path = "/" + name
	return u.String()
}

// start returns the server's URL, and starts the cluster if this is the first call.
func start(t testing.TB) string {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if given := os.Getenv(serverURL); given != "" {
		return given
	}
	if !server.wrapped {
		t.Fatal("postgrestest.Main must run the tests, from TestMain: it stops the cluster")
	}
	if server.url == "" && server.err == nil {
		if server.url, server.err = startCluster(); server.err == nil {
			server.url = databaseURL(t, server.url, maintenance)
		}
	}
	skipWithoutPostgres(t, server.err)
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.url
}

func startCluster() (string, error) {
	removeLeftovers()
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return "", err
	}
	server.dir = dir
	if err := os.Chmod(dir, 0o711); err != nil { // the cluster's user must reach its data and its socket
		return "", err
	}
	path := filepath.Join(dir, "pg")
	if err := copyCluster(path); err != nil {
		return "", err
	}
	settings := unsafeSettings()
	settings["max_connections"] = "200" // parallel tests, each with a pool or two
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server.cluster, err = privatepg.Start(ctx, privatepg.Options{DataDir: path, Settings: settings})
	if err != nil {
		return "", err
	}
	return server.cluster.URL(), nil
}

func stop() error {
	server.Lock()
	defer server.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	var err error
	if server.conn != nil {
		err = server.conn.Close(ctx)
	}
	if server.dir == "" {
		return err
	}
	if server.cluster != nil {
		err = errors.Join(err, server.cluster.Stop(ctx))
	}
	return errors.Join(err, os.RemoveAll(server.dir))
}

// removeLeftovers removes the directories of test processes that were killed. One that
// can't be removed belongs to another user.
func removeLeftovers() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range found {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > leftoverAge {
			os.RemoveAll(dir)
		}
	}
}

// execute runs a statement on the server, over one connection for all of the process's tests: a connection takes as much
// CPU time as copying a database.
func execute(t testing.TB, s, sql string) {
	t.Helper()
	// Not the test's context: that one has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	server.Lock()
	defer server.Unlock()
	if server.conn == nil || server.conn.IsClosed() {
		conn, err := pgx.Connect(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		server.conn = conn
	}
	if _, err := server.conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
