package dispatch_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	bulkrun "github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
	"github.com/waypost/waypost/ports/dispatch"
)

// vault is a world whose log seals all recipients with one data key, which can be
// destroyed or unavailable.
type vault struct {
	*world

	messages *command.Messages
	state    event.Personal // of all personal data; guarded by the world's lock
}

const dataKey event.KeyID = "k1"

func newVault(w *world) *vault {
	v := &vault{world: w}
	v.messages = command.NewMessages(v, time.Now, newID, 1000)
	return v
}

func (v *vault) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	done, err := v.world.Append(ctx, stream, expected, events...)
	for _, e := range events {
		if _, personal := e.Event.(message.Queued); personal {
			done.Key = dataKey
		}
	}
	return done, err
}

func (v *vault) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	events, err := v.world.Read(ctx, stream, from, limit)
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range events {
		q, personal := events[i].Event.(message.Queued)
		if !personal {
			continue
		}
		events[i].Key, events[i].Personal = dataKey, v.state
		if v.state == event.Erased || v.state == event.Locked {
			q.Personal = message.QueuedPersonal{}
			events[i].Event = q
		}
	}
	return events, err
}

func (v *vault) set(state event.Personal) {
	v.locked(func() { v.state = state })
	if state == event.Erased {
		v.messages.Forget([]event.KeyID{dataKey})
	}
}

// deadLetter queues a message that is a dead letter immediately.
func (v *vault) deadLetter(to string) uuid.UUID {
	v.t.Helper()
	id := v.queue("acme", to, nil)
	_, err := v.world.messages.Change(v.ctx, id, tester, record(message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now()},
		message.DeadLettered{Attempts: 1, Failure: message.Failure{Class: message.ClassTransient}}))
	v.must(err)
	return id
}

// requeueAll starts an operation that requeues messages, and returns a function that
// returns its state.
func (v *vault) requeueAll(ids ...uuid.UUID) (state func() bulkrun.Operation) {
	v.t.Helper()
	operations := bulkrun.NewRunner(v, v.messages.Messages, time.Now, time.After, newID, slog.New(slog.DiscardHandler))
	go func() { _ = operations.Run(v.ctx) }() // until the test ends
	begun, err := operations.Start(v.ctx, bulkrun.Request{
		Kind: operation.KindRequeue, Reason: "again",
		Select: func(_ context.Context, yield func([]uuid.UUID) error) error { return yield(ids) },
	}, tester)
	v.must(err)
	return func() bulkrun.Operation {
		state, err := operations.Find(v.ctx, begun.ID)
		v.must(err)
		return state
	}
}

// An erased recipient gets no further messages, not even one that a bulk operation
// requeued.
func TestNothingIsSentToWhomWasErasedAfterABulkRequeue(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		v := newVault(w)
		id := v.deadLetter(recipient(1))
		w.pause("acme", true)
		w.dispatch(func(o *dispatch.Options) { o.Messages = v.messages })
		time.Sleep(5 * time.Second)
		state := v.requeueAll(id)
		time.Sleep(time.Second)
		if s := state(); !s.Finished || s.Done != 1 {
			t.Fatalf("the operation is %+v", s)
		}
		v.set(event.Erased)
		w.pause("acme", false)
		time.Sleep(10 * time.Second)
		if calls := w.made(); len(calls) > 0 {
			t.Errorf("%d calls to %q, who was erased", len(calls), calls[0].To)
		}
		want(t, w.message(id), message.StatusCancelled, 0, 1)
	})
}

// While it is unknown whether a message's data was erased, a bulk requeue waits.
func TestABulkRequeueWaitsForTheDataKeys(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		v := newVault(w)
		id := v.deadLetter(recipient(1))
		v.set(event.Locked)
		state := v.requeueAll(id)
		time.Sleep(10 * time.Second)
		if s := state(); s.Finished || s.RefusedCount > 0 {
			t.Errorf("while the keys are unavailable, the operation is %+v", s)
		}
		v.set(event.Clear)
		time.Sleep(time.Minute)
		if s := state(); !s.Finished || s.Done != 1 {
			t.Errorf("once the keys are available again, the operation is %+v", s)
		}
		want(t, w.message(id), message.StatusQueued, 0, 1)
	})
}

// A recipient whose data is erased while a call is in flight is not called again.
func TestNobodyIsRetriedWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		v := newVault(w)
		w.latency = func(dispatch.CallRequest) time.Duration { return 5 * time.Second }
		w.answer = func(dispatch.CallRequest) message.CallResult {
			return message.Refused{Failure: message.Failure{Class: message.ClassTransient, Category: message.CategoryServer}}
		}
		w.dispatch(func(o *dispatch.Options) { o.Messages = v.messages })
		time.Sleep(3 * time.Second)
		id := w.queue("acme", recipient(1), nil)
		time.Sleep(2 * time.Second)
		v.set(event.Erased)
		time.Sleep(time.Minute)
		if n := len(w.made()); n != 1 {
			t.Errorf("%d calls, want only the one before the erasure", n)
		}
		want(t, w.message(id), message.StatusCancelled, 1, 1)
	})
}

// A recipient whose data is erased while a call waits for its slot is not called.
func TestNobodyIsCalledWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 1}, func(w *world) {
		v := newVault(w)
		w.locked(func() { w.appending = func() time.Duration { return 5 * time.Millisecond } })
		var ids []uuid.UUID
		for n := range 5 {
			ids = append(ids, w.queue("acme", recipient(n), nil))
		}
		w.dispatch(func(o *dispatch.Options) { o.Messages = v.messages })
		next := func() int {
			for i, id := range ids {
				if m := w.message(id); m.Status == message.StatusSending && time.Since(m.Calls[0].StartedAt) > 20*time.Millisecond && len(w.made()) == i && i > 0 {
					return i
				}
			}
			return 0
		}
		for next() == 0 {
			time.Sleep(time.Millisecond)
		}
		before := len(w.made())
		v.set(event.Erased)
		time.Sleep(10 * time.Second)
		if n := len(w.made()); n != before {
			t.Errorf("%d calls after the erasure", n-before)
		}
		want(t, w.message(ids[before]), message.StatusCancelled, 0, 1)
	})
}
