package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
)

// sinceStart makes the process record webhooks only since a moment ago.
type sinceStart struct {
	*world

	since time.Time
}

func (s sinceStart) Heartbeat(
	ctx context.Context, process uuid.UUID, roles []string, since time.Time, ttl time.Duration,
) (time.Time, error) {
	_, err := s.world.Heartbeat(ctx, process, roles, since, ttl)
	return s.since, err
}

// However many lost responses wait for their statuses after an outage, the lane keeps
// sending.
func TestLostAnswersThatWaitStopNoLane(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const lost = 1500
		for n := range lost {
			w.lose("acme", recipient(n), nil)
		}
		for n := range 4000 {
			w.queue("acme", recipient(lost+n), nil)
		}
		time.Sleep(time.Second)
		start := time.Now()
		w.dispatch(func(o *dispatch.Options) {
			o.Leases, o.SettleAfterOutage = sinceStart{w, start}, 45*time.Second
		})
		time.Sleep(time.Second)
		w.wantRate(79, 30)
		if n := w.count(message.StatusAmbiguous); n != lost {
			t.Fatalf("%d lost responses wait, want %d", n, lost)
		}
		time.Sleep(time.Minute)
		if n := w.count(message.StatusAmbiguous); n != 0 {
			t.Errorf("%d lost responses wait long after the outage", n)
		}
	})
}

// A message that expires while its lane is paused ends, even if a response to it was
// lost.
func TestALostAnswerExpiresInAPausedLane(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		soon := time.Now().Add(2 * time.Minute)
		expires := func(q *message.Queued) { q.ExpiresAt = soon }
		lost, queued := w.lose("acme", recipient(1), expires), w.queue("acme", recipient(2), expires)
		w.pause("acme", true)
		w.dispatch(nil)
		time.Sleep(time.Until(soon) - time.Second)
		want(t, w.message(lost), message.StatusAmbiguous, 1, 1)
		want(t, w.message(queued), message.StatusQueued, 0, 0)
		time.Sleep(3 * time.Second)
		want(t, w.message(lost), message.StatusExpired, 1, 1)
		want(t, w.message(queued), message.StatusExpired, 0, 0)
	})
}

// A message that expires while its template is held ends as well.
func TestALostAnswerExpiresBehindItsTemplate(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const paused = "spring_sale"
		held := true
		w.refusing(paused, &held)
		soon := time.Now().Add(90 * time.Second)
		expires := func(q *message.Queued) { by(paused)(q); q.ExpiresAt = soon }
		lost, queued := w.lose("acme", recipient(1), expires), w.queue("acme", recipient(2), expires)
		w.dispatch(nil)
		time.Sleep(time.Until(soon) - time.Second)
		for name, id := range map[string]uuid.UUID{"lost": lost, "queued": queued} {
			if !w.message(id).Status.Open() {
				t.Fatalf("the %s message is %s before it expires", name, w.message(id).Status)
			}
		}
		time.Sleep(3 * time.Second)
		for name, id := range map[string]uuid.UUID{"lost": lost, "queued": queued} {
			if s := w.message(id).Status; s != message.StatusExpired {
				t.Errorf("the %s message is %s after it expired", name, s)
			}
		}
	})
}

// A status that any process records while the next call of its message waits for its
// slot keeps that call from being written.
func TestAStatusKeepsTheNextCallFromBeingWritten(t *testing.T) {
	t.Parallel()
	for _, elsewhere := range []bool{false, true} {
		t.Run(fmt.Sprintf("elsewhere=%v", elsewhere), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 1}, func(w *world) {
				w.locked(func() { w.appending = func() time.Duration { return 5 * time.Millisecond } })
				id := w.lose("acme", recipient(1), nil)
				for n := range 60 {
					w.queue("acme", recipient(10+n), nil)
				}
				w.dispatch(nil)
				for len(w.message(id).Calls) < 2 {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond)
				recorder := w.messages
				if elsewhere {
					recorder = w.otherMessages()
				}
				_, err := recorder.RecordReports(w.ctx, id, tester, []message.StatusUpdate{
					{Kind: message.ReportDelivered, Call: 1, WhatsAppID: "wamid.1", At: time.Now()},
				})
				w.must(err)
				time.Sleep(5 * time.Second)
				for _, c := range w.made() {
					if c.MessageID == id {
						t.Errorf("call %d was written although a status of call 1 was recorded", c.Call)
					}
				}
				if m := w.message(id); m.Status != message.StatusDelivered || m.SentTwice {
					t.Errorf("it is %s, sent twice: %v", m.Status, m.SentTwice)
				}
			})
		})
	}
}

// A message without a sendAt is sent immediately, whatever the clock of the process that
// accepted it says.
func TestClocksOfTwoProcessesMayDiffer(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Hour, 0, 30 * time.Millisecond, time.Hour} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				w.dispatch(nil)
				time.Sleep(5 * time.Second)
				queued := make(map[uuid.UUID]time.Time)
				for n := range 400 {
					id := newID()
					queued[id] = time.Now()
					_, err := w.Append(w.ctx, event.MessageStream(id), event.NoStream(), event.Proposed{
						ID: newID(), Meta: event.Meta{RecordedAt: time.Now().Add(ahead), Sender: "acme", By: tester.By},
						Event: message.Queued{
							Sender: "acme", Kind: message.KindText, Priority: message.PriorityOTP, OnAmbiguous: message.AmbiguityResend,
							Personal: message.QueuedPersonal{To: recipient(n), Content: []byte(`{"body":"Hello"}`)},
						},
					})
					w.must(err)
					time.Sleep(25 * time.Millisecond)
				}
				time.Sleep(time.Second)
				if n := len(w.made()); n != len(queued) {
					t.Errorf("%d of %d were called", n, len(queued))
				}
				for _, c := range w.made() {
					if took := c.at.Sub(queued[c.MessageID]); took > 50*time.Millisecond {
						t.Fatalf("a message was called after %s", took)
					}
				}
			})
		})
	}
}
