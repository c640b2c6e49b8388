package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply pending migrations."`
	Down   migrateDown   `cmd:"" help:"Drop the read models. They are rebuilt from the event log."`
	Status migrateStatus `cmd:"" help:"Show which migrations are applied."`
}

type migrateTarget struct {
	PostgresURL string `secret:"url" help:"External Postgres (postgres://…)." env:"WAYPOST_POSTGRES_URL"`
}

func (t migrateTarget) url() (string, error) {
	if t.PostgresURL == "" {
		return "", errors.New("--postgres-url is required; serve migrates a private Postgres itself")
	}
	return t.PostgresURL, nil
}

type migrateUp struct{ migrateTarget }

// Run applies pending migrations.
func (c migrateUp) Run(env *environment) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	if err := postgres.Up(env.ctx, url); err != nil {
		return platform.UnreachedPostgres(err)
	}
	_, err = fmt.Fprintln(env.stdout, "all migrations are applied")
	return err
}

type migrateDown struct {
	migrateTarget
	State bool `help:"Also drop leases and the vault with its tokens, which cannot be rebuilt."`
}

// Run drops the read models.
func (c migrateDown) Run(env *environment) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	if err := postgres.Down(env.ctx, url, c.State); err != nil {
		return platform.UnreachedPostgres(err)
	}
	_, err = fmt.Fprintln(env.stdout, "dropped; waypost migrate up creates the tables again, and the read models are rebuilt from the event log")
	return err
}

type migrateStatus struct{ migrateTarget }

// Run lists the migrations.
func (c migrateStatus) Run(env *environment) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	all, err := postgres.Status(env.ctx, url)
	if err != nil {
		return platform.UnreachedPostgres(err)
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	for _, m := range all {
		state := "pending"
		if m.Applied {
			state = "applied"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", m.Set, m.File, state)
	}
	return w.Flush()
}
