package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

// patience bounds every wait of the tests.
const patience = time.Minute

// start is where the clock of the histories starts. Postgres stores microseconds.
var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// bundle is an empty read model with the empty log that it is built from.
type bundle struct {
	tb    testing.TB
	ctx   context.Context
	url   string
	pool  *pgxpool.Pool
	log   *eventstore.Log
	logID string
	// storeURL is the URL of the event store.
	storeURL string
	now      time.Time
	vault    *vault.DataKeys // if nil, personal data is not sealed, and rows have none
	// keepLostProbes plants the defect of that name in all projectors.
	keepLostProbes bool
}

func setup(tb testing.TB) *bundle {
	tb.Helper()
	return setupWith(tb, nil)
}

// setupSealed is setup with a vault.
func setupSealed(tb testing.TB) *bundle {
	tb.Helper()
	keys, err := vault.LoadOrMakeKeys(filepath.Join(tb.TempDir(), "secret.key"))
	must(tb, err)
	b := setupWith(tb, vault.NewDataKeys(vault.Options{Keys: keys, Clock: time.Now, Logger: discard()}))
	must(tb, b.vault.Start(b.ctx, b.pool, b.log, true))
	tb.Cleanup(func() { must(tb, b.vault.Close(context.WithoutCancel(b.ctx))) })
	return b
}

// model returns the read model with this bundle's vault.
func (b *bundle) model() *postgres.ReadModel {
	if b.vault == nil {
		return postgres.NewReadModel(b.pool)
	}
	return postgres.NewReadModel(b.pool).WithVault(b.vault)
}

func setupWith(tb testing.TB, keys *vault.DataKeys) *bundle {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	tb.Cleanup(cancel)
	b := &bundle{tb: tb, ctx: ctx, url: postgrestest.Migrated(tb), now: start, vault: keys}
	var err error
	b.pool, err = postgres.Open(ctx, b.url)
	must(tb, err)
	tb.Cleanup(b.pool.Close)

	server, err := eventstored.Open(ctx, eventstored.Options{
		Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, server.Close(ctx))
	})
	codec, err := event.NewCodec(event.Types(), message.Types(), sender.Types(), inbound.Types(), identity.Types(), conversation.Types(), template.Types(), alert.Types())
	must(tb, err)
	if keys != nil {
		codec = codec.WithVault(keys)
	}
	b.storeURL = server.URL()
	b.log, err = eventstore.Open(ctx, eventstore.Options{URL: b.storeURL, Codec: codec})
	must(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, b.log.Close(ctx))
	})
	id, err := b.log.EnsureOpened(ctx, start)
	must(tb, err)
	b.logID = id.String()
	return b
}

func (b *bundle) projector(group postgres.Group) *postgres.Projector {
	b.tb.Helper()
	return b.projectorHolding(group, 0)
}

// projectorHolding returns a projector that holds a number of rows back.
func (b *bundle) projectorHolding(group postgres.Group, rows int) *postgres.Projector {
	b.tb.Helper()
	p, err := postgres.NewProjector(b.projectorOptions(group).Holding(rows))
	must(b.tb, err)
	return p
}

func (b *bundle) projectorOptions(group postgres.Group) postgres.ProjectorOptions {
	o := postgres.ProjectorOptions{
		Group: group, Log: b.log, Pool: b.pool, LogID: b.logID, Logger: slog.New(slog.DiscardHandler),
	}
	if b.vault != nil {
		o.Vault = b.vault
	}
	if b.keepLostProbes {
		o = o.KeepingLostProbes()
	}
	return o
}

// views returns a projector of the views that remembers a number of rows. It can continue
// for as long as no other process projects them.
func (b *bundle) views(rows int) *postgres.Projector {
	b.tb.Helper()
	p, err := postgres.NewProjector(b.projectorOptions(postgres.Views).Remembering(rows))
	must(b.tb, err)
	_, err = p.Prepare(b.ctx)
	must(b.tb, err)
	return p
}

// projectWith makes p project new events. If another process has projected some, p starts again.
func (b *bundle) projectWith(p *postgres.Projector) {
	b.tb.Helper()
	var fenced *postgres.FencedError
	for _, batch := range b.read(p.Position()) {
		err := p.Apply(b.ctx, batch)
		if errors.As(err, &fenced) {
			_, err = p.Prepare(b.ctx)
			must(b.tb, err)
			b.projectWith(p)
			return
		}
		must(b.tb, err)
	}
}

// project brings both groups up to the end of the log.
func (b *bundle) project() {
	b.tb.Helper()
	for _, g := range postgres.Groups() {
		must(b.tb, b.projector(g).CatchUp(b.ctx))
	}
}

// append records events, one second after the previous ones.
func (b *bundle) append(stream string, events ...domain.Event) event.Appended {
	b.tb.Helper()
	return b.appendUnder("", stream, events...)
}

// appendUnder is append with the data key of the message's recipient, which Queued
// creates.
func (b *bundle) appendUnder(key event.KeyID, stream string, events ...domain.Event) event.Appended {
	b.tb.Helper()
	b.now = b.now.Add(time.Second)
	list := make([]event.Proposed, len(events))
	for i, e := range events {
		list[i] = event.Proposed{ID: uuid.Must(uuid.NewV7()), Event: e, Meta: event.Meta{
			RecordedAt: b.now, Sender: "acme", By: domain.Platform("test"),
		}, Subject: event.Subject{Key: key}}
		if q, ok := e.(message.Queued); ok {
			list[i].Subject.People = []string{q.Personal.To}
		}
	}
	done, err := b.log.Append(b.ctx, stream, event.Any(), list...)
	must(b.tb, err)
	return done
}

func (b *bundle) digests() []postgres.Digest {
	b.tb.Helper()
	list, err := postgres.Digests(b.ctx, b.pool)
	must(b.tb, err)
	return list
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// read returns the events of messages, senders, and erasures in the log.
func (b *bundle) read(from event.Position) []event.Batch {
	b.tb.Helper()
	end, err := b.log.End(b.ctx)
	must(b.tb, err)
	var batches []event.Batch
	err = b.log.Subscribe(b.ctx, event.Subscription{After: from, Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams, event.ErasureStreams, event.SenderStreams}}},
		func(_ context.Context, batch event.Batch) error {
			if len(batch.Events) > 0 {
				batches = append(batches, batch)
			}
			if batch.Live || batch.Position >= end {
				return errRead
			}
			return nil
		})
	if !errors.Is(err, errRead) {
		b.tb.Fatal(err)
	}
	return batches
}

var errRead = errors.New("read to the end")

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
