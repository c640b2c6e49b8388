// Package backup takes and restores backups of an installation while it runs.
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// backupFormat is the version of a backup's layout.
const backupFormat = 1

// The parts of a backup, by their names in its directory.
const (
	backupManifest   = "backup.json"
	backupEventstore = "eventstore"
	backupVault      = "vault"
)

// Manifest describes a backup.
type Manifest struct {
	Format     int       `json:"format"`
	TakenAt    time.Time `json:"takenAt"`
	LogID      uuid.UUID `json:"logId"`
	Eventstore bool      `json:"eventstore"` // false if the event store is external and has backups of its own
	SecretKey  bool      `json:"secretKey"`  // false if the key comes from the settings and is kept elsewhere
}

// keyFiles returns the names of the files with keys in a data directory, the secret key's first.
func keyFiles() []string { return []string{"secret.key", "admin.key"} }

// CheckTarget returns an error if no backup can be made at path.
func CheckTarget(path string) error {
	switch _, err := os.Stat(path); {
	case err == nil:
		return fmt.Errorf("--to %s exists; name a new directory", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--to: %w; name a directory that can be created", err)
	}
	return nil
}

// Take copies the embedded event store in dataDir if eventstore is true, then the vault, then the keys to the new directory
// to. In this order, the copied vault has every data key that an event of the copied log needs.
func Take(ctx context.Context, st *platform.Stores, dataDir string, eventstore bool, to string) (Manifest, error) {
	m := Manifest{Format: backupFormat, TakenAt: time.Now().UTC(), LogID: st.LogID, Eventstore: eventstore}
	// A partial backup must not look like a complete one.
	partial := to + ".partial"
	if err := makePartial(partial); err != nil {
		return m, fmt.Errorf("--to: %w", err)
	}
	if m.Eventstore {
		running, err := eventstored.NewOperator(filepath.Join(dataDir, backupEventstore))
		if err != nil {
			return m, err
		}
		if err := running.Backup(ctx, filepath.Join(partial, backupEventstore)); err != nil {
			return m, err
		}
	}
	if err := st.Vault.FlushAllProcesses(ctx); err != nil { // keys that were only derived so far
		return m, fmt.Errorf("vault: %w", err)
	}
	if err := vault.Dump(ctx, st.Pool, filepath.Join(partial, backupVault)); err != nil {
		return m, err
	}
	copied, err := copyKeys(dataDir, partial)
	if err != nil {
		return m, err
	}
	m.SecretKey = copied[keyFiles()[0]]
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := vault.WriteSecret(filepath.Join(partial, backupManifest), append(text, '\n')); err != nil {
		return m, err
	}
	if err := store.Finish(partial); err != nil {
		return m, err
	}
	return m, os.Rename(partial, to)
}

// makePartial creates the directory of an unfinished backup and the one of its vault.
func makePartial(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := store.MakeUnfinished(path); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(path, backupVault), 0o700)
}

// copyKeys copies the files with keys that exist in from, and returns their names.
func copyKeys(from, to string) (copied map[string]bool, err error) {
	copied = make(map[string]bool)
	for _, name := range keyFiles() {
		text, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = vault.WriteSecret(filepath.Join(to, name), text)
		}
		if err != nil {
			return copied, err
		}
		copied[name] = true
	}
	return copied, nil
}

// readManifest reads and checks the manifest of the backup in a directory.
func readManifest(from string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(filepath.Join(from, backupManifest))
	if err != nil {
		return m, fmt.Errorf("--from: %w; it must be a directory that waypost backup created", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("--from: %s: %w", backupManifest, err)
	}
	if m.Format != backupFormat {
		return m, fmt.Errorf("--from: the backup has format %d, this version of Waypost reads %d", m.Format, backupFormat)
	}
	return m, nil
}

// Restore creates a data directory from a backup. Its event log gets a new identity. The first start on the directory
// builds the read models.
func Restore(ctx context.Context, from, dataDir string, log *slog.Logger) (_ store.VerifyReport, _ uuid.UUID, err error) {
	var report store.VerifyReport
	var identity uuid.UUID
	m, err := readManifest(from)
	if err != nil {
		return report, identity, err
	}
	if !m.Eventstore {
		return report, identity, errors.New("--from: the event store was external and is not in the backup; " +
			"restore it with its own tools, and the vault of this backup with --postgres-url")
	}
	if err := os.Mkdir(dataDir, 0o700); err != nil {
		return report, identity, fmt.Errorf("--data-dir: %w; name a new directory", err)
	}
	defer func() {
		if err != nil { // serve would take a partial directory for a complete one
			err = errors.Join(err, os.RemoveAll(dataDir))
		}
	}()
	if _, err := copyKeys(from, dataDir); err != nil {
		return report, identity, err
	}
	report, identity, err = RestoreEventstore(ctx,
		store.Options{Dir: filepath.Join(dataDir, backupEventstore), Logger: log, Now: time.Now}, filepath.Join(from, backupEventstore))
	if err != nil {
		return report, identity, err
	}
	return report, identity, restoreVault(ctx, from, dataDir, log)
}

// RestoreExternalVault loads the vault of a backup into an external Postgres.
func RestoreExternalVault(ctx context.Context, from, postgresURL string) error {
	if _, err := readManifest(from); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, platform.StartTimeout)
	defer cancel()
	if err := platform.CheckMigrated(ctx, postgresURL); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, postgresURL)
	if err != nil {
		return platform.UnreachedPostgres(err)
	}
	defer pool.Close()
	return vault.Load(ctx, pool, filepath.Join(from, backupVault))
}

// restoreVault creates the private Postgres of a data directory and loads the vault of a backup into it.
func restoreVault(ctx context.Context, from, dataDir string, log *slog.Logger) (err error) {
	ctx, cancel := context.WithTimeout(ctx, platform.StartTimeout)
	defer cancel()
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dataDir, "postgres"), Logger: log})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, cluster.Stop(closing))
	}()
	if err := postgres.Up(ctx, cluster.URL()); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, cluster.URL())
	if err != nil {
		return err
	}
	defer pool.Close()
	return vault.Load(ctx, pool, filepath.Join(from, backupVault))
}

// RestoreEventstore creates the data directory of an event store from a backup and gives its event log a new identity. The log's
// positions after the backup will name other events than before, so old cursors and read models must not be used with it.
func RestoreEventstore(ctx context.Context, o store.Options, from string) (store.VerifyReport, uuid.UUID, error) {
	var identity uuid.UUID
	report, err := store.Restore(ctx, o, from, func(dir string) (err error) {
		identity, err = reopenLog(ctx, dir, o.Logger)
		return err
	})
	return report, identity, err
}

func reopenLog(ctx context.Context, dir string, log *slog.Logger) (_ uuid.UUID, err error) {
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: dir, Logger: log})
	if err != nil {
		return uuid.Nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, server.Close(ctx))
	}()
	codec, err := platform.NewCodec()
	if err != nil {
		return uuid.Nil, err
	}
	opened, err := eventstore.Open(ctx, eventstore.Options{URL: server.URL(), Codec: codec, Logger: log})
	if err != nil {
		return uuid.Nil, err
	}
	defer platform.CloseLog(ctx, opened, &err)
	return opened.Reopen(ctx, time.Now().UTC())
}
