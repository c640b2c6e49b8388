package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// The read model lists messages whose delivery will be overdue, until that or the delivery is
// recorded, and counts those that are overdue.
func TestOverdueDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list, model := postgres.NewWorkList(b.pool), postgres.NewReadModel(b.pool)
	send := func(sender string, within time.Duration) uuid.UUID {
		id := uuid.New()
		q := queued(sender, id.String())
		q.Priority, q.DeliverWithinSeconds = message.PriorityOTP, within.Seconds()
		b.append(event.MessageStream(id), q, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)},
			message.Sent{Call: 1, At: b.now, By: message.ByAnswer})
		return id
	}
	const within = 20 * time.Second
	plain, delivered, late, failed, other := send("acme", 0), send("acme", within), send("acme", within), send("acme", within), send("bolt", 2*within)
	b.project()

	ids := func(at time.Time, senders ...string) (found []uuid.UUID) {
		t.Helper()
		// The batch that reached the end of the log need not have known that.
		_, err := b.pool.Exec(b.ctx, `UPDATE projection SET live = true`)
		must(t, err)
		items, position, err := list.Undelivered(b.ctx, at, senders, 10)
		must(t, err)
		end, err := b.log.End(b.ctx)
		must(t, err)
		if position == 0 || position > end {
			t.Errorf("position %d, the log ends at %d", position, end)
		}
		for _, i := range items {
			found = append(found, i.MessageID)
			if i.Revision == 0 || i.Priority != message.PriorityOTP || i.DueAt.IsZero() || i.DueAt.After(at) {
				t.Errorf("item %+v", i)
			}
		}
		return found
	}
	base, both := b.now, []string{"acme", "bolt"}
	for name, c := range map[string]struct {
		at      time.Time
		senders []string
		want    []uuid.UUID
	}{
		"before":      {base, both, nil},
		"one sender":  {base.Add(time.Hour), []string{"bolt"}, []uuid.UUID{other}},
		"the earlier": {base.Add(within), both, []uuid.UUID{delivered, late, failed}},
		"all":         {base.Add(time.Hour), both, []uuid.UUID{delivered, late, failed, other}},
	} {
		if got := ids(c.at, c.senders...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	since := base.Add(within)
	b.append(event.MessageStream(delivered), message.Delivered{Call: 1, At: base})
	b.append(event.MessageStream(failed), message.Failed{Call: 1, Attempt: 1, Final: true, AfterAcceptance: true, Failure: failure(), At: base})
	b.append(event.MessageStream(late), message.DeliveryOverdue{Since: since})
	b.append(event.MessageStream(other), message.DeliveryOverdue{Since: since})
	b.project()
	if got := ids(base.Add(time.Hour), both...); len(got) > 0 {
		t.Errorf("after the events, the delivery of %v is awaited", got)
	}
	overdue, not := true, false
	wantOverdue := func(ledger int64, counted int64, want ...uuid.UUID) {
		t.Helper()
		for filter, n := range map[*bool]int{&overdue: len(want), &not: 5 - len(want)} {
			page, err := model.Messages(b.ctx, query.MessageFilter{Overdue: filter}, query.Page{First: 10})
			must(t, err)
			if len(page.Messages) != n {
				t.Errorf("%d messages with overdue: %t, want %d", len(page.Messages), *filter, n)
			}
			for _, m := range page.Messages {
				if is := m.OverdueSince != nil; is != *filter || is != slices.Contains(want, m.ID) || is && !m.OverdueSince.Equal(since) {
					t.Errorf("message %s with overdue: %t is overdue since %v", m.ID, *filter, m.OverdueSince)
				}
			}
			counts, err := model.MessageCounts(b.ctx, query.MessageFilter{Overdue: filter})
			must(t, err)
			sum := 0
			for _, c := range counts {
				sum += int(c.Count)
			}
			if sum != n {
				t.Errorf("%d messages are counted with overdue: %t, want %d", sum, *filter, n)
			}
		}
		l, err := model.Ledger(b.ctx, nil, b.now)
		must(t, err)
		if l.Overdue != ledger || l.Accepted != 5 || !l.Balanced {
			t.Errorf("ledger %+v, want %d overdue", l, ledger)
		}
		m, err := model.Metrics(b.ctx, nil, time.Hour, b.now.Add(time.Second))
		must(t, err)
		if m.Overdue != counted {
			t.Errorf("%d became overdue, want %d", m.Overdue, counted)
		}
		past, err := model.PastMessages(b.ctx, nil, event.MaxPosition, event.MaxPosition, 10)
		must(t, err)
		if past.Overdue != ledger {
			t.Errorf("%d were overdue, want %d", past.Overdue, ledger)
		}
	}
	wantOverdue(2, 2, late, other)

	// A delivery after all ends it, but it happened.
	b.append(event.MessageStream(late), message.Read{Call: 1, At: base})
	b.project()
	wantOverdue(1, 2, other)
	_ = plain

	before := b.digests()
	_, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()})
	must(t, err)
	if after := b.digests(); !slices.Equal(before, after) {
		t.Errorf("digests before the rebuild\n%v\nafter it\n%v", before, after)
	}
	wantOverdue(1, 2, other)
}

// While the read model is far behind the log, it lists no deliveries: most of them are
// recorded by then.
func TestUndeliveredMessagesAreNotListedWhileTheReadModelIsFarBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	q := queued("acme", "1")
	q.DeliverWithinSeconds = 1
	b.append(event.MessageStream(id), q, message.SendAttempted{Call: 1, Attempt: 1}, message.Sent{Call: 1, At: b.now})
	b.project()
	for _, c := range []struct {
		live  bool
		after time.Duration
		want  int
	}{{true, time.Hour, 1}, {false, 30 * time.Second, 1}, {false, 2 * time.Minute, 0}} {
		_, err := b.pool.Exec(b.ctx, `UPDATE projection SET live = $1`, c.live)
		must(t, err)
		items, _, err := postgres.NewWorkList(b.pool).Undelivered(b.ctx, b.now.Add(c.after), []string{"acme"}, 10)
		must(t, err)
		if len(items) != c.want {
			t.Errorf("live: %t, %s after the last event: %d items, want %d", c.live, c.after, len(items), c.want)
		}
	}
}
