package platform

import (
	"context"
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
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

// StartTimeout bounds the start of the stores. A new data directory takes about two seconds. A large one that has to recover can take
// longer.
const StartTimeout = 60 * time.Second

// Stores are the event store and Postgres of an installation, embedded or external, opened and migrated.
type Stores struct {
	embedded *eventstored.Server
	cluster  *privatepg.Cluster
	Log      *eventstore.Log
	LogID    uuid.UUID
	URL      string // of the event store
	Pool     *pgxpool.Pool
	queries  *postgres.Queries // opened by openQueries
	// PostgresURL is the URL of Postgres, private or external.
	PostgresURL string
	Keys        *vault.Keys
	// Vault has the data keys, which seal personal data in the event log.
	Vault *vault.DataKeys
}

// EventTypes returns the event types of every aggregate.
func EventTypes() [][]domain.Type {
	return [][]domain.Type{message.Types(), sender.Types(), inbound.Types(), identity.Types(), conversation.Types(), template.Types(), hook.Types(), event.Types(), operation.Types(), audit.Types(), access.Types(), alert.Types(), campaign.Types()}
}

// NewCodec returns a codec for the event types of every aggregate.
func NewCodec() (*event.Codec, error) { return event.NewCodec(EventTypes()...) }

// OpenStores opens both stores concurrently. If one fails, it closes the other.
func OpenStores(ctx context.Context, s *Settings, now func() time.Time, log *slog.Logger) (_ *Stores, err error) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	var st Stores
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseTimeout)
			defer cancel()
			err = errors.Join(err, st.Close(closing))
		}
	}()
	if st.Keys, err = openKeys(s); err != nil {
		return nil, err
	}
	st.Vault = vault.NewDataKeys(vault.Options{Keys: st.Keys, Retention: s.ContentRetention, Clock: now, Logger: log})
	var both errgroup.Group
	both.Go(func() error { return st.openLog(ctx, s, now, log) })
	both.Go(func() error { return st.openPostgres(ctx, s, log) })
	if err := both.Wait(); err != nil {
		return &st, err
	}
	if !s.anyLength && !s.acceptShorter {
		if err := st.CheckLog(ctx); err != nil {
			return &st, err
		}
	}
	return &st, st.Vault.Start(ctx, st.Pool, st.Log, st.cluster != nil && st.embedded != nil)
}

// OpenLog opens the event log of an installation and nothing else.
func OpenLog(ctx context.Context, s *Settings, now func() time.Time, log *slog.Logger) (*Stores, error) {
	st := new(Stores)
	if err := st.openLog(ctx, s, now, log); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseTimeout)
		defer cancel()
		return nil, errors.Join(err, st.Close(closing))
	}
	return st, nil
}

// openKeys returns the secret key. With an external store, the settings must contain it: a key generated here would be lost with this
// machine, and the access tokens with it.
func openKeys(s *Settings) (*vault.Keys, error) {
	given, err := NewSecret("WAYPOST_SECRET_KEY", s.SecretKey)
	if err != nil {
		return nil, err
	}
	if text := given.Get(); text != "" {
		keys, err := vault.ParseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("WAYPOST_SECRET_KEY: %w", err)
		}
		return keys, nil
	}
	if !s.attached && (s.EventstoreURL != "" || s.PostgresURL != "") {
		return nil, errors.New("WAYPOST_SECRET_KEY is required with an external event store or Postgres; generate one with: openssl rand -base64 32")
	}
	path := filepath.Join(s.DataDir, "secret.key")
	if !exists(path) && exists(filepath.Join(s.DataDir, "eventstore")) && exists(filepath.Join(s.DataDir, "postgres")) {
		return nil, fmt.Errorf("%s is missing, but data in %s is sealed with it; restore it from a backup, or set WAYPOST_SECRET_KEY", path, s.DataDir)
	}
	return vault.LoadOrMakeKeys(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (st *Stores) openLog(ctx context.Context, s *Settings, now func() time.Time, log *slog.Logger) error {
	codec, err := NewCodec()
	if err != nil {
		return err
	}
	options := eventstore.Options{URL: s.EventstoreURL, Codec: codec.WithVault(st.Vault), Logger: log, Now: now}
	if options.URL == "" {
		if st.embedded, err = openEmbedded(ctx, s, log); err != nil {
			return err
		}
		options.URL = st.embedded.URL()
		if s.EventstoreLiveBuffer == 0 { // only a client is dropped
			options.Store = st.embedded.Store()
		}
	}
	st.URL = options.URL
	st.Log, err = eventstore.Open(ctx, options)
	if err != nil && s.EventstoreURL != "" && !s.attached {
		return fmt.Errorf("WAYPOST_EVENTSTORE_URL: %w; check the URL, and that the event store is running and reachable from here", err)
	}
	if err != nil {
		return err
	}
	if st.LogID, err = st.Log.EnsureOpened(ctx, now()); err != nil || s.anyLength || s.acceptShorter {
		return err
	}
	return st.Log.FoundShorter(ctx)
}

// openEmbedded opens the embedded event store. It has a TCP port only if the settings contain one.
func openEmbedded(ctx context.Context, s *Settings, log *slog.Logger) (*eventstored.Server, error) {
	options := eventstored.Options{
		Dir: filepath.Join(s.DataDir, "eventstore"), Addr: s.EventstoreAddr, AcceptShorterLog: s.acceptShorter,
		LiveBuffer: s.EventstoreLiveBuffer, Logger: log,
	}
	if options.Addr == "" {
		return eventstored.Open(ctx, options)
	}
	made, err := s.EventstorePort.Protect(&options, log)
	if err != nil {
		return nil, fmt.Errorf("--eventstore-addr: %w", err)
	}
	server, err := eventstored.Open(ctx, options)
	if err == nil {
		log.InfoContext(ctx, "the event store has a port", "url", made.URLFor(server), "users", made.Users)
	}
	return server, err
}

func (st *Stores) openPostgres(ctx context.Context, s *Settings, log *slog.Logger) error {
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
		if err := CheckMigrated(ctx, url); err != nil {
			return err
		}
	}
	st.PostgresURL = url
	pool, err := postgres.Open(ctx, url)
	st.Pool = pool
	return err
}

// openQueries opens the connections to Postgres for queries of API callers.
func (st *Stores) openQueries(ctx context.Context) (err error) {
	st.queries, err = postgres.OpenQueries(ctx, st.PostgresURL)
	return err
}

// CheckMigrated returns an error unless an external Postgres has all migrations of this version and no others. The error names missing
// migrations, or says that the database belongs to a newer version.
func CheckMigrated(ctx context.Context, url string) error {
	err := postgres.CheckNotNewer(ctx, url)
	var newer *postgres.NewerSchemaError
	if errors.As(err, &newer) {
		return err
	}
	all, err := postgres.Status(ctx, url)
	if err != nil {
		return UnreachedPostgres(err)
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
	return fmt.Errorf("migrations are pending on the external Postgres (%s); run: waypost migrate up", strings.Join(pending, ", "))
}

// UnreachedPostgres wraps an error of an external Postgres with what to check.
func UnreachedPostgres(err error) error {
	return fmt.Errorf("WAYPOST_POSTGRES_URL: %w; check the URL, and that Postgres is running and reachable from here", err)
}

// Close closes the stores in reverse order.
func (st *Stores) Close(ctx context.Context) error {
	var errs []error
	if st.Vault != nil {
		errs = append(errs, st.Vault.Close(ctx))
	}
	if st.Pool != nil {
		st.Pool.Close()
	}
	if st.queries != nil {
		st.queries.Close()
	}
	if st.cluster != nil {
		errs = append(errs, st.cluster.Stop(ctx))
	}
	if st.Log != nil {
		errs = append(errs, st.Log.Close(ctx))
	}
	if st.embedded != nil {
		errs = append(errs, st.embedded.Close(ctx))
	}
	return errors.Join(errs...)
}

// failures returns a channel that gets an error when an embedded store has failed permanently.
func (st *Stores) failures(ctx context.Context) <-chan error {
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

// CloseLog closes log within CloseTimeout, also if ctx has ended, and adds its error to err.
func CloseLog(ctx context.Context, log *eventstore.Log, err *error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseTimeout)
	defer cancel()
	*err = errors.Join(*err, log.Close(ctx))
}
