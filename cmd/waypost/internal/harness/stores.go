package harness

import (
	"cmp"
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
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// SharedStores are an event store and a Postgres that several processes work with.
// They run in the bench itself.
type SharedStores struct {
	Events  *eventstored.Server
	Cluster *privatepg.Cluster
	Key     string
}

// StartSharedStores starts the stores in dir, with the tables in Postgres. The caller must stop them.
func StartSharedStores(ctx context.Context, dir string) (_ *SharedStores, err error) {
	s, err := StartEmptyStores(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	if err := postgres.Up(ctx, s.Cluster.URL()); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// StartEmptyStores is StartSharedStores without the tables in Postgres. If addr isn't
// empty, the event store has an open port there, for versions that know no sockets.
func StartEmptyStores(ctx context.Context, dir, addr string) (_ *SharedStores, err error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	s := &SharedStores{Key: base64.StdEncoding.EncodeToString(key[:])}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(ctx))
		}
	}()
	log := slog.New(slog.DiscardHandler)
	if s.Cluster, err = privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dir, "postgres"), Logger: log}); err != nil {
		return nil, err
	}
	s.Events, err = eventstored.Open(ctx, eventstored.Options{Dir: filepath.Join(dir, "eventstore"), Addr: addr, Insecure: true, Logger: log})
	return s, err
}

// Env are the settings by which a process uses them.
func (s *SharedStores) Env() []string {
	return []string{
		"WAYPOST_EVENTSTORE_URL=" + cmp.Or(s.Events.TCPURL(), s.Events.URL()), "WAYPOST_POSTGRES_URL=" + s.Cluster.URL(), "WAYPOST_SECRET_KEY=" + s.Key,
	}
}

// Stop stops the stores, also if ctx has ended.
func (s *SharedStores) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*platform.CloseTimeout)
	defer cancel()
	var errs []error
	if s.Events != nil {
		errs = append(errs, s.Events.Close(ctx))
	}
	if s.Cluster != nil {
		errs = append(errs, s.Cluster.Stop(ctx))
	}
	return errors.Join(errs...)
}

// startDispatcher starts one more process that sends and does nothing else.
func (r *TestEnv) startDispatcher(ctx context.Context, n int) (*Child, error) {
	addr, err := loopback.FreeAddr()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("serve%d", n)
	env := append(r.ServeEnv(addr, filepath.Join(r.Dir, name)), "WAYPOST_ROLES=dispatch")
	c, err := StartChild(r.Dir, name, env, "serve")
	if err != nil {
		return nil, err
	}
	return c, c.Ready(ctx, "http://"+addr+"/readyz")
}
