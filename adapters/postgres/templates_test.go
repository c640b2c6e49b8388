package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

// subscribed is a log that remembers where the last subscription started.
type subscribed struct {
	event.Log

	after atomic.Uint64
}

func (s *subscribed) Subscribe(ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error) error {
	s.after.Store(uint64(sub.After))
	return s.Log.Subscribe(ctx, sub, handle)
}

// Templates that start from the read models know the same as those that read the whole log.
func TestTemplatesStartFromASnapshot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	clock := func() time.Time { return start.Add(time.Hour) }
	fromRows := func(logID string) repository.TemplateSnapshot {
		return func(ctx context.Context, add func(template.Template, event.Revision), list func(string, int)) (event.Position, error) {
			return b.model().TemplateSnapshot(ctx, logID, add, list)
		}
	}
	begin := func(snapshot repository.TemplateSnapshot) (*repository.Templates, event.Position) {
		t.Helper()
		log := &subscribed{Log: b.log}
		known := repository.NewTemplates(log, clock, uuid.New, discard())
		known.From(snapshot)
		ctx, cancel := context.WithCancel(b.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = known.Run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
		polltest.Until(t, "the templates are known", known.Live)
		return known, event.Position(log.after.Load())
	}

	author, after := begin(fromRows(b.logID))
	if after != 0 {
		t.Errorf("without rows, the log is followed after %d", after)
	}
	listing := func(name, status string) template.Listing {
		return template.Listing{
			Ref:    template.Ref{BusinessAccountID: "1", Name: name, Language: "en", ID: "7"},
			Status: status, Category: "UTILITY", Quality: "GREEN",
			Details: template.Details{Components: json.RawMessage(`[{"type": "BODY", "text": "<b> {{1}}", "add_security_recommendation": true}]`)},
		}.Normalize()
	}
	sync := func(l template.Listing, requested time.Time) {
		t.Helper()
		_, err := author.Change(b.ctx, l.Ref, event.Cause{By: domain.Platform("test")}, func(known template.Template) []domain.Event {
			return template.Sync(known, l, requested)
		})
		must(t, err)
	}
	sync(listing("order", "APPROVED"), start)
	sync(listing("sale", "PAUSED"), start)
	sync(listing("sale", "APPROVED"), start.Add(time.Minute))
	must(t, author.Listed(b.ctx, "1", 2, start, event.Cause{By: domain.Platform("test")}))
	views := b.projector(postgres.Views)
	must(t, views.CatchUp(b.ctx))
	sync(listing("order", "PAUSED"), start.Add(2*time.Minute)) // the rows lack it
	sync(listing("new", "APPROVED"), start.Add(2*time.Minute))

	check := func(name string, known *repository.Templates) {
		t.Helper()
		for _, l := range []template.Listing{listing("order", "PAUSED"), listing("sale", "APPROVED"), listing("new", "APPROVED")} {
			if !known.Says(l) {
				t.Errorf("%s: a sync would record %s again", name, l.Name)
			}
		}
		if known.Sendability("1", "order/en") != template.Waiting || known.Sendability("1", "sale/en") != template.Sendable {
			t.Errorf("%s: the statuses are wrong", name)
		}
		for field, m := range map[string]message.Template{
			"name":       {Name: "sael", Language: message.Language{Code: "en"}},
			"components": {Name: "sale", Language: message.Language{Code: "en"}},
		} {
			var e *domain.Error
			if err := known.Check("1", m); !errors.As(err, &e) || e.Field != field {
				t.Errorf("%s: %v, want an error of %s", name, err, field)
			}
		}
	}
	known, after := begin(fromRows(b.logID))
	if after == 0 {
		t.Error("the log is followed from its start")
	}
	check("from the rows", known)
	for name, snapshot := range map[string]repository.TemplateSnapshot{
		"rows of another log": fromRows("another"),
		"rows that the log does not reach": func(context.Context, func(template.Template, event.Revision), func(string, int)) (event.Position, error) {
			return 1 << 40, nil
		},
	} {
		known, after := begin(snapshot)
		if after != 0 {
			t.Errorf("%s: the log is followed after %d", name, after)
		}
		check(name, known)
	}
	_, err := b.pool.Exec(b.ctx, `INSERT INTO parked_event (projection, stream, revision, position, type, error)
		VALUES ('views', 'template-1-sale-en', 1, 1, 'TemplateSynced', 'odd')`)
	must(t, err)
	known, after = begin(fromRows(b.logID))
	if after != 0 {
		t.Errorf("with a parked stream, the log is followed after %d", after)
	}
	check("a parked stream", known)
}
