// Package postgrestest gives each test a Postgres database of its own.
//
// The databases live in one private cluster per test process, which starts with
// the first [New] and is stopped by [Main]; or on the server that
// WAYPOST_TEST_POSTGRES_URL names. The private cluster does not sync to disk: it
// dies with the process.
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

	"github.com/waypost/waypost/adapters/privatepg"
)

const (
	// serverURL names a server to use instead of a private cluster, by the URL of a
	// role that may create databases.
	serverURL = "WAYPOST_TEST_POSTGRES_URL"

	// required turns the skip of a test that lacks its store into a failure.
	required = "REQUIRE_STORES"

	dirPrefix = "waypost-postgrestest-"

	// leftoverAge is how old the folder of a killed test process has to be before
	// another process removes it. No test runs that long.
	leftoverAge = 24 * time.Hour

	startTimeout = 2 * time.Minute
	queryTimeout = 30 * time.Second
)

// shared is the process's cluster. The testing package offers no other place for
// what tests of one process share.
var shared struct {
	sync.Mutex
	wrapped bool // Main runs, so what New starts gets stopped
	dir     string
	cluster *privatepg.Cluster
	url     string
	err     error
}

// Main runs a package's tests and then stops what they have used:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
//
// It takes any runner, goleak's included, and returns its exit code.
func Main(m interface{ Run() int }) int {
	shared.Lock()
	shared.wrapped = true
	shared.Unlock()
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		return max(code, 1)
	}
	return code
}

// New returns the URL of an empty database, which is dropped when the test ends.
// Where there is no Postgres the test is skipped, or fails if REQUIRE_STORES is set.
func New(t testing.TB) string {
	t.Helper()
	server, err := start()
	if errors.Is(err, privatepg.ErrNoBinaries) && os.Getenv(required) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL: %v", serverURL, err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

func start() (string, error) {
	shared.Lock()
	defer shared.Unlock()
	if given := os.Getenv(serverURL); given != "" {
		return given, nil
	}
	if !shared.wrapped {
		return "", errors.New("postgrestest.Main has to run the tests, from TestMain: it stops the cluster")
	}
	if shared.url != "" || shared.err != nil {
		return shared.url, shared.err
	}
	shared.url, shared.err = startCluster()
	return shared.url, shared.err
}

func startCluster() (string, error) {
	removeLeftovers()
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return "", err
	}
	shared.dir = dir
	if err := os.Chmod(dir, 0o711); err != nil { // the cluster's user passes through, its socket included
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	shared.cluster, err = privatepg.Start(ctx, privatepg.Options{
		DataDir: filepath.Join(dir, "pg"),
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off",
			"max_connections": "200", // parallel tests, each with a pool or two
		},
	})
	if err != nil {
		return "", err
	}
	return shared.cluster.URL(), nil
}

func stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.dir == "" {
		return nil
	}
	var err error
	if shared.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
		defer cancel()
		err = shared.cluster.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(shared.dir))
}

// removeLeftovers removes the folders of test processes that were killed. One that
// can't be removed is another user's.
func removeLeftovers() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range found {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > leftoverAge {
			os.RemoveAll(dir)
		}
	}
}

func execute(t testing.TB, server, sql string) {
	t.Helper()
	// Not the test's context: that one has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
