package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
)

// sharedStores are an event store and a Postgres that several processes work with.
// They run in the bench itself.
type sharedStores struct {
	events  *eventstored.Server
	cluster *privatepg.Cluster
	key     string
}

func startSharedStores(ctx context.Context, dir string) (_ *sharedStores, err error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	s := &sharedStores{key: base64.StdEncoding.EncodeToString(key[:])}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop(ctx))
		}
	}()
	log := slog.New(slog.DiscardHandler)
	if s.cluster, err = privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dir, "postgres"), Logger: log}); err != nil {
		return nil, err
	}
	if err := postgres.Up(ctx, s.cluster.URL()); err != nil {
		return nil, err
	}
	s.events, err = eventstored.Open(ctx, eventstored.Options{Dir: filepath.Join(dir, "eventstore"), Addr: "127.0.0.1:0", Logger: log})
	return s, err
}

// env are the settings by which a process uses them.
func (s *sharedStores) env() []string {
	return []string{
		"WAYPOST_EVENTSTORE_URL=" + s.events.URL(), "WAYPOST_POSTGRES_URL=" + s.cluster.URL(), "WAYPOST_SECRET_KEY=" + s.key,
	}
}

func (s *sharedStores) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closeTimeout)
	defer cancel()
	var errs []error
	if s.events != nil {
		errs = append(errs, s.events.Close(ctx))
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop(ctx))
	}
	return errors.Join(errs...)
}

// startDispatcher starts one more process that sends and does nothing else.
func (r *rig) startDispatcher(ctx context.Context, n int) (*child, error) {
	addr, err := loopback.FreeAddr()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("serve%d", n)
	env := append(r.serveEnv(addr, filepath.Join(r.dir, name)), "WAYPOST_ROLES=dispatch")
	c, err := startChild(r.dir, name, env, "serve")
	if err != nil {
		return nil, err
	}
	return c, c.ready(ctx, "http://"+addr+"/readyz")
}
