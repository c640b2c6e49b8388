package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/adapters/vault"
)

// backupFormat is the version of a backup's layout.
const backupFormat = 1

// The parts of a backup, as they are named in its folder.
const (
	backupManifest   = "backup.json"
	backupEventstore = "eventstore"
	backupVault      = "vault"
)

// manifest says what a backup is.
type manifest struct {
	Format     int       `json:"format"`
	TakenAt    time.Time `json:"takenAt"`
	LogID      uuid.UUID `json:"logId"`
	Eventstore bool      `json:"eventstore"` // false: it was a given one, which has backups of its own
	SecretKey  bool      `json:"secretKey"`  // false: it was given, and is kept elsewhere
}

// keyFiles are the keys of a data folder.
func keyFiles() []string { return []string{"secret.key", "admin.key"} }

type backupCommand struct {
	storeSettings
	To string `help:"Folder of the backup; it must not exist." required:"" type:"path"`
}

// Run copies the event store, then the vault, then the keys. In this order every data
// key that an event of the copy needs is in the copy of the vault.
func (c backupCommand) Run(env *environment) (err error) {
	switch _, err := os.Stat(c.To); {
	case err == nil:
		return fmt.Errorf("--to %s exists; name a new folder", c.To)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--to: %w; name a folder that can be made", err)
	}
	st, err := c.open(env.ctx, env)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, st.close(closing))
	}()
	// A backup that was cut short must not look like one.
	partial := c.To + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(partial, backupVault), 0o700); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	m := manifest{Format: backupFormat, TakenAt: time.Now().UTC(), LogID: st.logID, Eventstore: c.EventstoreURL == ""}
	if m.Eventstore {
		running, err := eventstored.NewOperator(filepath.Join(c.DataDir, backupEventstore))
		if err != nil {
			return err
		}
		if err := running.Backup(env.ctx, filepath.Join(partial, backupEventstore)); err != nil {
			return err
		}
	}
	if err := st.vault.Settle(env.ctx); err != nil { // keys that were only derived so far
		return fmt.Errorf("vault: %w", err)
	}
	if err := vault.Dump(env.ctx, st.pool, filepath.Join(partial, backupVault)); err != nil {
		return err
	}
	for _, name := range keyFiles() {
		text, err := os.ReadFile(filepath.Join(c.DataDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = vault.WriteSecret(filepath.Join(partial, name), text)
		}
		if err != nil {
			return err
		}
		m.SecretKey = m.SecretKey || name == keyFiles()[0]
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := vault.WriteSecret(filepath.Join(partial, backupManifest), append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(partial, c.To); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "backed up to %s; bring it back with: waypost restore --from %s --data-dir NEW\n", c.To, c.To)
	if !m.SecretKey {
		fmt.Fprintln(env.stdout, "the secret key was given from outside and is not in it: without that key tokens and personal data are lost")
	}
	if !m.Eventstore {
		fmt.Fprintln(env.stdout, "the event store was given from outside and is not in it: back it up with its own means, before this")
	}
	return nil
}

type restoreCommand struct {
	From        string `help:"Folder of the backup; it stays as it is." required:"" type:"path"`
	DataDir     string `help:"The data folder to make; it must not exist." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	PostgresURL string `help:"postgres://… of a given Postgres, migrated and new: the vault alone is loaded into it. The log is moved by waypost eventstore copy or restore, or by its store's own means." env:"WAYPOST_POSTGRES_URL"`
	logSettings
}

// Run makes a data folder from a backup. The log in it gets another identity; the read
// models are built again by the first start. With a given Postgres it loads the vault
// into that, and nothing else.
func (c restoreCommand) Run(env *environment) (err error) {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(c.From, backupManifest))
	if err != nil {
		return fmt.Errorf("--from: %w; it must be a folder that waypost backup made", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("--from: %s: %w", backupManifest, err)
	}
	switch {
	case m.Format != backupFormat:
		return fmt.Errorf("--from: the backup has format %d, this program reads %d", m.Format, backupFormat)
	case c.PostgresURL != "":
		return c.restoreGiven(env)
	case !m.Eventstore:
		return errors.New("--from: the event store was a given one and is not in the backup; restore it with its own means, and the vault of this backup with --postgres-url")
	}
	if err := os.Mkdir(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w; name a new folder", err)
	}
	defer func() {
		if err != nil { // half a folder would look like a whole one to serve
			err = errors.Join(err, os.RemoveAll(c.DataDir))
		}
	}()
	for _, name := range keyFiles() {
		text, err := os.ReadFile(filepath.Join(c.From, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = vault.WriteSecret(filepath.Join(c.DataDir, name), text)
		}
		if err != nil {
			return err
		}
	}
	report, identity, err := restoreEventstore(env.ctx,
		store.Options{Dir: filepath.Join(c.DataDir, backupEventstore), Logger: log, Now: time.Now}, filepath.Join(c.From, backupEventstore))
	if err != nil {
		return err
	}
	if err := c.restoreVault(env.ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "restored %d events in %d streams to %s; it is now log %s, and its first start builds the read models again\n",
		report.Events, report.Streams, c.DataDir, identity)
	return err
}

// restoreGiven loads the vault into a given Postgres.
func (c restoreCommand) restoreGiven(env *environment) error {
	ctx, cancel := context.WithTimeout(env.ctx, startTimeout)
	defer cancel()
	if err := migrated(ctx, c.PostgresURL); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, c.PostgresURL)
	if err != nil {
		return unreachedPostgres(err)
	}
	defer pool.Close()
	if err := vault.Load(ctx, pool, filepath.Join(c.From, backupVault)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.stdout, "restored the vault to the given Postgres; give every process the secret key that was used with it")
	return err
}

// restoreVault makes the private Postgres and loads the vault into it.
func (c restoreCommand) restoreVault(ctx context.Context) (err error) {
	log, err := c.logger(os.Stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(c.DataDir, "postgres"), Logger: log})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
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
	return vault.Load(ctx, pool, filepath.Join(c.From, backupVault))
}
