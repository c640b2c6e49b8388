package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
)

// clusterDir names a directory in which the processes of one test run share the prepared
// cluster. Without it, each process that needs one creates its own. The directory must
// not outlive the run: nothing notices that a migration has changed.
const clusterDir = "WAYPOST_TEST_CLUSTER_DIR"

// prepared is the stopped cluster that CopyCluster copies. It has Waypost's tables.
var prepared struct {
	sync.Mutex
	path string // the data directory of a private Postgres; empty before the first call
	own  string // the directory to remove when the process's tests have ended, if any
	err  error
}

// CopyCluster puts a private Postgres cluster into dir, as Waypost's first start leaves
// it: created and migrated. It takes a twentieth of the CPU time of that. The directory
// must not exist, or contain no cluster. Main must run the tests.
func CopyCluster(t testing.TB, dir string) {
	t.Helper()
	err := copyCluster(dir)
	skipWithoutPostgres(t, err)
	if err != nil {
		t.Fatal(err)
	}
}

// skipWithoutPostgres skips the test if err says that Postgres is not installed, unless
// REQUIRE_STORES is set.
func skipWithoutPostgres(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, privatepg.ErrNoBinaries) && os.Getenv(required) == "" {
		t.Skip(err)
	}
}

func copyCluster(dir string) error {
	original, err := preparedCluster()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil { // as the private Postgres makes it
		return err
	}
	// -p keeps the owner, which is another user if the tests run as root.
	cmd := exec.Command("cp", "-Rp", filepath.Join(original, "cluster"), filepath.Join(dir, "cluster"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the prepared cluster: %w: %s", err, out)
	}
	return nil
}

// preparedCluster returns the data directory of the prepared cluster, and creates it if
// this is the first call.
func preparedCluster() (string, error) {
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.path == "" && prepared.err == nil {
		prepared.path, prepared.err = prepareCluster()
	}
	return prepared.path, prepared.err
}

func prepareCluster() (string, error) {
	shared := os.Getenv(clusterDir)
	complete := filepath.Join(shared, "prepared")
	if shared != "" {
		if _, err := os.Stat(complete); err == nil {
			return complete, nil
		}
	} else {
		removeLeftovers()
	}
	dir, err := os.MkdirTemp(shared, dirPrefix)
	if err != nil {
		return "", err
	}
	if shared == "" {
		prepared.own = dir
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the cluster's user must reach its data and its socket
		return "", err
	}
	path := filepath.Join(dir, "pg")
	if err := createCluster(path); err != nil {
		return "", err
	}
	if shared == "" {
		return path, nil
	}
	// Processes that start at the same time each create one. The first one is kept.
	if err := os.Rename(path, complete); err != nil {
		if _, missing := os.Stat(complete); missing != nil {
			return "", err
		}
	}
	return complete, os.RemoveAll(dir)
}

// createCluster leaves a stopped, migrated cluster in path.
func createCluster(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: path, Settings: unsafeSettings()})
	if err != nil {
		return err
	}
	return errors.Join(postgres.Up(ctx, cluster.URL()), cluster.Stop(ctx))
}

// unsafeSettings returns settings of a cluster whose data is useless after a crash. With few buffers, dropping a table or
// a database has few to look through.
func unsafeSettings() map[string]string {
	return map[string]string{"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
}

// removePrepared removes the cluster that this process has prepared for itself.
func removePrepared() error {
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.own == "" {
		return nil
	}
	return os.RemoveAll(prepared.own)
}
