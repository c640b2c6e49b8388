package postgres_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

var _ work.Limits = (*postgres.Limits)(nil)

// Several processes that ask at once never admit more people than the limit, and admit exactly that
// many. A person who counts is admitted again, and a day later others are.
func TestLimitsAreShared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.now
	p := work.Portfolio{ID: "p", People: 250, Senders: []string{"acme", "bolt"}}
	contact := func(n int) work.Contact {
		return work.Contact{Portfolio: p.ID, People: p.People, Person: fmt.Sprint("person ", n)}
	}
	first := postgres.NewLimits(b.pool)
	unknown, err := first.Reserve(b.ctx, now, []work.Contact{contact(0)})
	must(t, err)
	if !unknown[0].Unknown || unknown[0].Admitted {
		t.Fatalf("before it is counted: %+v", unknown)
	}
	counted, err := first.Begin(b.ctx, now, p, 0)
	must(t, err)
	if !counted {
		t.Fatal("it is not counted")
	}

	var admitted atomic.Int64
	var asking sync.WaitGroup
	for process := range 4 {
		asking.Go(func() {
			limits := postgres.NewLimits(b.pool)
			for batch := range 20 {
				var of []work.Contact
				for n := range 10 {
					of = append(of, contact(process*1000+batch*10+n), contact(process*1000+batch*10)) // one of them twice
				}
				all, err := limits.Reserve(b.ctx, now, of)
				if err != nil {
					t.Error(err)
					return
				}
				for n := 0; n < len(all); n += 2 {
					if all[n].Admitted {
						admitted.Add(1)
					}
				}
			}
		})
	}
	asking.Wait()
	if n := admitted.Load(); n != 250 {
		t.Fatalf("%d people were admitted", n)
	}
	usage := func(at time.Time) work.LimitUsage {
		t.Helper()
		list, err := first.Usage(b.ctx, at)
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("the portfolios are %+v", list)
		}
		return list[0]
	}
	if u := usage(now); u.Used != 250 || !u.ResetsAt.Equal(now.Add(work.LimitPeriod)) || !slices.Equal(u.Senders, p.Senders) {
		t.Errorf("the usage is %+v", u)
	}
	views, err := b.model().MessagingLimits(b.ctx, now)
	must(t, err)
	if l := views["bolt"]; l.Used != 250 || l.People != 250 || l.Portfolio != "p" {
		t.Errorf("the limit of a sender is %+v", l)
	}

	// A person is admitted again, and counts from then on.
	var again work.Contact
	for n := range 4 {
		known, err := first.Reserve(b.ctx, now.Add(time.Hour), []work.Contact{contact(n * 1000), contact(9000)})
		must(t, err)
		if known[1].Admitted {
			t.Error("one more person was admitted")
		}
		if known[0].Admitted {
			again = contact(n * 1000)
		}
	}
	later := now.Add(work.LimitPeriod)
	if u := usage(later); u.Used < 1 || u.Used > 4 {
		t.Errorf("the usage a day later is %+v", u)
	}
	tomorrow, err := first.Reserve(b.ctx, later, []work.Contact{contact(9000), again})
	must(t, err)
	if !tomorrow[0].Admitted || !tomorrow[1].Admitted {
		t.Errorf("a day later: %+v", tomorrow)
	}

	// What is returned is free, and a refusal admits no others.
	before := usage(later).Used
	must(t, first.Return(b.ctx, contact(9000)))
	must(t, first.Return(b.ctx, again)) // it was admitted more often
	if u := usage(later); u.Used != before-1 {
		t.Errorf("the usage is %+v after one of %d was returned", u, before)
	}
	must(t, first.Refused(b.ctx, "p", new(139999), later.Add(time.Hour)))
	refused, err := first.Reserve(b.ctx, later, []work.Contact{contact(9000), again})
	must(t, err)
	if refused[0].Admitted || !refused[1].Admitted || *usage(later).RefusedCode != 139999 {
		t.Errorf("after a refusal: %+v, %+v", refused, usage(later))
	}
	p.People = 1
	if _, err := first.Begin(b.ctx, later, p, 1<<40); err != nil || usage(later).People != 1 {
		t.Errorf("the limit is %+v: %v", usage(later), err)
	}
	must(t, first.Forget(b.ctx, "p"))
	if list, err := first.Usage(b.ctx, later); err != nil || len(list) > 0 {
		t.Errorf("the portfolios are %+v: %v", list, err)
	}
}

// A count begins with the people to whom templates were sent in the last 24 hours, except those who
// had an open window. Messages that await the limit are found by their age, and if
// the person wrote or is counted.
func TestMessagesAwaitALimit(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	number := func(n int) string { return fmt.Sprintf("+1415555%04d", n) }
	send := func(n int, template string, events ...message.Event) uuid.UUID {
		id := uuid.New()
		q := queued("acme", id.String())
		q.Personal.To = number(n)
		if q.Template = template; template != "" {
			q.Kind = message.KindTemplate
		}
		proposed := []event.Proposed{{Event: q}}
		for _, e := range events {
			proposed = append(proposed, event.Proposed{Event: e})
		}
		b.about(event.MessageStream(id), number(n), proposed...)
		return id
	}
	attempted := message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)}
	sent := func(n int) message.Sent {
		return message.Sent{Call: 1, At: b.now, Personal: message.SentPersonal{WhatsAppID: fmt.Sprint("wamid.", n)}}
	}
	send(1, "news", attempted, sent(1))
	send(1, "reminder", attempted, sent(2))
	send(2, "news", attempted) // in flight
	send(3, "", attempted, sent(3))
	send(4, "news", attempted, message.Failed{Call: 1, Attempt: 1, Failure: failure(), Final: true})
	b.wrote(number(5)[1:], "text", "", b.now.Add(-time.Hour))
	send(5, "news", attempted, sent(5))
	var ids []uuid.UUID
	for n := range 5 {
		ids = append(ids, send(10+n, "news", message.Deferred{Reason: message.DeferMessagingLimit, DueAt: b.now.Add(25*time.Hour + time.Duration(n)*time.Millisecond)}))
	}
	must(t, b.vault.FlushAllProcesses(b.ctx))

	limits, list := postgres.NewLimits(b.pool), postgres.NewWorkList(b.pool)
	p := work.Portfolio{ID: "p", People: 250, Senders: []string{"acme"}}
	end, err := b.log.End(b.ctx)
	must(t, err)
	if counted, err := limits.Begin(b.ctx, b.now, p, end); err != nil || counted {
		t.Fatalf("it is counted before the messages are projected: %v", err)
	}
	b.project()
	if counted, err := limits.Begin(b.ctx, b.now, p, end); err != nil || !counted {
		t.Fatalf("it is not counted: %v", err)
	}
	usage, err := limits.Usage(b.ctx, b.now)
	must(t, err)
	if usage[0].Used != 2 {
		t.Errorf("%d people count, want those who got templates, 1 and 2", usage[0].Used)
	}

	want := work.LimitRequest{Sender: "acme", Portfolio: "p", Room: 2, Most: 10, Counted: b.now.Add(time.Hour)}
	check := func(when string, want work.LimitRequest, of ...int) event.Position {
		t.Helper()
		items, _, views, err := list.Limited(b.ctx, b.now, []work.LimitRequest{want})
		must(t, err)
		var got []uuid.UUID
		for _, i := range items {
			got = append(got, i.MessageID)
			if !i.AwaitsLimit || i.State != work.Ready {
				t.Errorf("%s: the item is %+v", when, i)
			}
		}
		var expected []uuid.UUID
		for _, n := range of {
			expected = append(expected, ids[n])
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%s: the messages are %v, want %v", when, got, expected)
		}
		return views
	}
	want.Wrote = check("first those that wait longest", want, 0, 1)
	b.wrote(number(13)[1:], "text", "", b.now)
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	want.Wrote = check("and who wrote", want, 0, 1, 3)
	want.Room = 0
	check("no one wrote since", want)
	items, _, _, err := list.Limited(b.ctx, b.now, []work.LimitRequest{{Sender: "acme", Portfolio: "p", Room: 5, Counted: b.now}})
	must(t, err)
	if _, err := limits.Reserve(b.ctx, b.now.Add(time.Minute), []work.Contact{{Portfolio: "p", People: 250, Person: items[4].Recipient}}); err != nil {
		t.Fatal(err)
	}
	want.Counted = b.now
	check("a counted person", want, 4)

	fetched, _, err := list.Fetch(b.ctx, b.now.Add(time.Hour), []work.FetchRequest{{Sender: "acme", Priority: message.PriorityTransactional, Timed: 10, Fresh: 10}})
	must(t, err)
	if len(fetched) > 0 {
		t.Errorf("%d messages are due", len(fetched))
	}
}
