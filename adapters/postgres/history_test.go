package postgres_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func queued(senderID, key string) message.Queued {
	return message.Queued{
		Sender: senderID, Kind: "TEXT", Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
		Fingerprint: "f", Personal: message.QueuedPersonal{
			To: "+14155550101", Content: json.RawMessage(`{"type":"text"}`), IdempotencyKey: key,
			Labels: []message.Label{{Name: "campaign", Value: "spring"}},
		},
	}
}

func failure() message.Failure {
	code := 131000
	return message.Failure{Code: &code, Category: message.CategoryServer, Class: message.ClassTransient, Message: "something went wrong"}
}

// history draws what may happen to one message, append by append.
type history struct {
	id      uuid.UUID
	sender  string
	status  message.Status
	calls   int
	attempt int
	records []message.Record
}

func (h *history) record(at time.Time, events ...domain.Event) {
	for _, e := range events {
		h.status = message.Next(h.status, e.(message.Event))
		h.records = append(h.records, message.Record{Event: e, At: at})
	}
}

// next draws the events of the message's next append; none if it is over.
func (h *history) next(t *rapid.T, now time.Time) []domain.Event {
	soon := now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "delay")) * time.Second)
	one := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "what") }
	failed := message.Failed{Call: h.calls, Attempt: h.attempt, Failure: failure(), At: now}
	sent := message.Sent{
		Call: h.calls, At: now, By: message.ByAnswer,
		Personal: message.SentPersonal{WhatsAppID: fmt.Sprintf("wamid.%s.%d", h.id, h.calls)},
	}
	dead := message.DeadLettered{Attempts: h.attempt, Failure: failure()}
	switch h.status {
	case "":
		q := queued(h.sender, h.id.String())
		q.Priority = rapid.SampledFrom(message.Priorities()).Draw(t, "priority")
		if rapid.Bool().Draw(t, "scheduled") {
			q.SendAt = soon
		}
		if rapid.Bool().Draw(t, "expires") {
			q.ExpiresAt = now.Add(time.Hour)
		}
		return []domain.Event{q}
	case message.StatusQueued, message.StatusRetrying:
		switch one(8) {
		case 0:
			return []domain.Event{message.Cancelled{Reason: "no"}}
		case 1:
			return []domain.Event{message.Expired{}}
		}
		h.calls++
		h.attempt++
		return []domain.Event{message.SendAttempted{Call: h.calls, Attempt: h.attempt, AnswerBy: soon}}
	case message.StatusSending:
		switch one(7) {
		case 0:
			return []domain.Event{failed, message.RetryScheduled{Attempt: h.attempt, DueAt: soon}}
		case 1:
			failed.Final = true
			return []domain.Event{failed}
		case 2:
			return []domain.Event{failed, dead}
		case 3:
			h.attempt--
			return []domain.Event{message.Deferred{Call: h.calls, Attempt: h.attempt, Reason: message.DeferThrottled, DueAt: soon}}
		case 4:
			return []domain.Event{message.OutcomeUnknown{Call: h.calls, Cause: "timeout", SettleBy: soon}}
		}
		return []domain.Event{sent}
	case message.StatusAmbiguous:
		switch one(4) {
		case 0:
			return []domain.Event{message.RetryScheduled{Attempt: h.attempt, DueAt: soon}}
		case 1:
			return []domain.Event{dead}
		case 2:
			return []domain.Event{message.Expired{}}
		}
		sent.By, sent.Again = message.ByStatus, h.calls > 1
		return []domain.Event{sent}
	case message.StatusSent, message.StatusDelivered, message.StatusRead:
		switch one(5) {
		case 0:
			return []domain.Event{message.Confirmed{Call: h.calls, At: now}}
		case 1:
			failed.AfterAcceptance = true
			if h.status == message.StatusSent {
				return []domain.Event{failed, dead}
			}
			return []domain.Event{failed}
		case 2:
			return []domain.Event{message.Read{Call: h.calls, At: now, CalledAt: now}}
		}
		return []domain.Event{message.Delivered{Call: h.calls, At: now, CalledAt: now}}
	case message.StatusDeadLettered:
		if one(2) == 0 {
			h.attempt = 0
			return []domain.Event{message.Requeued{Reason: "again"}}
		}
		return []domain.Event{message.Discarded{Reason: "no"}}
	case message.StatusFailed, message.StatusCancelled, message.StatusExpired, message.StatusDiscarded:
	}
	return nil
}
