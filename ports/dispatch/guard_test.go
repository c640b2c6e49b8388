package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/coverage"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
	"github.com/waypost/waypost/ports/dispatch/guard"
)

// day is how long the 24-hour window is open.
const day = 24 * time.Hour

// covered are webhooks that were recorded completely, by a process that sends heartbeats.
type covered struct {
	mu        sync.Mutex
	bridgedAt time.Time
	// silentAt is when the process died, if it has. unknown is set if no webhook of the number
	// ever came.
	silentAt time.Time
	unknown  bool
}

func (c *covered) change(change func(*covered)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *covered) Coverage(_ context.Context, now time.Time) (map[string]coverage.Coverage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := coverage.Coverage{
		Recording:   coverage.Recording{Since: now.Add(-3 * day), HeardAt: now, BridgedAt: c.bridgedAt},
		Number:      coverage.Number{Since: now.Add(-2 * day), HeardAt: now.Add(-time.Hour)},
		ConfirmedAt: now.Truncate(time.Second),
	}
	if !c.silentAt.IsZero() && c.silentAt.Before(of.ConfirmedAt) {
		of.ConfirmedAt = c.silentAt
	}
	found := make(map[string]coverage.Coverage)
	if !c.unknown {
		found[phoneNumber(0)] = of
	}
	return found, nil
}

// Conversations folds what people wrote and chose as the read model has it, viewsLag behind.
func (w *world) Conversations(_ context.Context, of []work.Recipient) ([]conversation.Conversation, event.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := time.Now().Add(-w.viewsLag)
	position := event.Position(sort.Search(len(w.times), func(i int) bool { return w.times[i].After(seen) }))
	known := make([]conversation.Conversation, len(of))
	for i, r := range of {
		for _, stream := range []string{event.MarketingStream(r.Sender), event.InboundStream(phoneNumber(0))} {
			for _, e := range w.streams[stream] {
				if e.Position <= position {
					known[i] = known[i].Merge(said(e, r.To))
				}
			}
		}
	}
	return known, position, nil
}

// said returns what an event says about a person.
func said(r event.Recorded, to string) (c conversation.Conversation) {
	choice := func(e conversation.Choice, optedOut bool) {
		if e.Personal.Number == to {
			c.Marketing = conversation.Marketing{OptedOut: optedOut, At: e.At, Position: int64(r.Position)}
		}
	}
	switch e := r.Event.(type) {
	case inbound.InboundReceived:
		if conversation.PersonOf(e.Personal.From).Number == to {
			c.OpenedAt = e.At
		}
	case conversation.OptedOut:
		choice(e.Choice, true)
	case conversation.OptedIn:
		choice(e.Choice, false)
	}
	return c
}

// guarded starts a dispatcher with a guard.
func (w *world) guarded(c *covered, change func(*dispatch.Options)) (*guard.Guard, func()) {
	w.t.Helper()
	g := guard.New(guard.Options{Log: w, Conversations: w, Coverage: c.Coverage, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(ctx) }) // it ends with ctx
	_, stop := w.dispatch(func(o *dispatch.Options) {
		o.Guard = g
		if change != nil {
			change(o)
		}
	})
	end := func() {
		stop()
		cancel()
		running.Wait()
	}
	w.t.Cleanup(end)
	return g, end
}

func (w *world) appendTo(log event.Log, stream string, e domain.Event) {
	w.t.Helper()
	_, err := log.Append(w.ctx, stream, event.Any(), event.Proposed{ID: newID(), Event: e, Meta: event.Meta{RecordedAt: time.Now(), Sender: "acme", By: tester.By}})
	w.must(err)
}

// writes records a message of a person.
func (w *world) writes(from string, at time.Time) {
	w.t.Helper()
	w.appendTo(w, event.InboundStream(phoneNumber(0)), inbound.InboundReceived{
		PhoneNumberID: phoneNumber(0), Type: "text", At: at.Truncate(time.Second), Personal: inbound.InboundPersonal{From: from},
	})
}

// chooses records a person's choice about marketing.
func (w *world) chooses(log event.Log, who string, optedOut bool) {
	w.t.Helper()
	w.appendTo(log, event.MarketingStream("acme"), conversation.Of(conversation.Choice{
		Sender: "acme", Source: conversation.FromAPI, At: time.Now(), Personal: conversation.ChoicePersonal{Person: conversation.Person{Number: who}},
	}, optedOut))
}

// outside makes a text do something if its recipient's window is closed when it is due.
func outside(do message.OutsideWindow, sendAt time.Time) func(*message.Queued) {
	return func(q *message.Queued) {
		q.OutsideWindow, q.SendAt = do, sendAt
		if do == message.OutsideFallback {
			q.FallbackTemplate, q.Personal.Fallback = "reminder", []byte(`{"name":"reminder","language":{"code":"en"}}`)
		}
	}
}

// callsOf returns the kinds of the calls made for a message.
func (w *world) callsOf(id uuid.UUID) (kinds []message.Kind) {
	for _, c := range w.made() {
		if c.MessageID == id {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

// A text queued while the window is open and due a second after it closes is not called. With
// FALLBACK, its template is, once. One that is due a second before is called.
func TestAWindowIsJudgedWhenTheCallIsDue(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		w.viewsLag = 300 * time.Millisecond
		closes := time.Now().Truncate(time.Second).Add(20 * time.Second)
		w.writes(recipient(1), closes.Add(-day))
		w.guarded(&covered{}, nil)
		fails := w.queue("acme", recipient(1), outside(message.OutsideFail, closes.Add(time.Second)))
		falls := w.queue("acme", recipient(1), outside(message.OutsideFallback, closes.Add(time.Second)))
		sends := w.queue("acme", recipient(1), outside(message.OutsideSend, closes.Add(time.Second)))
		early := w.queue("acme", recipient(1), outside(message.OutsideFail, closes.Add(-time.Second)))
		stranger := w.queue("acme", recipient(2), outside(message.OutsideFail, time.Time{}))
		time.Sleep(30 * time.Second)
		for name, c := range map[string]struct {
			id     uuid.UUID
			status message.Status
			calls  []message.Kind
		}{
			"FAIL":           {fails, message.StatusFailed, nil},
			"FALLBACK":       {falls, message.StatusSent, []message.Kind{message.KindTemplate}},
			"SEND":           {sends, message.StatusSent, []message.Kind{message.KindText}},
			"before the end": {early, message.StatusSent, []message.Kind{message.KindText}},
			"never wrote":    {stranger, message.StatusFailed, nil},
		} {
			m := w.message(c.id)
			if got := w.callsOf(c.id); m.Status != c.status || fmt.Sprint(got) != fmt.Sprint(c.calls) {
				t.Errorf("%s: the message is %s with the calls %v, want %s and %v", name, m.Status, got, c.status, c.calls)
			}
		}
	})
}

// What the person writes until the message is due, or while certainty is awaited, counts.
func TestAMessageOfThePersonCountsUntilTheCall(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		w.viewsLag = 100 * time.Millisecond
		w.guarded(&covered{}, nil)
		due := time.Now().Add(time.Minute)
		id := w.queue("acme", recipient(1), outside(message.OutsideFail, due))
		time.Sleep(time.Until(due) - time.Millisecond)
		w.writes(recipient(1), time.Now())
		time.Sleep(10 * time.Second)
		if m, calls := w.message(id), w.callsOf(id); m.Status != message.StatusSent || len(calls) != 1 {
			t.Errorf("the message is %s with the calls %v", m.Status, calls)
		}
	})
}

// While a break of recording is bridged, nothing is decided. What comes in the meantime counts.
// If a process died, its silence is a break.
func TestABreakOfRecordingIsAwaited(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		bridged := time.Now().Add(40 * time.Second)
		c := &covered{bridgedAt: bridged}
		w.guarded(c, nil)
		writes := w.queue("acme", recipient(1), outside(message.OutsideFail, time.Time{}))
		silent := w.queue("acme", recipient(2), outside(message.OutsideFail, time.Time{}))
		time.Sleep(30 * time.Second)
		if n := len(w.made()); n > 0 || w.count(message.StatusFailed) > 0 {
			t.Fatalf("%d calls and %d failures while the break is bridged", n, w.count(message.StatusFailed))
		}
		w.writes(recipient(1), time.Now().Add(-35*time.Second)) // WhatsApp delivers it again
		time.Sleep(20 * time.Second)
		if m := w.message(writes); m.Status != message.StatusSent {
			t.Errorf("the message to a person who wrote is %s", m.Status)
		}
		if m := w.message(silent); m.Status != message.StatusFailed || len(w.callsOf(silent)) > 0 {
			t.Errorf("the message to a person who did not write is %s", m.Status)
		}
		// A process dies, and comes back when its break is bridged.
		died := time.Now().Add(-time.Second)
		c.change(func(c *covered) { c.silentAt = died })
		late := w.queue("acme", recipient(3), outside(message.OutsideFail, time.Time{}))
		time.Sleep(20 * time.Second)
		if m := w.message(late); m.Status != message.StatusQueued {
			t.Errorf("while a process is silent, the message is %s", m.Status)
		}
		c.change(func(c *covered) { c.silentAt = time.Time{} })
		time.Sleep(20 * time.Second)
		if m := w.message(late); m.Status != message.StatusFailed {
			t.Errorf("once all processes report, the message is %s", m.Status)
		}
		// Forever is too long: then WhatsApp decides.
		c.change(func(c *covered) { c.silentAt = time.Now().Add(-time.Second) })
		forever := w.queue("acme", recipient(4), outside(message.OutsideFail, time.Time{}))
		time.Sleep(11 * time.Minute)
		if m := w.message(forever); m.Status != message.StatusSent {
			t.Errorf("after eleven minutes without certainty, the message is %s", m.Status)
		}
	})
}

// Without certainty, WhatsApp decides. If it refuses the text, the fallback goes.
func TestWithoutCertaintyWhatsAppDecides(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		w.locked(func() {
			w.answer = func(r dispatch.CallRequest) message.CallResult {
				if r.Kind == message.KindTemplate {
					return nil
				}
				return message.Refused{Failure: message.Failure{Code: new(131047), Category: message.CategoryPolicy, Class: message.ClassPermanent}}
			}
		})
		w.guarded(&covered{unknown: true}, nil)
		fails := w.queue("acme", recipient(1), outside(message.OutsideFail, time.Time{}))
		falls := w.queue("acme", recipient(2), outside(message.OutsideFallback, time.Time{}))
		time.Sleep(10 * time.Second)
		if m := w.message(fails); m.Status != message.StatusFailed || m.Failure.Category != message.CategoryWindow || len(w.callsOf(fails)) != 1 {
			t.Errorf("FAIL: the message is %s, %v", m.Status, m.Failure)
		}
		if m, calls := w.message(falls), w.callsOf(falls); m.Status != message.StatusSent || fmt.Sprint(calls) != "[TEXT TEMPLATE]" {
			t.Errorf("FALLBACK: the message is %s with the calls %v", m.Status, calls)
		}
	})
}

// From the moment that a person's opt-out is in the event log, no marketing message to them is
// called, however far behind the read model and the subscription are. Their OTP goes out, and so
// do messages to others.
func TestNoMarketingFollowsAnOptOut(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 500}, func(w *world) {
		w.viewsLag, w.subscribeLag = 700*time.Millisecond, time.Second
		g, _ := w.guarded(&covered{}, func(o *dispatch.Options) { o.PairLimit = false })
		log := g.Watch(w)
		for range 1000 {
			w.queue("acme", recipient(1), bulk)
		}
		for range 100 {
			w.queue("acme", recipient(2), bulk)
		}
		time.Sleep(time.Second)
		before := len(w.made())
		w.chooses(log, recipient(1), true)
		recordedAt := time.Now()
		code := w.queue("acme", recipient(1), otp)
		time.Sleep(time.Minute)
		others := 0
		for _, c := range w.made() {
			switch {
			case c.To == recipient(2):
				others++
			case c.at.After(recordedAt) && c.MessageID != code:
				t.Fatalf("a call %s after the opt-out", c.at.Sub(recordedAt))
			}
		}
		if before == 0 || before == 1000 || others != 100 {
			t.Errorf("%d calls before the opt-out, %d to another person", before, others)
		}
		if m := w.message(code); m.Status != message.StatusSent {
			t.Errorf("the OTP is %s", m.Status)
		}
		if sent, suppressed := w.count(message.StatusSent), w.count(message.StatusSuppressed); sent+suppressed != 1101 || suppressed == 0 {
			t.Errorf("%d messages are sent and %d suppressed", sent, suppressed)
		}
		w.chooses(log, recipient(1), false)
		again := w.queue("acme", recipient(1), bulk)
		time.Sleep(5 * time.Second)
		if m := w.message(again); m.Status != message.StatusSent {
			t.Errorf("after the person opted in again, the message is %s", m.Status)
		}
	})
}

// Older versions recorded BULK in the case of the caller.
func TestMarketingIsRecognizedInAnyCase(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Options{Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	for priority, want := range map[message.Priority]bool{"BULK": true, "bulk": true, "OTP": false, "TRANSACTIONAL": false, "otp": false} {
		if got := g.Concerns(&message.Message{Priority: priority}, nil); got != want {
			t.Errorf("%s: %t, want %t", priority, got, want)
		}
	}
}

// A process that starts, or takes a lane over, sends no marketing before the read model has what
// people chose before. Other messages don't wait for it.
func TestMarketingWaitsForTheReadModel(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		w.viewsLag = time.Minute
		w.chooses(w, recipient(1), true)
		var marketing []uuid.UUID
		for range 50 {
			marketing = append(marketing, w.queue("acme", recipient(1), bulk))
		}
		w.guarded(&covered{}, nil)
		code := w.queue("acme", recipient(1), otp)
		time.Sleep(10 * time.Second)
		if m := w.message(code); m.Status != message.StatusSent || len(w.made()) != 1 {
			t.Errorf("the OTP is %s; %d calls", m.Status, len(w.made()))
		}
		if m := w.message(marketing[0]); m.Status != message.StatusQueued {
			t.Errorf("before the read model knows the choice, the message is %s", m.Status)
		}
		time.Sleep(time.Minute)
		if n := w.count(message.StatusSuppressed); n != 50 || len(w.made()) != 1 {
			t.Errorf("%d messages are suppressed; %d calls", n, len(w.made()))
		}
	})
}
