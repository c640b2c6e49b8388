package work

import (
	"cmp"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// EventTypes returns the types of the events that Apply acts on. They don't include the
// statuses, which are most of the event log, nor a missing one: an accepted message has no
// work item.
func EventTypes() []string {
	statuses := []string{
		message.Confirmed{}.EventType(), message.Delivered{}.EventType(), message.Read{}.EventType(), message.StatusReported{}.EventType(),
		message.DeliveryOverdue{}.EventType(),
	}
	var names []string
	for _, t := range message.Types() {
		if !slices.Contains(statuses, t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// An Entry is what is known about the work item of one message after some of its events.
// The zero Entry is the state before the first of them.
//
// An Entry that starts in the middle of a stream is incomplete: it holds only what the
// applied events say. So a projection can fold a batch without reading its rows, and
// update each row once with the fields that are known.
type Entry struct {
	// Item is the work item. If Complete is false, its revision and position are known,
	// and the fields that the flags below name.
	Item Item
	// SendAt is when a scheduled message is due for the first time. It is zero if the
	// message was due when it was queued or requeued.
	SendAt time.Time
	// Labels are the labels of the message, if they can be read. Item.Labels, which depends on
	// how the list identifies them, is left to the caller.
	Labels []message.Label
	// Complete reports whether every other field of Item is known, because Queued was applied.
	Complete bool
	// Closed reports whether the message has no work item.
	Closed bool
	// StateKnown covers State, DueAt, Fresh, and AwaitsLimit.
	StateKnown, AttemptKnown, CallKnown, TemplateKnown bool
}

// Reopens reports whether an event gives a message without a work item one again.
func Reopens(e message.Event) bool {
	switch e := e.(type) {
	case message.Requeued:
		return true
	case message.Substituted:
		return e.AfterAcceptance
	}
	return false
}

// Fold returns the entry after the first events of a message's stream.
func Fold(events ...event.Recorded) Entry {
	var e Entry
	for _, r := range events {
		e = Apply(e, r)
	}
	return e
}

// Apply returns the entry after the next event of the message's stream. It is the only
// fold of the work list: a pure function, used by the projection, the simulation of
// dispatch and the tests.
//
// Requeued, and Substituted after an acceptance, open an item again only in a complete entry. Otherwise the caller must Fold
// the stream from its start, because only Queued has the facts that an item needs.
func Apply(e Entry, r event.Recorded) Entry {
	switch v := r.Event.(type) {
	case message.Queued:
		return queued(r, v)
	case message.Requeued:
		e.Closed = e.Closed && !e.Complete
		e.SendAt = time.Time{}
		e.wait(Ready, r.Meta.RecordedAt)
		e.count(0)
	case message.Substituted:
		if v.AfterAcceptance {
			e.Closed = e.Closed && !e.Complete
			e.SendAt = time.Time{}
		}
		e.wait(Ready, laterOf(r.Meta.RecordedAt, v.DueAt))
		e.count(0)
		e.Item.Template, e.TemplateKnown = message.TemplateKey(v.Template, v.Language), true
	case message.SendAttempted:
		e.wait(Calling, v.AnswerBy)
		e.count(v.Attempt)
		e.Item.Call, e.CallKnown = v.Call, true
	case message.Deferred:
		e.wait(Ready, v.DueAt)
		e.Item.AwaitsLimit = v.Reason == message.DeferMessagingLimit
		e.count(v.Attempt)
	case message.RetryScheduled:
		e.wait(Ready, v.DueAt)
		e.count(v.Attempt)
	case message.OutcomeUnknown:
		e.wait(Unsettled, v.SettleBy)
		if v.Attempt != nil {
			e.count(*v.Attempt)
		}
	case message.Failed:
		e.Closed = e.Closed || v.Final
	case message.Sent, message.DeadLettered, message.Cancelled, message.Expired, message.Discarded, message.Suppressed:
		e.Closed = true
	default:
		return e
	}
	e.Item.Revision, e.Item.Position = r.Revision, r.Position
	return e
}

func queued(r event.Recorded, q message.Queued) Entry {
	id, _ := event.ParseMessageStream(r.Stream)
	e := Entry{Complete: true, StateKnown: true, AttemptKnown: true, CallKnown: true, TemplateKnown: true, Labels: q.Personal.Labels, Item: Item{
		MessageID: id, Sender: q.Sender, Priority: q.Priority, State: Ready, Fresh: true, DueAt: r.Meta.RecordedAt,
		ExpiresAt: q.ExpiresAt, Recipient: cmp.Or(string(r.Key), q.Personal.To, q.Personal.ToUserID), Template: message.TemplateKey(q.Template, q.TemplateLanguage), OnAmbiguous: q.OnAmbiguous,
		Revision: r.Revision, Position: r.Position, QueuedPosition: r.Position,
	}}
	if q.SendAt.After(e.Item.DueAt) {
		e.SendAt, e.Item.DueAt, e.Item.Fresh = q.SendAt, q.SendAt, false
	}
	return e
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// wait records the next state and when it is due.
func (e *Entry) wait(s State, due time.Time) {
	e.Item.State, e.Item.DueAt, e.Item.Fresh, e.StateKnown = s, due, false, true
	e.Item.AwaitsLimit = false
}

// count records the number of attempts used.
func (e *Entry) count(attempts int) { e.Item.Attempt, e.AttemptKnown = attempts, true }
