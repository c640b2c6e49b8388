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

// A message of a recipient who had to wait may stand far back in the backlog: those
// before it lose nothing by its being fetched out of turn.
func TestWhatWaitedForItsRecipientSkipsNobody(t *testing.T) {
	t.Parallel()
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

// fetchedList notes what was fetched of a work-list.
type fetchedList struct {
	*world

	fetched map[uuid.UUID]bool // guarded by the world's lock
}

func (l *fetchedList) Fetch(ctx context.Context, now time.Time, wants []work.Want) ([]work.Item, event.Position, error) {
	items, position, err := l.world.Fetch(ctx, now, wants)
	l.locked(func() {
		for _, i := range items {
			l.fetched[i.MessageID] = true
		}
	})
	return items, position, err
}

// Once a template's hold is over its backlog is fetched as fast as it is sent, and the
// others of its lane go on.
func TestAReleasedTemplateSharesItsLane(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const paused, other, each = "spring_sale", "receipt", 5000
		held, sent := true, map[string]int{}
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			template := w.status[r.MessageID].Template
			if held && template == paused {
				code := 132015
				return message.Refused{Failure: message.Failure{Code: &code, Class: message.ClassPermanent, Category: message.CategoryTemplate}}
			}
			sent[template]++
			return nil
		}
		for n := range each {
			for _, template := range []string{paused, other, other} {
				w.queue("acme", recipient(n), func(q *message.Queued) { q.Kind, q.Template = message.KindTemplate, template })
			}
		}
		list := &fetchedList{world: w, fetched: map[uuid.UUID]bool{}}
		w.dispatch(func(o *dispatch.Options) { o.List = list })
		time.Sleep(10 * time.Second)
		w.locked(func() { held = false })
		time.Sleep(80 * time.Second) // asked again after a minute
		w.locked(func() {
			if sent[paused] == 0 || sent[other] == 2*each {
				t.Fatalf("sent are %v: the hold is not over in the middle of the backlog", sent)
			}
		})
		for range 2 {
			var before int
			w.locked(func() { before = sent[other] })
			w.wantRate(79, 10)
			w.locked(func() {
				if n := sent[other] - before; n < 200 {
					t.Errorf("%d of the other template in 10 s at 80/s", n)
				}
				// At hand are 40 of each kind, and what was held back.
				if atHand := len(list.fetched) - len(w.calls); atHand > 200 {
					t.Errorf("%d messages are in memory", atHand)
				}
			})
		}
	})
}
