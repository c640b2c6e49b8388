package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
)

type eventstoreBackup struct {
	eventstoreData
	To string `help:"Folder of the copy; it must not exist. On the same file system it costs next to no room." required:"" type:"path"`
}

// Run copies the data, by the program that uses it if one does.
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
	_, err = fmt.Fprintf(env.stdout, "copied to %s; bring it back with: waypost eventstore restore --from %s\n", c.To, c.To)
	return err
}

type eventstoreRestore struct {
	eventstoreData
	From string `help:"Folder of the backup; it stays as it is." required:"" type:"path"`
}

// Run makes the data folder from a backup.
func (c eventstoreRestore) Run(env *environment) error {
	options, err := c.options(env)
	if err != nil {
		return err
	}
	report, identity, err := restoreEventstore(env.ctx, options, c.From)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "restored %d events in %d streams to %s; it is now log %s\n",
		report.Events, report.Streams, c.DataDir, identity)
	return err
}

// restoreEventstore makes a data folder from a backup and gives the log in it
// another identity: its positions will name other events than those that the log
// got after the backup, so neither cursors nor read models may be taken on.
func restoreEventstore(ctx context.Context, o store.Options, from string) (store.VerifyReport, uuid.UUID, error) {
	var identity uuid.UUID
	report, err := store.Restore(ctx, o, from, func(dir string) (err error) {
		identity, err = reopenLog(ctx, dir, o.Logger)
		return err
	})
	return report, identity, err
}

func reopenLog(ctx context.Context, dir string, log *slog.Logger) (_ uuid.UUID, err error) {
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Logger: log})
	if err != nil {
		return uuid.Nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, server.Close(ctx))
	}()
	codec, err := newCodec()
	if err != nil {
		return uuid.Nil, err
	}
	opened, err := eventstore.Open(ctx, eventstore.Options{URL: server.URL(), Codec: codec, Logger: log})
	if err != nil {
		return uuid.Nil, err
	}
	defer closeLog(ctx, opened, &err)
	return opened.Reopen(ctx, time.Now().UTC())
}

type eventstoreScavenge struct{ eventstoreData }

// Run removes what can be read no more, by the program that uses the data if one does.
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
