package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/cmd/waypost/internal/backup"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type eventstoreCommand struct {
	Serve    eventstoreServe    `cmd:"" default:"withargs" help:"Serve EventStoreDB's gRPC protocol."`
	Verify   eventstoreVerify   `cmd:"" help:"Read and check all data of a stopped store."`
	Backup   eventstoreBackup   `cmd:"" help:"Back up the data of a store to another directory. The store can be running or stopped."`
	Restore  eventstoreRestore  `cmd:"" help:"Create a data directory from a backup."`
	Copy     eventstoreCopy     `cmd:"" help:"Copy an event log to another event store, embedded or external. Run it again to continue."`
	Scavenge eventstoreScavenge `cmd:"" help:"Remove deleted and expired events. The store can be running or stopped."`
}

type eventstoreData struct {
	DataDir string `help:"Data directory." default:"./waypost-data/eventstore" env:"WAYPOST_EVENTSTORE_DATA_DIR" type:"path"`
	platform.LogSettings
}

func (d eventstoreData) options(env *environment) (store.Options, error) {
	log, err := d.Logger(env.stderr)
	return store.Options{Dir: d.DataDir, Logger: log, Now: time.Now}, err
}

type eventstoreVerify struct{ eventstoreData }

// Run checks the data and prints what was read.
func (c eventstoreVerify) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	report, err := store.Verify(env.ctx, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "sound: %d events in %d streams, up to position %d\n", report.Events, report.Streams, report.End)
	return err
}

type eventstoreBackup struct {
	eventstoreData
	To string `help:"Directory of the backup. It must not exist. On the same file system, it takes almost no space." required:"" type:"path"`
}

// Run takes the backup, through the process that uses the data if there is one.
func (c eventstoreBackup) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	err = store.Backup(options, c.To)
	if errors.Is(err, store.ErrLocked) {
		var running *eventstored.Operator
		if running, err = eventstored.NewOperator(c.DataDir); err == nil {
			err = running.Backup(env.ctx, c.To)
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "copied to %s; to restore it, run: waypost eventstore restore --from %s\n", c.To, c.To)
	return err
}

type eventstoreRestore struct {
	eventstoreData
	From string `help:"Directory of the backup. It is not changed." required:"" type:"path"`
}

// Run creates the data directory from a backup.
func (c eventstoreRestore) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	report, identity, err := backup.RestoreEventstore(env.ctx, options, c.From)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "restored %d events in %d streams to %s; it is now log %s\n",
		report.Events, report.Streams, c.DataDir, identity)
	return err
}

type eventstoreScavenge struct{ eventstoreData }

// Run removes events that can no longer be read, through the process that uses the data if there is one.
func (c eventstoreScavenge) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	report, err := store.Scavenge(env.ctx, options)
	if errors.Is(err, store.ErrLocked) {
		var running *eventstored.Operator
		if running, err = eventstored.NewOperator(c.DataDir); err == nil {
			report, err = running.Scavenge(env.ctx)
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "removed %d events of %d bytes\n", report.Events, report.Bytes)
	return err
}
