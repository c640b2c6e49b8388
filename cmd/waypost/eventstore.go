package main

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

type eventstoreCommand struct {
	Serve    eventstoreServe    `cmd:"" default:"withargs" help:"Serve EventStoreDB's gRPC protocol."`
	Verify   eventstoreVerify   `cmd:"" help:"Read all data of a store that is not running and check it."`
	Backup   eventstoreBackup   `cmd:"" help:"Copy the data of a store, running or not, to another folder."`
	Restore  eventstoreRestore  `cmd:"" help:"Make a new data folder from a backup."`
	Copy     eventstoreCopy     `cmd:"" help:"Copy a log to another event store, embedded or not; it can be run again to go on."`
	Scavenge eventstoreScavenge `cmd:"" help:"Remove deleted and expired events of a store, running or not."`
}

type eventstoreData struct {
	DataDir string `help:"Folder of the data." default:"./waypost-data/eventstore" env:"WAYPOST_EVENTSTORE_DATA_DIR" type:"path"`
	logSettings
}

func (d eventstoreData) options(env *environment) (store.Options, error) {
	log, err := d.logger(env.stderr)
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
