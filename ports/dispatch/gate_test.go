package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
)

// refusing makes WhatsApp refuse a template as long as held is set.
func (w *world) refusing(template string, held *bool) {
	w.answer = func(r dispatch.CallRequest) message.CallResult {
		if !*held || w.status[r.MessageID].Template != template {
			return nil
		}
		code := 132015
		return message.Refused{Failure: message.Failure{Code: &code, Class: message.ClassPermanent, Category: message.CategoryTemplate}}
	}
}

// by makes a queued message use a template.
func by(template string) func(*message.Queued) {
	return func(q *message.Queued) { q.Kind, q.Template = message.KindTemplate, template }
}

// sentBy returns the number of messages of a template that were sent.
func (w *world) sentBy(template string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, m := range w.status {
		if m.Template == template && m.Status == message.StatusSent {
			n++
		}
	}
	return n
}

// A message can wait for both its recipient and its template, far back in the template's
// backlog: the rest of the backlog is sent before it.
func TestWhatIsBehindTwoGatesSkipsNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const paused, other, each = "spring_sale", "receipt", 5000
		held := true
		w.refusing(paused, &held)
		for range 65 {
			w.queue("acme", recipient(1), nil)
		}
		for n := range each {
			w.queue("acme", recipient(10+n), by(paused))
			w.queue("acme", recipient(10+n), by(other))
		}
		w.queue("acme", recipient(1), by(paused))
		w.dispatch(nil)
		time.Sleep(10 * time.Second)
		w.locked(func() { held = false })
		w.wantRate(79, 110)
		if n := w.sentBy(paused); n == 0 {
			t.Error("the template's hold is not over")
		}
	})
}

// A message of a recipient that had to wait can be far back in the backlog. Fetching it
// out of turn costs the messages before it nothing.
func TestWhatWaitedForItsRecipientSkipsNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		for range 60 {
			w.queue("acme", recipient(1), nil)
		}
		for n := range 13_000 {
			w.queue("acme", recipient(10+n%9000), nil)
		}
		w.queue("acme", recipient(1), nil)
		w.dispatch(nil)
		time.Sleep(time.Second)
		for range 5 {
			w.wantRate(79, 30)
		}
		w.wantWithin("acme", 80)
	})
}

// fetchedList records what was fetched from a work list.
type fetchedList struct {
	*world

	fetched map[uuid.UUID]bool // guarded by the world's lock
}

func (l *fetchedList) Fetch(ctx context.Context, now time.Time, wants []work.FetchRequest) ([]work.Item, event.Position, error) {
	items, position, err := l.world.Fetch(ctx, now, wants)
	l.locked(func() {
		for _, i := range items {
			l.fetched[i.MessageID] = true
		}
	})
	return items, position, err
}

// atHand returns the number of messages that were fetched and not called.
func (l *fetchedList) atHand() int {
	calls := len(l.made())
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.fetched) - calls
}

// Due messages are fetched as fast as they are sent, whatever else waits in memory.
func TestOnlyWhatThereIsRoomForIsFetched(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	for name, count := range map[string]struct{ lost, fresh int }{
		"alone": {}, "with fresh ones": {fresh: 200}, "with lost responses": {lost: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				for n := range count.lost {
					w.lose("acme", recipient(n), nil)
				}
				soon := time.Now().Add(2 * time.Second)
				for n := range 1200 {
					w.queue("acme", recipient(2000+n), func(q *message.Queued) { q.SendAt = soon })
				}
				for n := range count.fresh {
					w.queue("acme", recipient(n), nil)
				}
				time.Sleep(40 * time.Second) // the time to settle is over, and all are due
				list := &fetchedList{world: w, fetched: map[uuid.UUID]bool{}}
				start := time.Now()
				w.dispatch(func(o *dispatch.Options) {
					o.List, o.Leases, o.SettleAfterOutage = list, sinceStart{w, start}, time.Minute
				})
				time.Sleep(time.Second)
				for range 2 {
					w.wantRate(79, 4)
					if n := list.atHand(); n > 200 {
						t.Errorf("%d messages are in memory", n)
					}
				}
			})
		})
	}
}

// Once a template's hold is over, its backlog is fetched as fast as it is sent, and the
// other messages of its lane are sent as before.
func TestAReleasedTemplateSharesItsLane(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const paused, other, each = "spring_sale", "receipt", 5000
		held := true
		w.refusing(paused, &held)
		for n := range each {
			for _, template := range []string{paused, other, other} {
				w.queue("acme", recipient(n), by(template))
			}
		}
		list := &fetchedList{world: w, fetched: map[uuid.UUID]bool{}}
		w.dispatch(func(o *dispatch.Options) { o.List = list })
		time.Sleep(10 * time.Second)
		w.locked(func() { held = false })
		time.Sleep(80 * time.Second) // it is tried again after a minute
		if released, others := w.sentBy(paused), w.sentBy(other); released == 0 || others == 2*each {
			t.Fatalf("%d and %d were sent: the hold did not end in the middle of the backlog", released, others)
		}
		for range 2 {
			before := w.sentBy(other)
			w.wantRate(79, 10)
			if n := w.sentBy(other) - before; n < 200 {
				t.Errorf("%d of the other template in 10 s at 80/s", n)
			}
			if n := list.atHand(); n > 200 { // 40 of each kind, and the ones held back
				t.Errorf("%d messages are in memory", n)
			}
		}
	})
}
