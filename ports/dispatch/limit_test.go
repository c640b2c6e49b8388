package dispatch_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
	"github.com/waypost/waypost/ports/dispatch/guard"
)

// counted are messaging limits in memory, as the tables in Postgres have them: they outlive
// processes.
type counted struct {
	mu         sync.Mutex
	portfolios map[string]*countedPortfolio
}

type countedPortfolio struct {
	work.LimitUsage

	at map[string]time.Time // by person
}

func (p *countedPortfolio) expire(now time.Time) {
	maps.DeleteFunc(p.at, func(_ string, at time.Time) bool { return !at.After(now.Add(-work.LimitPeriod)) })
}

func (c *counted) Reserve(_ context.Context, now time.Time, of []work.Contact) ([]work.Admission, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]work.Admission, len(of))
	for i, contact := range of {
		p := c.portfolios[contact.Portfolio]
		if p == nil {
			all[i].Unknown = true
			continue
		}
		p.expire(now)
		if _, ok := p.at[contact.Person]; ok || len(p.at) < contact.People && !now.Before(p.RefusedUntil) {
			p.at[contact.Person] = now
			all[i].Admitted = true
		}
		all[i].Used = len(p.at)
	}
	return all, nil
}

func (c *counted) Return(_ context.Context, contact work.Contact) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.portfolios[contact.Portfolio].at, contact.Person)
	return nil
}

func (c *counted) Refused(_ context.Context, portfolio string, code *int, until time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.portfolios[portfolio].RefusedUntil, c.portfolios[portfolio].RefusedCode = until, code
	return nil
}

func (c *counted) Usage(_ context.Context, now time.Time) ([]work.LimitUsage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []work.LimitUsage
	for _, p := range c.portfolios {
		p.expire(now)
		u := p.LimitUsage
		u.Used = len(p.at)
		if !now.Before(u.RefusedUntil) {
			u.RefusedUntil = time.Time{}
		}
		list = append(list, u)
	}
	return list, nil
}

func (c *counted) Begin(_ context.Context, _ time.Time, p work.Portfolio, _ event.Position) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.portfolios == nil {
		c.portfolios = make(map[string]*countedPortfolio)
	}
	if c.portfolios[p.ID] == nil {
		c.portfolios[p.ID] = &countedPortfolio{at: make(map[string]time.Time)}
	}
	c.portfolios[p.ID].Portfolio = p
	return true, nil
}

func (c *counted) Forget(_ context.Context, portfolio string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.portfolios, portfolio)
	return nil
}

// Limited reads the work list, and what Conversations knows of everyone who waits.
func (w *world) Limited(
	ctx context.Context, now time.Time, wants []work.LimitRequest,
) (found []work.Item, list, views event.Position, err error) {
	for _, want := range wants {
		var waiting []work.Item
		var people []work.Recipient
		w.locked(func() {
			for id := range w.timed {
				if i := w.open[id]; i.AwaitsLimit && i.Sender == want.Sender {
					waiting = append(waiting, i)
				}
			}
			slices.SortFunc(waiting, func(a, b work.Item) int {
				return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.QueuedPosition, b.QueuedPosition))
			})
			for _, i := range waiting {
				people = append(people, work.Recipient{Sender: i.Sender, To: w.status[i.MessageID].To})
			}
		})
		known, at, err := w.Conversations(ctx, people)
		if err != nil {
			return nil, 0, 0, err
		}
		views = at
		for n, i := range waiting {
			if n < want.Room || now.Before(known[n].WindowOpenUntil()) {
				found = append(found, i)
			}
		}
	}
	w.locked(func() { list = w.position })
	return found, list, views, nil
}

// limited starts a process that keeps messaging limits.
func (w *world) limited(c *counted) (stop func()) {
	w.t.Helper()
	g := guard.New(guard.Options{Log: w, Conversations: w, Coverage: (&covered{}).Coverage, Limits: c, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(ctx) }) // it ends with ctx
	d, end := w.dispatch(func(o *dispatch.Options) { o.Guard = g })
	w.senders.OnChange(d.Learn)
	stop = sync.OnceFunc(func() {
		end()
		cancel()
		running.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

// people returns to how many people a template was called from a number of calls on.
func (w *world) people(from int) map[string]bool {
	called := make(map[string]bool)
	for _, c := range w.made()[from:] {
		if c.Kind == message.KindTemplate {
			called[c.To] = true
		}
	}
	return called
}

func (w *world) allow(people int) {
	w.t.Helper()
	w.report("acme", sender.Report{At: time.Now(), Limit: &sender.Limit{People: people, Unlimited: people == 0}})
}

// At a limit of 250, the 251st new person is not called, nor is anyone until the first person has
// left the 24 hours. Everything else continues: people with an open window, people who were called
// already, and messages without a template. A restart changes nothing.
func TestTheMessagingLimit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("computes for minutes under the race detector; TestAnUnknownRefusalNearTheLimit shares the same state")
	}
	inWorld(t, map[string]int{"acme": 80, "other": 80}, func(w *world) {
		limits := &counted{}
		w.allow(250)
		stop := w.limited(limits)
		start := time.Now()
		var ids []uuid.UUID
		for n := range 400 {
			ids = append(ids, w.queue("acme", recipient(n), by("news")))
		}
		time.Sleep(time.Minute)
		stop()
		if n := len(w.people(0)); n != 250 {
			t.Fatalf("%d people were called", n)
		}
		stop = w.limited(limits)
		time.Sleep(time.Minute)
		before := len(w.made())
		if n := len(w.people(0)); n != 250 {
			t.Fatalf("%d people were called after a restart", n)
		}

		// The sender's portfolio is shared.
		w.queue("other", recipient(500), by("news"))
		// 100 people who wait write, 50 who were called get one more message, and 40 get a text.
		for n := range 100 {
			w.writes(recipient(300+n), time.Now())
		}
		for n := range 50 {
			w.queue("acme", recipient(n), by("reminder"))
		}
		for n := range 40 {
			w.queue("acme", recipient(600+n), nil)
		}
		time.Sleep(20 * time.Second)
		called := w.people(before)
		for n := range 100 {
			if !called[recipient(300+n)] {
				t.Fatalf("person %d wrote and was not called", 300+n)
			}
		}
		if n := len(w.made()) - before; n != 190 {
			t.Errorf("%d calls were made that the limit doesn't concern", n)
		}
		if called[recipient(500)] {
			t.Error("another sender of the portfolio called a new person")
		}
		events := w.eventsOf(ids[260])
		stop()
		time.Sleep(time.Until(start.Add(day - time.Minute))) // without the many timers of a process
		stop = w.limited(limits)
		time.Sleep(time.Until(start.Add(day)))
		if n := len(w.people(0)); n != 350 {
			t.Errorf("%d people were called before a day had passed", n)
		}
		if n := w.eventsOf(ids[260]); n != 2 || n != events {
			t.Errorf("a waiting message has %d events", n)
		}

		// The first 50 people were called again later, so 200 leave now, and 50 and the one of the
		// other sender go.
		time.Sleep(5 * time.Minute)
		if n := w.count(message.StatusSent); n != len(w.made()) || n != 400+1+50+40 {
			t.Errorf("%d messages were sent with %d calls", n, len(w.made()))
		}
		if n := w.eventsOf(ids[260]); n != 4 { // queued, deferred, attempted, sent
			t.Errorf("a message that waited has %d events", n)
		}
		stop()
	})
}

// A limit of all processes holds for each of their senders together, and a higher limit acts at once.
func TestTheMessagingLimitOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("computes for minutes under the race detector; TestAnUnknownRefusalNearTheLimit shares the same state")
	}
	rates := map[string]int{"acme": 80, "b": 80, "c": 80, "d": 80}
	inWorld(t, rates, func(w *world) {
		limits := &counted{}
		w.allow(250)
		w.limited(limits)
		w.limited(limits)
		time.Sleep(10 * time.Second) // each has its share of the senders
		for n := range 1200 {
			w.queue(slices.Sorted(maps.Keys(rates))[n%4], recipient(n), by("news"))
		}
		time.Sleep(time.Minute)
		if n := len(w.people(0)); n != 250 {
			t.Errorf("%d people were called", n)
		}
		w.allow(1000)
		time.Sleep(30 * time.Second)
		if n := len(w.people(0)); n != 1000 {
			t.Errorf("%d people were called with a limit of 1,000", n)
		}
		w.allow(0)
		time.Sleep(30 * time.Second)
		if n := len(w.people(0)); n != 1200 {
			t.Errorf("%d people were called without a limit", n)
		}
		for from, rate := range rates {
			w.wantWithin(from, rate)
		}
	})
}

// An unknown error near the limit counts as an exhausted limit: only calls that were in flight are
// refused, no message fails, and an hour later they go.
func TestAnUnknownRefusalNearTheLimit(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		allowed := 240 // WhatsApp's count is ahead
		refused := 0
		w.answer = func(dispatch.CallRequest) message.CallResult {
			if len(w.calls)-refused <= allowed {
				return nil
			}
			refused++
			return message.Refused{Failure: message.Failure{Code: new(139999), Category: message.CategoryUnknown, Class: message.ClassPermanent, Message: "unknown error code 139999"}}
		}
		w.allow(250)
		limits := &counted{}
		stop := w.limited(limits)
		for n := range 300 {
			w.queue("acme", recipient(n), by("news"))
		}
		time.Sleep(time.Minute)
		w.locked(func() {
			if refused == 0 || refused > 10 || w.counts[message.StatusFailed] > 0 || w.counts[message.StatusSent] != allowed {
				t.Errorf("%d calls were refused, %d messages failed, and %d were sent", refused, w.counts[message.StatusFailed], w.counts[message.StatusSent])
			}
			allowed = 1000
		})
		stop()
		time.Sleep(time.Hour)
		stop = w.limited(limits)
		time.Sleep(time.Minute)
		if n := w.count(message.StatusSent); n != 250 {
			t.Errorf("%d messages were sent an hour later", n)
		}
		stop()
		time.Sleep(day)
		w.limited(limits)
		time.Sleep(time.Minute)
		if n := w.count(message.StatusSent); n != 300 {
			t.Errorf("%d messages were sent a day later: %s", n, fmt.Sprint(w.counts))
		}
	})
}

func (w *world) eventsOf(id uuid.UUID) (n int) {
	w.locked(func() { n = len(w.streams[event.MessageStream(id)]) })
	return n
}
