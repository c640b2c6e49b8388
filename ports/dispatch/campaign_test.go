package dispatch_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
)

var spring = message.Label{Name: "campaign", Value: "spring"}

// ofSpring makes a queued message one of the campaign.
func ofSpring(q *message.Queued) {
	q.Personal.Labels = []message.Label{{Name: "region", Value: "north"}, spring}
}

// campaigns returns the paused campaigns as one more process knows them.
func (w *world) campaigns() *repository.Campaigns {
	c := w.unfollowed()
	go func() { _ = c.Run(w.ctx, func() {}) }() // it ends with the test
	return c
}

// unfollowed returns the paused campaigns before anything is known of them.
func (w *world) unfollowed() *repository.Campaigns {
	return repository.NewCampaigns(w, time.Now, newID, labelIndex, slog.New(slog.DiscardHandler))
}

// pausing starts a dispatcher that acts on the paused campaigns, as the log has them.
func (w *world) pausing() *dispatch.Dispatcher {
	c := w.unfollowed()
	d, _ := w.dispatch(func(o *dispatch.Options) { o.Campaigns = c })
	go func() { _ = c.Run(w.ctx, d.Wake) }()
	return d
}

// calledOf returns the calls of messages with the label since a time.
func (w *world) calledOf(l message.Label, since time.Time) (calls []madeCall) {
	made := w.made()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range made {
		if slices.Contains(w.status[c.MessageID].Labels, l) && !c.at.Before(since) {
			calls = append(calls, c)
		}
	}
	return calls
}

// After a campaign is paused by another process, none of its messages is called, new ones and
// retries included. The others of the sender keep the full rate although the paused ones are before
// them, and no event is recorded for those that wait. When it is resumed, they are sent in order.
func TestAPausedCampaignCostsNoCall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const each = 5000
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			if r.Call == 1 && len(w.calls)%20 == 0 { // their retries wait too
				return message.Refused{Failure: message.Failure{Class: message.ClassTransient, HTTPStatus: 500, Message: "internal error"}}
			}
			return message.Accepted{WhatsAppID: "wamid." + newID().String()}
		}
		for n := range each {
			w.queue("acme", recipient(n), ofSpring)
		}
		for n := range each {
			w.queue("acme", recipient(n), nil)
		}
		w.pausing()
		elsewhere := w.campaigns()
		time.Sleep(10 * time.Second)
		if n := len(w.calledOf(spring, time.Time{})); n < 700 {
			t.Fatalf("%d calls before the pause", n)
		}
		_, err := elsewhere.Pause(w.ctx, spring, "wrong prices", tester)
		w.must(err)
		events := len(w.times)
		time.Sleep(time.Second)
		paused := time.Now()
		late := w.queue("acme", recipient(each), ofSpring)
		w.wantRate(79, 30)
		if calls := w.calledOf(spring, paused); len(calls) > 0 {
			t.Errorf("%d calls after the pause", len(calls))
		}
		if m := w.message(late); m.Status != message.StatusQueued {
			t.Errorf("a message that was queued during the pause is %s", m.Status)
		}
		deferred := 0
		w.locked(func() {
			for name, stream := range w.streams {
				if _, ok := event.ParseMessageStream(name); !ok {
					continue
				}
				for _, r := range stream {
					if d, ok := r.Event.(message.Deferred); ok && int(r.Position) > events {
						deferred++
						if d.Reason != message.DeferCampaignPaused {
							t.Errorf("a call was deferred because of %s", d.Reason)
						}
					}
				}
			}
		})
		if deferred > 200 {
			t.Errorf("%d messages were deferred, only those with an announced call should be", deferred)
		}
		if _, _, err := elsewhere.Resume(w.ctx, spring, tester); err != nil {
			t.Fatal(err)
		}
		resumed := time.Now()
		w.wantRate(79, 60)
		time.Sleep(2 * time.Minute)
		if n := w.count(message.StatusSent); n != 2*each+1 {
			t.Errorf("%d of %d were sent", n, 2*each+1)
		}
		calls := w.calledOf(spring, resumed.Add(2*time.Second)) // those that the lane had in memory go within a second
		w.locked(func() {
			for i, c := range calls[1:] {
				before, after := w.status[calls[i].MessageID], w.status[c.MessageID]
				if len(before.Calls) == 1 && len(after.Calls) == 1 && after.To < before.To {
					t.Fatalf("call %d is of a message that was queued before that of the call before it", i+1)
				}
			}
		})
	})
}

// While a campaign is paused, its messages expire, its lost calls are settled and not repeated, and
// OTP messages wait as others do.
func TestAPausedCampaignKeepsItsTimers(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		c := w.campaigns()
		_, err := c.Pause(w.ctx, spring, "wrong prices", tester)
		w.must(err)
		expiring := w.queue("acme", recipient(1), func(q *message.Queued) {
			ofSpring(q)
			q.ExpiresAt = time.Now().Add(time.Minute)
		})
		password := w.queue("acme", recipient(2), func(q *message.Queued) {
			ofSpring(q)
			otp(q)
		})
		settled, lost := w.lose("acme", recipient(3), ofSpring), w.lose("acme", recipient(4), ofSpring)
		dead := w.lose("acme", recipient(5), func(q *message.Queued) {
			ofSpring(q)
			q.OnAmbiguous = message.AmbiguityDeadLetter
		})
		cancelled := w.queue("acme", recipient(6), ofSpring)
		w.pausing()
		time.Sleep(5 * time.Second)
		_, err = w.messages.Cancel(w.ctx, cancelled, "no need", tester)
		w.must(err)
		_, err = w.messages.Change(w.ctx, settled, tester, record(message.Sent{Call: 1, At: time.Now(), By: message.ByStatus}))
		w.must(err)
		time.Sleep(5 * time.Minute)
		for id, want := range map[string]message.Status{
			w.message(expiring).To: message.StatusExpired, w.message(password).To: message.StatusQueued, w.message(settled).To: message.StatusSent,
			w.message(lost).To: message.StatusAmbiguous, w.message(dead).To: message.StatusDeadLettered, w.message(cancelled).To: message.StatusCancelled,
		} {
			w.locked(func() {
				for _, m := range w.status {
					if m.To == id && m.Status != want {
						t.Errorf("message to %s is %s, want %s", id, m.Status, want)
					}
				}
			})
		}
		if n := len(w.made()); n != 0 {
			t.Errorf("%d calls during the pause", n)
		}
		if _, _, err := c.Resume(w.ctx, spring, tester); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if a, b := w.message(password).Status, w.message(lost).Status; a != message.StatusSent || b != message.StatusSent {
			t.Errorf("after the pause, the messages are %s and %s", a, b)
		}
	})
}

// Items whose labels the work list doesn't know wait too, because an older version wrote them. They
// don't keep others from being sent, however many they are.
func TestAPauseCoversItemsWithoutLabels(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const more = 1500
		queue := func(n int) uuid.UUID {
			id := w.queue("acme", recipient(n), ofSpring)
			w.locked(func() {
				i := w.open[id]
				i.Labels = nil
				w.open[id] = i
			})
			return id
		}
		for n := range more {
			queue(10 + n)
		}
		old, other := queue(1), w.queue("acme", recipient(2), nil)
		password := w.queue("acme", recipient(3), func(q *message.Queued) { otp(q) })
		c := w.campaigns()
		_, err := c.Pause(w.ctx, spring, "wrong prices", tester)
		w.must(err)
		w.pausing()
		time.Sleep(time.Minute)
		late := w.queue("acme", recipient(4), func(q *message.Queued) { otp(q) })
		time.Sleep(time.Second)
		for _, id := range []uuid.UUID{other, password, late} {
			if m := w.message(id); m.Status != message.StatusSent {
				t.Errorf("during the pause, the message to %s is %s", m.To, m.Status)
			}
		}
		if n := len(w.calledOf(spring, time.Time{})); n > 0 {
			t.Errorf("%d calls during the pause", n)
		}
		if _, _, err := c.Resume(w.ctx, spring, tester); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := w.count(message.StatusSent); n != more+4 || w.message(old).Status != message.StatusSent {
			t.Errorf("after the pause, %d of %d messages were sent", n, more+4)
		}
	})
}

// Two pauses of one message hold it until both have ended.
func TestAMessageWaitsForAllItsPauses(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const messages = 200
		for n := range messages {
			w.queue("acme", recipient(n), ofSpring)
		}
		c, north := w.campaigns(), message.Label{Name: "region", Value: "north"}
		for _, l := range []message.Label{spring, north} {
			_, err := c.Pause(w.ctx, l, "wrong prices", tester)
			w.must(err)
		}
		w.pausing()
		time.Sleep(10 * time.Second)
		for i, l := range []message.Label{north, spring} {
			if n := len(w.made()); n != 0 {
				t.Fatalf("%d calls after %d pauses ended", n, i)
			}
			if _, _, err := c.Resume(w.ctx, l, tester); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if n := w.count(message.StatusSent); n != messages {
			t.Errorf("%d of %d were sent", n, messages)
		}
	})
}
