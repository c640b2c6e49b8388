package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type eventstoreServe struct {
	Addr             string `help:"TCP address for EventStoreDB's clients, with TLS and users. If empty, only processes of the same user can reach the store, through its Unix socket." default:"127.0.0.1:2113" env:"WAYPOST_EVENTSTORE_ADDR"`
	Insecure         bool   `help:"Serve without TLS and users. Every user of this machine can then read and write. --addr must be a loopback address." env:"WAYPOST_EVENTSTORE_INSECURE"`
	AcceptShorterLog bool   `help:"Open a store that lacks acknowledged events, which are then lost. Otherwise such a store is refused. Run waypost rebuild --accept-shorter-log afterwards."`
	LiveBuffer       int    `help:"For tests of clients: drop a live subscription when more events than this wait for it, as EventStoreDB does at 32. 0 never does." default:"0"`
	platform.EventstorePort
	eventstoreData
}

// Run serves until env.ctx ends or the disk fails.
func (c eventstoreServe) Run(env *environment) error {
	log, err := c.Logger(env.stderr)
	if err != nil {
		return err
	}
	options := eventstored.Options{Dir: c.DataDir, Addr: c.Addr, Insecure: c.Insecure, AcceptShorterLog: c.AcceptShorterLog, LiveBuffer: c.LiveBuffer, Logger: log}
	var made platform.Protection
	switch {
	case c.Insecure && (c.TLSCert != "" || c.Users != ""):
		return errors.New("--insecure is without TLS and users; omit it, or omit --tls-cert and --users")
	case c.Addr != "" && !c.Insecure:
		if made, err = c.Protect(&options, log); err != nil {
			return err
		}
	}
	platform.TuneRuntime()
	server, err := eventstored.Open(env.ctx, options)
	if err != nil {
		if errors.Is(err, eventstored.ErrUnprotected) {
			err = fmt.Errorf("%w, or choose a loopback address with --addr", err)
		}
		return err
	}
	fmt.Fprintf(env.stdout, "event store, for this user on this machine: WAYPOST_EVENTSTORE_URL=%s\n", server.URL())
	switch {
	case c.Addr != "" && c.Insecure:
		fmt.Fprintf(env.stdout, "for every user of this machine: WAYPOST_EVENTSTORE_URL=%s\n", server.TCPURL())
	case c.Addr != "":
		fmt.Fprintf(env.stdout, "for others: WAYPOST_EVENTSTORE_URL='%s'\n", made.URLFor(server))
		if made.Users != "" {
			fmt.Fprintf(env.stdout, "NAME:PASSWORD is in %s\n", made.Users)
		}
	}
	var fault error
	select {
	case <-env.ctx.Done():
	case fault = <-server.Err():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), platform.CloseTimeout)
	defer cancel()
	if err := server.Close(ctx); fault == nil {
		fault = err
	}
	return fault
}
