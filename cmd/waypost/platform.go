package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
	"github.com/waypost/waypost/domain/sender"
)

// startTimeout bounds the start of the stores. A new data folder takes about
// two seconds, a large one that has to recover may take longer.
const startTimeout = 60 * time.Second

// stores are the event store and Postgres, embedded or given, opened and
// migrated. They are closed in reverse.
type stores struct {
	embedded *eventstored.Server
	cluster  *privatepg.Cluster
	log      *eventstore.Log
	logID    uuid.UUID
	url      string // of the event store
	pool     *pgxpool.Pool
	// postgresURL is that of Postgres, embedded or given.
	postgresURL string
	keys        *vault.Keys
	// vault has the data keys, which seal what is personal in the log.
	vault *vault.DataKeys
}

// registeredTypes are those of every aggregate.
func registeredTypes() [][]domain.Type {
	return [][]domain.Type{message.Types(), sender.Types(), inbound.Types(), hook.Types(), event.Types(), operation.Types(), audit.Types(), access.Types(), alert.Types()}
}

// newCodec knows the event types of every aggregate.
func newCodec() (*event.Codec, error) { return event.NewCodec(registeredTypes()...) }

// openStores opens both stores at once: what takes long in one does not wait for
// the other. What was opened is closed again when the other fails.
func openStores(ctx context.Context, s *settings, now func() time.Time, log *slog.Logger) (_ *stores, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var st stores
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			err = errors.Join(err, st.close(closing))
		}
	}()
	if st.keys, err = openKeys(s); err != nil {
		return nil, err
	}
	st.vault = vault.NewDataKeys(vault.Options{Keys: st.keys, Retention: s.ContentRetention, Clock: now, Logger: log})
	var both errgroup.Group
	both.Go(func() error { return st.openLog(ctx, s, now, log) })
	both.Go(func() error { return st.openPostgres(ctx, s, log) })
	if err := both.Wait(); err != nil {
		return &st, err
	}
	return &st, st.vault.Start(ctx, st.pool, st.log, st.cluster != nil && st.embedded != nil)
}

// openKeys finds the secret key. With a store from outside it must be given:
// one made here would be lost with this machine, and the tokens with it.
func openKeys(s *settings) (*vault.Keys, error) {
	given, err := newSecret("WAYPOST_SECRET_KEY", s.SecretKey)
	if err != nil {
		return nil, err
	}
	if text := given.get(); text != "" {
		keys, err := vault.ParseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("WAYPOST_SECRET_KEY: %w", err)
		}
		return keys, nil
	}
	if !s.attached && (s.EventstoreURL != "" || s.PostgresURL != "") {
		return nil, errors.New("WAYPOST_SECRET_KEY is required with a given event store or Postgres; make one with: openssl rand -base64 32")
	}
	path := filepath.Join(s.DataDir, "secret.key")
	if !exists(path) && exists(filepath.Join(s.DataDir, "eventstore")) && exists(filepath.Join(s.DataDir, "postgres")) {
		return nil, fmt.Errorf("%s is missing, and what stands in %s is sealed by it; put it back from a backup, or give it as WAYPOST_SECRET_KEY", path, s.DataDir)
	}
	return vault.LoadOrMakeKeys(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (st *stores) openLog(ctx context.Context, s *settings, now func() time.Time, log *slog.Logger) error {
	codec, err := newCodec()
	if err != nil {
		return err
	}
	url := s.EventstoreURL
	if url == "" {
		st.embedded, err = eventstored.Open(ctx, eventstored.Options{
			Dir: filepath.Join(s.DataDir, "eventstore"), Addr: "127.0.0.1:0", Logger: log,
		})
		if err != nil {
			return err
		}
		url = st.embedded.URL()
	}
	st.url = url
	st.log, err = eventstore.Open(ctx, eventstore.Options{URL: url, Codec: codec.Sealing(st.vault), Logger: log})
	if err != nil && s.EventstoreURL != "" && !s.attached {
		return fmt.Errorf("WAYPOST_EVENTSTORE_URL: %w; see that it is right and that the event store runs and is reached from here", err)
	}
	if err != nil {
		return err
	}
	st.logID, err = st.log.EnsureOpened(ctx, now())
	return err
}

func (st *stores) openPostgres(ctx context.Context, s *settings, log *slog.Logger) error {
	url := s.PostgresURL
	if url == "" {
		cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(s.DataDir, "postgres"), Logger: log})
		if err != nil {
			return err
		}
		st.cluster = cluster
		url = cluster.URL()
		if err := postgres.Up(ctx, url); err != nil {
			return err
		}
	} else {
		if err := migrated(ctx, url); err != nil {
			return err
		}
	}
	st.postgresURL = url
	pool, err := postgres.Open(ctx, url)
	st.pool = pool
	return err
}

// migrated is nil if a given Postgres has all migrations, and names those it lacks.
func migrated(ctx context.Context, url string) error {
	all, err := postgres.Status(ctx, url)
	if err != nil {
		return unreachedPostgres(err)
	}
	var pending []string
	for _, m := range all {
		if !m.Applied {
			pending = append(pending, m.Set+" "+m.File)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	return fmt.Errorf("migrations are pending on the given Postgres (%s); run: waypost migrate up", strings.Join(pending, ", "))
}

// unreachedPostgres is why a given Postgres cannot be used, and what to do.
func unreachedPostgres(err error) error {
	return fmt.Errorf("WAYPOST_POSTGRES_URL: %w; see that it is right and that Postgres runs and is reached from here", err)
}

func (st *stores) close(ctx context.Context) error {
	var errs []error
	if st.vault != nil {
		errs = append(errs, st.vault.Close(ctx))
	}
	if st.pool != nil {
		st.pool.Close()
	}
	if st.cluster != nil {
		errs = append(errs, st.cluster.Stop(ctx))
	}
	if st.log != nil {
		errs = append(errs, st.log.Close(ctx))
	}
	if st.embedded != nil {
		errs = append(errs, st.embedded.Close(ctx))
	}
	return errors.Join(errs...)
}

// faults is a channel that gets an error when an embedded part has failed for good.
func (st *stores) faults(ctx context.Context) <-chan error {
	out := make(chan error, 1)
	var once sync.Once
	watch := func(part string, in <-chan error) {
		select {
		case err := <-in:
			once.Do(func() { out <- fmt.Errorf("%s: %w", part, err) })
		case <-ctx.Done():
		}
	}
	if st.embedded != nil {
		go watch("event store", st.embedded.Err())
	}
	if st.cluster != nil {
		go watch("private Postgres", st.cluster.Err())
	}
	return out
}

// newID makes a UUIDv7: ids of one process grow with time, which keeps indexes small.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// runFile tells other commands of this machine how to reach a running platform.
type runFile struct {
	PID        int    `json:"pid"`
	URL        string `json:"url"`
	Eventstore string `json:"eventstore"`
	Postgres   string `json:"postgres"`
}

func writeRunFile(dir string, r runFile) (remove func(), err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "run.json")
	if err := vault.WriteSecret(path, append(text, '\n')); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil // the next start overwrites it anyhow
}
