package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/cmd/waypost/internal/backup"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type backupCommand struct {
	platform.StoreSettings
	To string `help:"Directory of the backup. It must not exist." required:"" type:"path"`
}

// Run takes a backup and prints how to restore it.
func (c backupCommand) Run(env *environment) (err error) {
	if err := backup.CheckTarget(c.To); err != nil {
		return err
	}
	st, err := c.Open(env.ctx, env.stderr)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, st.Close(closing))
	}()
	m, err := backup.Take(env.ctx, st, c.DataDir, c.EventstoreURL == "", c.To)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "backed up to %s; to restore it, run: waypost restore --from %s --data-dir NEW\n", c.To, c.To)
	if !m.SecretKey {
		fmt.Fprintln(env.stdout, "the secret key comes from the settings and is not in the backup; without that key, tokens and personal data cannot be read")
	}
	if !m.Eventstore {
		fmt.Fprintln(env.stdout, "the event store is external and is not in the backup; back it up with its own tools before you run this command")
	}
	return nil
}

type restoreCommand struct {
	From        string `help:"Directory of the backup. It is not changed." required:"" type:"path"`
	DataDir     string `help:"Data directory to create. It must not exist." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	PostgresURL string `secret:"url" help:"External Postgres (postgres://…), migrated and new. If set, only the vault is loaded into it. Move the event log with waypost eventstore copy or restore, or with its store's own tools." env:"WAYPOST_POSTGRES_URL"`
	platform.LogSettings
}

// Run restores a backup: its vault if there is an external Postgres, and otherwise all of it.
func (c restoreCommand) Run(env *environment) error {
	log, err := c.Logger(env.stderr)
	if err != nil {
		return err
	}
	if c.PostgresURL != "" {
		if err := backup.RestoreExternalVault(env.ctx, c.From, c.PostgresURL); err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.stdout, "restored the vault to the external Postgres; configure every process with the secret key that was used with it. "+
			"If this Postgres also has read models of a log that was restored to an earlier state, run waypost rebuild --accept-shorter-log before the first start")
		return err
	}
	report, identity, err := backup.Restore(env.ctx, c.From, c.DataDir, log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "restored %d events in %d streams to %s; it is now log %s, and its first start rebuilds the read models\n",
		report.Events, report.Streams, c.DataDir, identity)
	return err
}
