package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
)

// wanted makes a message's delivery overdue after d.
func wanted(d time.Duration) func(*message.Queued) {
	return func(q *message.Queued) {
		q.Priority, q.DeliverWithinSeconds = message.PriorityOTP, d.Seconds()
	}
}

// deliver records the delivery of a message that was sent.
func (w *world) deliver(id uuid.UUID) {
	w.t.Helper()
	_, err := w.messages.Change(w.ctx, id, tester, func(m message.Message) ([]message.Event, error) {
		events, _ := message.RecordStatusUpdate(m, message.StatusUpdate{Kind: message.ReportDelivered, Call: len(m.Calls), At: time.Now()})
		return events, nil
	})
	w.must(err)
}

// overdue returns how long after WhatsApp's acceptance each of the messages was reported
// overdue. It fails the test if one was reported twice.
func (w *world) overdue(ids []uuid.UUID) map[uuid.UUID]time.Duration {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	after := make(map[uuid.UUID]time.Duration)
	for _, id := range ids {
		var accepted time.Time
		for _, r := range w.streams[event.MessageStream(id)] {
			switch e := r.Event.(type) {
			case message.Sent:
				accepted = e.At
			case message.DeliveryOverdue:
				if _, twice := after[id]; twice {
					w.t.Errorf("message %s was reported overdue twice", id)
				}
				after[id] = r.Meta.RecordedAt.Sub(accepted)
			}
		}
	}
	return after
}

// Two processes report the messages that were not delivered in time, each once and within
// half a second, also of a paused sender and while the read model is behind. A delivered
// message is not reported.
func TestOverdueDeliveriesAreReportedOnceAndInTime(t *testing.T) {
	t.Parallel()
	for name, lag := range map[string]time.Duration{"read model in step": 0, "read model two seconds behind": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 100, "other": 100}, func(w *world) {
				w.viewsLag = lag
				w.dispatch(nil)
				w.dispatch(func(o *dispatch.Options) { o.Messages = w.otherMessages() })
				const within = 20 * time.Second
				pairs := 500
				if testing.Short() {
					pairs = 50
				}
				var ids, plain []uuid.UUID
				for n := range pairs {
					ids = append(ids, w.queue("acme", recipient(2*n), wanted(within)), w.queue("other", recipient(2*n+1), wanted(within)))
				}
				plain = append(plain, w.queue("acme", recipient(1000), nil))
				time.Sleep(10 * time.Second)
				if n := w.count(message.StatusSent); n != len(ids)+len(plain) {
					t.Fatalf("%d messages are sent", n)
				}
				w.pause("other", true)
				delivered := ids[:len(ids)/2]
				for _, id := range delivered {
					w.deliver(id)
				}
				time.Sleep(time.Minute)
				after := w.overdue(slices.Concat(ids, plain))
				for id, d := range after {
					if d < within || d > within+500*time.Millisecond {
						t.Errorf("message %s was reported overdue %s after it was sent", id, d)
					}
				}
				if want := len(ids) - len(delivered); len(after) != want {
					t.Errorf("%d messages were reported overdue, want %d", len(after), want)
				}
			})
		})
	}
}

// A message that waits in memory to be called again can turn out to be accepted, by a late
// status of a lost call. Its delivery is then reported overdue in time, and not when the call
// would be made: that is, never while the sender is paused.
func TestAnAcceptedMessageThatWaitsToBeCalledIsOverdueInTime(t *testing.T) {
	t.Parallel()
	for name, after := range map[string][]message.Event{
		"its lost call would be repeated": nil,
		"its repeated call would be retried": {
			message.SendAttempted{Call: 2, Attempt: 2},
			message.Failed{Call: 2, Attempt: 2, Failure: message.Failure{Class: message.ClassTransient}},
			message.RetryScheduled{Attempt: 2, DueAt: time.Date(2000, 1, 1, 0, 0, 1, 5e8, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 100}, func(w *world) {
				called := time.Now()
				id := w.lose("acme", recipient(0), wanted(5*time.Second))
				_, err := w.messages.Change(w.ctx, id, tester, record(after...))
				w.must(err)
				w.dispatch(nil)
				time.Sleep(time.Second)
				w.pause("acme", true)
				time.Sleep(policy().SettleAfter + time.Second) // it would be called now
				_, err = w.messages.Change(w.ctx, id, tester, func(m message.Message) ([]message.Event, error) {
					events, _ := message.RecordStatusUpdate(m, message.StatusUpdate{Kind: message.ReportSent, Call: 1, At: time.Now()})
					return events, nil
				})
				w.must(err)
				settled := time.Since(called) // long after the delivery was due
				time.Sleep(time.Minute)
				if d, reported := w.overdue([]uuid.UUID{id})[id]; !reported || d < settled || d > settled+500*time.Millisecond {
					t.Errorf("the message was reported overdue: %t, %s after the call; want %s", reported, d, settled)
				}
				if n := len(w.made()); n != 0 {
					t.Errorf("%d calls of a paused sender", n)
				}
			})
		})
	}
}

// What became overdue while no process ran is reported by the next one, and a message that
// was requeued and sent again is reported once more.
func TestOverdueDeliveriesSurviveARestart(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 100}, func(w *world) {
		_, stop := w.dispatch(nil)
		var ids []uuid.UUID
		for n := range 600 {
			ids = append(ids, w.queue("acme", recipient(n), wanted(20*time.Second)))
		}
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(time.Minute)
		w.dispatch(func(o *dispatch.Options) { o.Messages = w.otherMessages() })
		time.Sleep(3 * time.Second)
		if after := w.overdue(ids); len(after) != len(ids) {
			t.Fatalf("%d messages were reported overdue, want %d", len(after), len(ids))
		}

		failed := message.Failed{Call: 1, Attempt: 1, AfterAcceptance: true, Failure: message.Failure{Class: message.ClassTransient}}
		_, err := w.messages.Change(w.ctx, ids[0], tester, record(failed, message.DeadLettered{Attempts: 1}, message.Requeued{}))
		w.must(err)
		time.Sleep(10 * time.Second)
		if m := w.message(ids[0]); m.Status != message.StatusSent || !m.OverdueSince.IsZero() {
			t.Errorf("the requeued message is %s, overdue since %s", m.Status, m.OverdueSince)
		}
		time.Sleep(20 * time.Second)
		if m := w.message(ids[0]); m.Status != message.StatusSent || m.OverdueSince.IsZero() {
			t.Errorf("the requeued message is %s, overdue since %s", m.Status, m.OverdueSince)
		}
	})
}
