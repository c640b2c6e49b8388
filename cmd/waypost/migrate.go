package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/waypost/waypost/adapters/postgres"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply what is pending."`
	Down   migrateDown   `cmd:"" help:"Drop the read models; they are built again from the log."`
	Status migrateStatus `cmd:"" help:"Show what is applied."`
}

type migrateTarget struct {
	PostgresURL string `help:"postgres://… of the database." env:"WAYPOST_POSTGRES_URL"`
}

func (t migrateTarget) url() (string, error) {
	if t.PostgresURL == "" {
		return "", errors.New("--postgres-url is missing; a private Postgres is migrated by serve itself")
	}
	return t.PostgresURL, nil
}

type migrateUp struct{ migrateTarget }

// Run applies what is pending.
func (c migrateUp) Run(env *environment) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	if err := postgres.Up(env.ctx, url); err != nil {
		return unreachedPostgres(err)
	}
	_, err = fmt.Fprintln(env.stdout, "all migrations are applied")
	return err
}

type migrateDown struct {
	migrateTarget
	State bool `help:"Also drop what is no read model: leases and the vault with its tokens, which cannot be built again."`
}

// Run drops the read models.
func (c migrateDown) Run(env *environment) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	if err := postgres.Down(env.ctx, url, c.State); err != nil {
		return unreachedPostgres(err)
	}
	_, err = fmt.Fprintln(env.stdout, "dropped; waypost migrate up makes the tables again, and the read models are built from the log")
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
		return unreachedPostgres(err)
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
