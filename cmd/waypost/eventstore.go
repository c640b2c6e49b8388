package main

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
)

type eventstoreCommand struct {
	Serve    eventstoreServe    `cmd:"" default:"withargs" help:"Serve EventStoreDB's gRPC protocol."`
	Verify   eventstoreVerify   `cmd:"" help:"Read all data of a store that is not running and check it."`
	Backup   eventstoreBackup   `cmd:"" help:"Copy the data of a store that is not running."`
	Scavenge eventstoreScavenge `cmd:"" help:"Remove deleted and expired events of a store that is not running."`
}

type eventstoreData struct {
	DataDir string `help:"Folder of the data." default:"./waypost-data/eventstore" env:"WAYPOST_EVENTSTORE_DATA_DIR" type:"path"`
	logSettings
}

func (d eventstoreData) options(env *environment) (store.Options, error) {
	log, err := d.logger(env.stderr)
	return store.Options{Dir: d.DataDir, Logger: log, Now: time.Now}, err
}

type eventstoreServe struct {
	Addr string `help:"Where it listens." default:"127.0.0.1:2113" env:"WAYPOST_EVENTSTORE_ADDR"`
	eventstoreData
}

// Run serves until it is told to stop or the disk fails.
func (c eventstoreServe) Run(env *environment) error {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	server, err := eventstored.Open(env.ctx, eventstored.Options{Dir: c.DataDir, Addr: c.Addr, Logger: log})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "event store: WAYPOST_EVENTSTORE_URL=%s\n", server.URL())
	var fault error
	select {
	case <-env.ctx.Done():
	case fault = <-server.Err():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
	defer cancel()
	if err := server.Close(ctx); fault == nil {
		fault = err
	}
	return fault
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
	_, err = fmt.Fprintf(env.stdout, "sound: %+v\n", report)
	return err
}

type eventstoreBackup struct {
	eventstoreData
	To string `help:"Folder of the copy; it must not exist." required:"" type:"path"`
}

// Run copies the data.
func (c eventstoreBackup) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	if err := store.Backup(options, c.To); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "copied to %s; to restore, put it in place of %s\n", c.To, c.DataDir)
	return err
}

type eventstoreScavenge struct{ eventstoreData }

// Run removes what can be read no more.
func (c eventstoreScavenge) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	report, err := store.Scavenge(env.ctx, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "done: %+v\n", report)
	return err
}
