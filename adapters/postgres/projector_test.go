package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

func TestBatchHandedOverTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.append(event.MessageStream(id), queued("acme", "1"))
	b.append(event.MessageStream(id), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)})
	for _, g := range postgres.Groups() {
		p := b.projector(g)
		from, err := p.Prepare(b.ctx)
		must(t, err)
		batches := b.read(from)
		for range 2 {
			for _, batch := range batches {
				must(t, p.Apply(b.ctx, batch))
			}
		}
	}
	ledger, err := postgres.NewReadModel(b.pool).Ledger(b.ctx, nil, b.now)
	must(t, err)
	if ledger.Accepted != 1 || ledger.Open != 1 || ledger.WorkItems != 1 || !ledger.Balanced {
		t.Errorf("ledger %+v", ledger)
	}
}

func TestSecondRunOfAGroupIsFenced(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]int{"live": 0, "rebuild": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.append(event.MessageStream(uuid.New()), queued("acme", "1"))
			b.append(event.MessageStream(uuid.New()), queued("acme", "2"))
			first, second := b.projectorHolding(postgres.Views, held), b.projectorHolding(postgres.Views, held)
			_, err := first.Prepare(b.ctx)
			must(t, err)
			_, err = second.Prepare(b.ctx)
			must(t, err)
			batches := b.read(0)
			must(t, first.Apply(b.ctx, batches[0]))
			before := b.digests()
			var fenced *postgres.FencedError
			if err := second.Commit(b.ctx, batches[0]); !errors.As(err, &fenced) || fenced.Group != postgres.Views {
				t.Fatalf("an attempt of the second run: %v", err)
			}
			if err := second.Apply(b.ctx, batches[0]); !errors.As(err, &fenced) {
				t.Fatalf("second run: %v", err)
			}
			if after := b.digests(); !slices.Equal(before, after) {
				t.Errorf("the fenced run has written:\n%v\n%v", before, after)
			}
		})
	}
}

// Remembered rows are not used if the tables can differ from them.
func TestRowsAreReadAgain(t *testing.T) {
	t.Parallel()
	const anna = "+14155550101"
	attempted := func(b *bundle, stream string) {
		b.append(stream, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)})
	}
	sent := func(b *bundle, stream string) {
		b.about(stream, anna, event.Proposed{Event: message.Sent{
			Call: 1, At: b.now, By: message.ByAnswer, Personal: message.SentPersonal{WhatsAppID: "wamid.1"},
		}})
	}
	for name, project := range map[string]func(b *bundle, p *postgres.Projector, stream string){
		"after an attempt with a lost response": func(b *bundle, p *postgres.Projector, stream string) {
			attempted(b, stream)
			sent(b, stream)
			batch := b.read(p.Position())[0]
			must(b.tb, p.ApplyAgain(b.ctx, batch, func() error { return p.CommitLosingResponse(b.ctx, batch) }))
		},
		"after one that another process made first": func(b *bundle, p *postgres.Projector, stream string) {
			attempted(b, stream)
			sent(b, stream)
			_, err := p.Prepare(b.ctx) // it reads the rows in the attempt itself
			must(b.tb, err)
			other, batch := b.views(10), b.read(p.Position())[0]
			must(b.tb, p.ApplyAgain(b.ctx, batch, func() error { return other.Commit(b.ctx, batch) }))
		},
		"by a run that begins": func(b *bundle, p *postgres.Projector, stream string) {
			attempted(b, stream)
			sent(b, stream)
			b.projectWith(b.views(10))
			_, err := p.Prepare(b.ctx)
			must(b.tb, err)
		},
		"after one that failed for another event": func(b *bundle, p *postgres.Projector, stream string) {
			// The batch fails because of the second event and is bisected.
			_, err := b.pool.Exec(b.ctx, `ALTER TABLE sender ADD CONSTRAINT odd CHECK (id <> 'odd')`)
			must(b.tb, err)
			for _, id := range []string{"even", "odd"} {
				b.append(event.SenderStream(id), sender.SenderRegistered{Sender: id, PhoneNumberID: id, MessagesPerSecond: 80})
			}
			attempted(b, stream)
			sent(b, stream)
			b.projectWith(p)
			_, err = b.pool.Exec(b.ctx, `ALTER TABLE sender DROP CONSTRAINT odd`)
			must(b.tb, err)
			projected, err := p.RetryParked(b.ctx)
			must(b.tb, err)
			if projected != 1 {
				b.tb.Errorf("%d streams were parked, want one", projected)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupSealed(t)
			stream := event.MessageStream(uuid.Must(uuid.NewV7()))
			q := queued("acme", "1")
			q.Personal.To = anna
			b.about(stream, anna, event.Proposed{Event: q})
			must(t, b.vault.FlushAllProcesses(b.ctx))
			p := b.views(10)
			b.projectWith(p)
			project(b, p, stream)
			b.append(stream, message.Delivered{Call: 1, At: b.now, CalledAt: b.now})
			b.projectWith(p)
			b.project()
			done, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard(), Vault: b.vault})
			must(t, err)
			if !slices.Equal(done.Before, done.After) {
				t.Errorf("a rebuild gives other rows:\n%v\n%v", done.Before, done.After)
			}
		})
	}
}

// A projector is live after a batch that made it so, even if the response to the commit was
// lost: the next event can be a long time away.
func TestLiveSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append(event.SenderStream("acme"), sender.SenderRegistered{Sender: "acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	p := b.views(10)
	batch := b.read(p.Position())[0]
	batch.Live = true
	must(t, p.ApplyAgain(b.ctx, batch, func() error { return p.CommitLosingResponse(b.ctx, batch) }))
	if p.Position() != batch.Position || !p.Live() {
		t.Errorf("at position %d, live %t; want %d and live", p.Position(), p.Live(), batch.Position)
	}
}

// A rebuild fences projectors, even while the log is quiet, so that no remembered old row
// gets into the fresh tables.
func TestARebuildFencesWhoProjects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, stream := b.queuedAndProjected()
	b.rebuild()
	b.append(stream, message.Cancelled{})
	b.wantEpochChanged(p.Apply(b.ctx, b.read(p.Position())[0]))
	_, err := p.Prepare(b.ctx)
	must(t, err)
	b.projectWith(p)
	b.project()
	b.rebuild()
}

// queuedAndProjected returns a message's stream and a projector that can continue it.
func (b *bundle) queuedAndProjected() (*postgres.Projector, string) {
	b.tb.Helper()
	stream := event.MessageStream(uuid.New())
	b.append(stream, queued("acme", "1"))
	b.project()
	return b.views(10), stream
}

// wantEpochChanged checks that a batch was refused because of another epoch.
func (b *bundle) wantEpochChanged(err error) {
	b.tb.Helper()
	var fenced *postgres.FencedError
	if !errors.As(err, &fenced) || !fenced.EpochChanged {
		b.tb.Fatalf("it continues with rows that another has written: %v", err)
	}
}

// So does a rebuild that a batch has waited for.
func TestARebuildFencesABatchThatWaitsForIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, stream := b.queuedAndProjected()

	// The swap waits for this, and holds the locks on the groups' rows.
	renaming, err := b.pool.Begin(b.ctx)
	must(t, err)
	defer func() { _ = renaming.Rollback(b.ctx) }()
	_, err = renaming.Exec(b.ctx, `ALTER SCHEMA `+postgres.ReadModelSchema+` RENAME TO elsewhere`)
	must(t, err)
	rebuilt, applied := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()})
		rebuilt <- err
	}()
	b.awaitBlocked("ALTER SCHEMA%")
	b.append(stream, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)})
	b.append(event.MessageStream(uuid.New()), queued("acme", "2"))
	batch := b.read(p.Position())[0]
	go func() { applied <- p.Apply(b.ctx, batch) }()
	b.awaitBlocked("UPDATE projection%")
	must(t, renaming.Rollback(b.ctx))

	must(t, <-rebuilt)
	b.wantEpochChanged(<-applied)
	b.project()
	b.rebuild()
	parked, err := postgres.NewReadModel(b.pool).ParkedStreams(b.ctx)
	must(t, err)
	if len(parked) != 0 {
		t.Errorf("parked: %+v", parked)
	}
}

// awaitBlocked waits until a statement like this one waits for a lock.
func (b *bundle) awaitBlocked(statement string) {
	b.tb.Helper()
	polltest.Until(b.tb, statement+" waits for a lock", func() (waits bool) {
		must(b.tb, b.pool.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1)`, statement).Scan(&waits))
		return waits
	})
}

// Another process that projects a parked stream also writes, although the position stays the
// same.
func TestAMendedStreamFencesWhoProjects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(b.ctx, `ALTER TABLE message ADD CONSTRAINT odd CHECK (status <> 'CANCELLED')`)
	must(t, err)
	stream := event.MessageStream(uuid.New())
	b.append(stream, queued("acme", "1"))
	p := b.views(10)
	b.projectWith(p)
	b.append(stream, message.Cancelled{})
	b.projectWith(p)
	_, err = b.pool.Exec(b.ctx, `ALTER TABLE message DROP CONSTRAINT odd`)
	must(t, err)
	projected, err := b.views(10).RetryParked(b.ctx)
	must(t, err)
	if projected != 1 {
		t.Fatalf("%d streams were projected, want one", projected)
	}
	b.append(event.MessageStream(uuid.New()), queued("acme", "2"))
	b.wantEpochChanged(p.Apply(b.ctx, b.read(p.Position())[0]))
	b.projectWith(p)
	b.project()
	b.rebuild()
}

func TestAnotherLogStartsAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append(event.MessageStream(uuid.New()), queued("acme", "1"))
	b.project()
	before := b.digests()
	b.logID = "another"
	for _, g := range postgres.Groups() {
		from, err := b.projector(g).Prepare(b.ctx)
		must(t, err)
		if from != 0 {
			t.Errorf("%s continues at %d", g, from)
		}
	}
	for _, d := range b.digests() {
		if d.Rows != 0 {
			t.Errorf("table %s still has %d rows", d.Table, d.Rows)
		}
	}
	b.project()
	if after := b.digests(); !slices.Equal(before, after) {
		t.Errorf("rows of the same events differ:\n%v\n%v", before, after)
	}
}

// A message's stream that begins with another event than Queued can't be projected.
func TestPoisonIsParkedWithItsStreamAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad := uuid.New(), uuid.New()
	b.append(event.MessageStream(bad), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now})
	b.append(event.MessageStream(good), queued("acme", "1"))
	b.append(event.MessageStream(bad), message.Expired{})
	b.append(event.MessageStream(good), message.Cancelled{})
	b.project()

	rows, err := postgres.NewReadModel(b.pool).MessagesByID(b.ctx, []uuid.UUID{good, bad})
	must(t, err)
	if len(rows) != 1 || rows[0].ID != good || rows[0].Status != message.StatusCancelled {
		t.Errorf("rows %+v", rows)
	}
	state, err := postgres.NewReadModel(b.pool).ReadModel(b.ctx, b.now)
	must(t, err)
	if state.Parked != 1 || state.Behind != 0 {
		t.Errorf("read model %+v", state)
	}
	// The stream stays parked after a restart.
	b.append(event.MessageStream(bad), queued("acme", "2"))
	b.project()
	rows, err = postgres.NewReadModel(b.pool).MessagesByID(b.ctx, []uuid.UUID{bad})
	must(t, err)
	if len(rows) != 0 {
		t.Errorf("parked stream is projected: %+v", rows)
	}
}

// A parked stream is projected as soon as it can be, with the same result as without
// parking.
func TestParkedStreamIsProjectedOnceItCanBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(b.ctx, `ALTER TABLE message ADD CONSTRAINT odd CHECK (template <> 'odd')`)
	must(t, err)
	odd, even := uuid.New(), uuid.New()
	q := queued("acme", "1")
	q.Template = "odd"
	b.append(event.MessageStream(odd), q)
	b.append(event.MessageStream(even), queued("acme", "2"))
	b.append(event.MessageStream(odd), message.Cancelled{})
	b.project()
	model := postgres.NewReadModel(b.pool)
	parked, err := model.ParkedStreams(b.ctx)
	must(t, err)
	if len(parked) != 1 || parked[0].Stream != event.MessageStream(odd) || parked[0].Type != "Queued" || parked[0].Group != string(postgres.Views) || !strings.Contains(parked[0].Error, "odd") {
		t.Fatalf("parked are %+v; want the stream of %s", parked, odd)
	}

	views := b.projector(postgres.Views)
	_, err = views.Prepare(b.ctx)
	must(t, err)
	if projected, err := views.RetryParked(b.ctx); err != nil || projected != 0 {
		t.Errorf("while it cannot be: %d streams, %v; want none", projected, err)
	}
	_, err = b.pool.Exec(b.ctx, `ALTER TABLE message DROP CONSTRAINT odd`)
	must(t, err)
	if projected, err := views.RetryParked(b.ctx); err != nil || projected != 1 {
		t.Fatalf("once it can be: %d streams, %v; want one", projected, err)
	}
	rows, err := model.MessagesByID(b.ctx, []uuid.UUID{odd})
	must(t, err)
	if len(rows) != 1 || rows[0].Status != message.StatusCancelled {
		t.Errorf("its row is %+v; want it cancelled", rows)
	}
	// The stream continues like any other.
	b.append(event.MessageStream(even), message.Cancelled{})
	must(t, views.CatchUp(b.ctx))
	if parked, err = model.ParkedStreams(b.ctx); err != nil || len(parked) != 0 {
		t.Errorf("parked are %+v, %v; want none", parked, err)
	}
	must(t, b.projector(postgres.Worklist).CatchUp(b.ctx))
	if v, found := b.verify(); len(found) > 0 || v.Rows == 0 {
		t.Errorf("of %d rows these are not as the log has them: %v", v.Rows, found)
	}
}

// A value that Postgres refuses is the event's fault, not the store's.
func TestValueThatPostgresRefusesIsParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, table := range []string{"message", "work_item"} {
		_, err := b.pool.Exec(b.ctx, `ALTER TABLE `+table+` ALTER COLUMN template TYPE varchar(8)`)
		must(t, err)
	}
	q := queued("acme", "1")
	q.Template = "far_too_long"
	b.append(event.MessageStream(uuid.New()), q)
	b.append(event.MessageStream(uuid.New()), queued("acme", "2"))
	b.project()
	ledger, err := postgres.NewReadModel(b.pool).Ledger(b.ctx, nil, b.now)
	must(t, err)
	if ledger.Accepted != 1 || ledger.WorkItems != 1 {
		t.Errorf("ledger %+v", ledger)
	}
}

// Run follows the log, reports commits, and ends with its context.
func TestRunFollowsTheLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	commits := make(chan postgres.Commit, 100)
	p, err := postgres.NewProjector(postgres.ProjectorOptions{
		Group: postgres.Worklist, Log: b.log, Pool: b.pool, LogID: b.logID, Logger: discard(),
		OnCommit: func(c postgres.Commit) { commits <- c },
	})
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	// Collects the lanes with new work until the position is reached.
	arrivals := func(until event.Position) (found []work.NewWork) {
		t.Helper()
		timeout := time.After(patience)
		for {
			select {
			case c := <-commits:
				if found = append(found, c.Arrivals...); c.Position >= until {
					return found
				}
			case <-timeout:
				t.Fatal("no commit")
			}
		}
	}
	stream := event.MessageStream(uuid.New())
	done := b.append(stream, queued("acme", "1"))
	if found, want := arrivals(done.Position), (work.NewWork{Sender: "acme", Priority: message.PriorityTransactional}); !slices.Equal(found, []work.NewWork{want}) {
		t.Errorf("after Queued %+v", found)
	}
	items, position, err := postgres.NewWorkList(b.pool).Fetch(b.ctx, b.now, []work.FetchRequest{
		{Sender: "acme", Priority: message.PriorityTransactional, Fresh: 10, Timed: 10},
	})
	must(t, err)
	if len(items) != 1 || position < done.Position || !items[0].Fresh || items[0].Recipient != "+14155550101" {
		t.Errorf("fetched %+v at %d", items, position)
	}
	// A lane knows what it has called. An item that waits again is new to it.
	called := b.append(stream, attempt(1, 0))
	if found := arrivals(called.Position); len(found) > 0 {
		t.Errorf("after SendAttempted %+v", found)
	}
	deferred := b.append(stream, message.Deferred{Call: 1, Reason: message.DeferNotCalled, DueAt: b.now})
	if found := arrivals(deferred.Position); !slices.Equal(found, []work.NewWork{{Sender: "acme"}}) {
		t.Errorf("after Deferred %+v", found)
	}
	cancel()
	must(t, <-ended)
}

func TestSendersAreFolded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream := event.SenderStream("acme")
	b.append(stream, sender.SenderRegistered{Sender: "acme", Name: "Acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	b.append(stream, sender.RateChanged{MessagesPerSecond: 20}, sender.SenderHeld{Fault: sender.Fault{Category: "auth", Message: "token"}})
	held := b.now
	q := queued("acme", "1")
	q.SendAt = b.now.Add(time.Hour)
	b.append(event.MessageStream(uuid.New()), q)
	b.append(event.MessageStream(uuid.New()), queued("acme", "2"))
	b.project()
	got, found, err := postgres.NewReadModel(b.pool).Sender(b.ctx, "acme", b.now.Add(time.Second))
	must(t, err)
	if !found || got.Rate != 20 || got.State() != sender.StateHeld || !got.Hold.Since.Equal(held) || got.Revision != 2 {
		t.Errorf("sender %+v", got)
	}
	if q := got.Queue; q.Depth != 1 || q.Scheduled != 1 || q.OldestDueAge == nil || *q.OldestDueAge != time.Second || q.Lanes[1].Depth != 1 {
		t.Errorf("queue %+v", q)
	}
}

func TestListsAreFiltered(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	var ids []uuid.UUID
	for i := range 5 {
		id := uuid.New()
		ids = append(ids, id)
		q := queued("acme", fmt.Sprint(i))
		q.Personal.Labels = append(q.Personal.Labels, message.Label{Name: "n", Value: fmt.Sprint(i)})
		b.append(event.MessageStream(id), q)
		b.append(event.MessageStream(id), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now})
	}
	b.append(event.MessageStream(ids[3]), message.Failed{Call: 1, Failure: failure()},
		message.DeadLettered{Attempts: 1, Failure: failure()})
	wamid := "wamid.four"
	b.append(event.MessageStream(ids[4]), message.Sent{Call: 1, At: b.now, Personal: message.SentPersonal{WhatsAppID: wamid}})
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	read := b.model()

	page, err := read.Messages(b.ctx, query.MessageFilter{}, query.Page{First: 2})
	must(t, err)
	if len(page.Messages) != 2 || !page.HasNextPage || page.Messages[0].ID != ids[4] {
		t.Fatalf("first page %+v", page)
	}
	page, err = read.Messages(b.ctx, query.MessageFilter{}, query.Page{First: 3, After: page.Messages[1].QueuedPosition})
	must(t, err)
	if len(page.Messages) != 3 || page.HasNextPage || page.Messages[0].ID != ids[2] {
		t.Fatalf("second page %+v", page)
	}

	key, to, acme := "2", "+14155550101", "acme"
	code, category, otp := 131000, message.CategoryServer, message.PriorityOTP
	for name, test := range map[string]struct {
		filter query.MessageFilter
		want   []uuid.UUID
	}{
		"all of a sender":  {query.MessageFilter{SenderID: &acme, To: &to}, []uuid.UUID{ids[4], ids[3], ids[2], ids[1], ids[0]}},
		"none may be seen": {query.MessageFilter{SenderIDs: []string{}}, nil},
		"label":            {query.MessageFilter{Labels: []message.Label{{Name: "n", Value: "1"}, {Name: "campaign", Value: "spring"}}}, ids[1:2]},
		"idempotency key":  {query.MessageFilter{IdempotencyKey: &key}, ids[2:3]},
		"whatsapp id":      {query.MessageFilter{WhatsAppID: &wamid}, ids[4:]},
		"status":           {query.MessageFilter{Status: []message.Status{message.StatusDeadLettered}}, ids[3:4]},
		"status and error": {query.MessageFilter{Status: []message.Status{message.StatusSent}, ErrorCode: &code}, nil},
		"error":            {query.MessageFilter{ErrorCode: &code, ErrorCategory: &category}, ids[3:4]},
		"priority":         {query.MessageFilter{Priority: &otp}, nil},
	} {
		page, err := read.Messages(b.ctx, test.filter, query.Page{First: 50})
		must(t, err)
		var got []uuid.UUID
		for _, m := range page.Messages {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		counts, err := read.MessageCounts(b.ctx, test.filter)
		must(t, err)
		var n int64
		for _, c := range counts {
			n += c.Count
		}
		if n != int64(len(test.want)) {
			t.Errorf("%s: counted %v, want %d", name, counts, len(test.want))
		}
	}

	dead, err := read.DeadLetters(b.ctx, query.DeadLetterFilter{Category: &category, Label: &message.Label{Name: "n", Value: "3"}}, query.Page{First: 10})
	must(t, err)
	if dead.TotalCount != 1 || len(dead.DeadLetters) != 1 || dead.DeadLetters[0].ID != ids[3] || dead.ByCategory[0].Category != category {
		t.Errorf("dead letters %+v", dead)
	}
	found, ok, err := read.MessageByWhatsAppID(b.ctx, wamid)
	must(t, err)
	if !ok || found.MessageID != ids[4] || found.Call != 1 {
		t.Errorf("found %+v", found)
	}
	if strings.Contains(fmt.Sprint(b.digests()), wamid) {
		t.Error("digests show personal data")
	}
}

// Interrupted connections, at any point, neither end the run nor count anything twice.
func TestProjectorOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	ended := make(chan error, len(postgres.Groups()))
	var running []*postgres.Projector
	for _, g := range postgres.Groups() {
		p := b.projector(g)
		running = append(running, p)
		go func() { ended <- p.Run(ctx) }()
	}
	const messages = 200
	for i := range messages {
		b.append(event.MessageStream(uuid.New()), queued("acme", fmt.Sprint(i)))
		if i%10 == 0 {
			_, err := b.pool.Exec(b.ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			if err != nil && !strings.Contains(err.Error(), "57P01") && b.ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	end, err := b.log.End(b.ctx)
	must(t, err)
	for _, p := range running {
		polltest.Value(t, fmt.Sprintf("%s has reached position %d", p.Group(), end),
			func() (event.Position, error) { return p.Position(), nil },
			func(at event.Position) bool { return at >= end })
	}
	read := postgres.NewReadModel(b.pool)
	ledger := polltest.Value(t, "the ledger can be read on a connection that was not cut",
		func() (query.Ledger, error) { return read.Ledger(b.ctx, nil, b.now) },
		func(query.Ledger) bool { return true })
	if ledger.Accepted != messages || ledger.WorkItems != messages || !ledger.Balanced || !ledger.Compared {
		t.Errorf("ledger %+v", ledger)
	}
	cancel()
	for range running {
		must(t, <-ended)
	}
}

// Projectors that run during a rebuild are fenced at most, and continue with the new model.
func TestRebuildBesideRunningProjectors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	ended := make(chan error, len(postgres.Groups()))
	for _, g := range postgres.Groups() {
		p := b.projector(g)
		go func() {
			for {
				err := p.Run(ctx)
				if fenced := (*postgres.FencedError)(nil); !errors.As(err, &fenced) {
					ended <- err
					return
				}
			}
		}()
	}
	const messages = 100
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range messages {
			b.append(event.MessageStream(uuid.New()), queued("acme", fmt.Sprint(i)))
		}
	}()
	for range 3 {
		b.rebuild()
	}
	<-written
	read := postgres.NewReadModel(b.pool)
	polltest.Value(t, "the ledger has all messages and balances",
		func() (query.Ledger, error) { return read.Ledger(b.ctx, nil, start) },
		func(l query.Ledger) bool {
			return l.Accepted == messages && l.WorkItems == messages && l.Balanced && l.Compared
		})
	cancel()
	for range postgres.Groups() {
		must(t, <-ended)
	}
}

// A lost probe gives its attempt back, because it says nothing about the message. The rows
// have the aggregate's count whether or not the event names the number of attempts, which
// older versions didn't record, and even if the call began in an earlier batch.
func TestLostProbeGivesItsAttemptBack(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(*bundle){
		"one batch":   func(*bundle) {},
		"two batches": func(b *bundle) { b.project() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			id := uuid.New()
			stream := event.MessageStream(id)
			b.append(stream, queued("acme", "1"))
			b.append(stream, message.SendAttempted{Call: 1, Attempt: 1, Probe: true, AnswerBy: b.now.Add(time.Minute)})
			between(b)
			b.append(stream, message.OutcomeUnknown{Call: 1, Cause: "timeout", SettleBy: b.now.Add(time.Minute)})
			b.project()
			var listed, open int
			must(t, b.pool.QueryRow(b.ctx, `SELECT m.attempts, w.attempt FROM message m JOIN work_item w ON w.message_id = m.id`).Scan(&listed, &open))
			if listed != 0 || open != 0 {
				t.Errorf("message.attempts is %d and work_item.attempt %d, want 0", listed, open)
			}
		})
	}
}

// A batch that takes longer than a transaction can is divided until its parts don't.
func TestABatchThatTakesTooLongIsDivided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const most = 3 // more rows than that hang
	_, err := b.pool.Exec(b.ctx, fmt.Sprintf(`
		CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF (SELECT count(*) FROM added) > %d THEN PERFORM pg_sleep(3600); END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER hang AFTER INSERT ON message REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION hang()`, most))
	must(t, err)
	const queuedAtOnce = 10
	for i := range queuedAtOnce {
		b.append(event.MessageStream(uuid.New()), queued("acme", fmt.Sprint(i)))
	}
	p, err := postgres.NewProjector(b.projectorOptions(postgres.Views).Within(500 * time.Millisecond))
	must(t, err)
	_, err = p.Prepare(b.ctx)
	must(t, err)
	b.projectWith(p)
	var rows int
	must(t, b.pool.QueryRow(b.ctx, `SELECT count(*) FROM message`).Scan(&rows))
	if rows != queuedAtOnce {
		t.Errorf("%d of %d messages are projected", rows, queuedAtOnce)
	}
}
