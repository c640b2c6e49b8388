package command

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Fingerprinter makes and compares the keyed hash by which a repeat under the
// same idempotency key is told from another message. It is keyed so that the
// log cannot be searched for a number or a text by hashing guesses.
type Fingerprinter interface {
	Fingerprint(parts ...[]byte) string
	// Matches also knows fingerprints made under an older key.
	Matches(fingerprint string, parts ...[]byte) bool
}

// QueueMessage accepts messages: accepted means durably recorded.
type QueueMessage struct {
	messages *Messages
	senders  *Senders
	prints   Fingerprinter
}

// NewQueueMessage makes the use case.
func NewQueueMessage(messages *Messages, senders *Senders, prints Fingerprinter) *QueueMessage {
	return &QueueMessage{messages: messages, senders: senders, prints: prints}
}

// Queued is the answer to a request: the message, and whether it stood already.
type Queued struct {
	Loaded
	Replayed bool
}

// Handle queues one message. r needs no Fingerprint and its To any notation of
// a number with country code. Errors are *domain.Error for what the caller can
// mend; a conflict carries the id of the message in the way.
func (h *QueueMessage) Handle(ctx context.Context, r message.Request, cause Cause) (Queued, error) {
	return h.traced(ctx, r, cause, false)
}

// traced is handle in a span: inside of the one that asked for it, or of a trace of its
// own for a message that was one of many.
func (h *QueueMessage) traced(ctx context.Context, r message.Request, cause Cause, ownTrace bool) (Queued, error) {
	ctx, span := h.messages.trace.Begin(ctx, trace.Start{
		Kind: trace.Producer, Name: "queue message", Parent: cause.Traceparent, Root: ownTrace,
	})
	defer span.End()
	cause.Traceparent = cmp.Or(span.Traceparent(), cause.Traceparent)
	q, err := h.handle(ctx, r, cause)
	if span.On() {
		span.Text("waypost.sender.id", q.Message.Sender)
		if err != nil {
			span.Fail(string(domain.CodeOf(err)))
		} else {
			span.Text("waypost.message.id", q.ID.String())
			span.Text("waypost.message.replayed", strconv.FormatBool(q.Replayed))
		}
	}
	return q, err
}

func (h *QueueMessage) handle(ctx context.Context, r message.Request, cause Cause) (Queued, error) {
	if err := h.prepare(ctx, &r); err != nil {
		return Queued{}, err
	}
	id := h.messages.ids()
	if r.IdempotencyKey != "" {
		id = message.ID(r.Sender, r.IdempotencyKey)
	}
	events, err := message.Queue(r, h.messages.clock())
	if err != nil {
		return h.lateReplay(ctx, id, r, err)
	}
	parts := fingerprintParts(events[0].(message.Queued)) //nolint:forcetypeassert // Queue answers it and no other
	q := events[0].(message.Queued)                       //nolint:forcetypeassert // as above
	q.Personal.Fingerprint = h.prints.Fingerprint(parts...)
	l := Loaded{ID: id}
	err = h.messages.append(ctx, &l, event.NoStream(), cause, []message.Event{q})
	var wrong *event.WrongRevisionError
	switch {
	case err == nil:
		return Queued{Loaded: l}, nil
	case errors.Is(err, event.ErrTooLarge):
		return Queued{}, &domain.Error{Code: domain.CodeTooLarge, Field: "content", Message: "is too large to be recorded; send media by id or link"}
	case !errors.As(err, &wrong):
		return Queued{}, err
	}
	return h.replay(ctx, id, parts)
}

// lateReplay answers a request that is refused for its times: a repeat's are
// ignored, and an expiresAt may have passed since the first request. Any other
// request stays refused.
func (h *QueueMessage) lateReplay(ctx context.Context, id uuid.UUID, r message.Request, refused error) (Queued, error) {
	var e *domain.Error
	if r.IdempotencyKey == "" || !errors.As(refused, &e) || (e.Field != "expiresAt" && e.Field != "sendAt") {
		return Queued{}, refused
	}
	r.SendAt, r.ExpiresAt = time.Time{}, time.Time{}
	events, err := message.Queue(r, h.messages.clock())
	if err != nil {
		return Queued{}, err
	}
	q, err := h.replay(ctx, id, fingerprintParts(events[0].(message.Queued))) //nolint:forcetypeassert // Queue answers it and no other
	if domain.CodeOf(err) == domain.CodeNotFound {
		return Queued{}, refused
	}
	return q, err
}

// replay answers a request whose message stands already.
func (h *QueueMessage) replay(ctx context.Context, id uuid.UUID, parts [][]byte) (Queued, error) {
	l, err := h.messages.Load(ctx, id)
	if err != nil {
		return Queued{}, err
	}
	if l.Message.Erased() {
		return Queued{}, &domain.Error{
			Code: domain.CodeConflict, Field: "idempotencyKey", MessageID: id.String(),
			Message: "was used for a message whose personal data are erased, so that it cannot be compared; use another key",
		}
	}
	if !h.prints.Matches(l.Message.Fingerprint, parts...) {
		return Queued{}, &domain.Error{
			Code: domain.CodeConflict, Field: "idempotencyKey", MessageID: id.String(),
			Message: "was used for a message with another recipient or content; use another key, or repeat the first request as it was",
		}
	}
	return Queued{Loaded: l, Replayed: true}, nil
}

func (h *QueueMessage) prepare(ctx context.Context, r *message.Request) error {
	if _, err := h.senders.Load(ctx, r.Sender); err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return domain.Invalid("senderId", "no sender %q is registered; register it with registerSender", r.Sender)
		}
		return err
	}
	to, err := message.ParseNumber(r.To)
	if err != nil {
		return err
	}
	r.To = to
	if r.IdempotencyKey != "" {
		if err := message.ValidateIdempotencyKey(r.IdempotencyKey); err != nil {
			return err
		}
	}
	return message.ValidateLabels(r.Labels)
}

func fingerprintParts(q message.Queued) [][]byte {
	return [][]byte{[]byte(q.Personal.To), []byte(q.Kind), q.Personal.Content, []byte(q.Personal.ReplyTo)}
}

// QueueResult is the answer to one request of many.
type QueueResult struct {
	Queued
	Err error
}

// queueConcurrency is how many messages of one request are appended at once: the
// store commits them in groups, and a client's connection carries at most 100.
const queueConcurrency = 48

// HandleMany queues messages, one answer each, in their order. Two of them under
// one key are taken in their order, so that the second is the repeat.
func (h *QueueMessage) HandleMany(ctx context.Context, requests []message.Request, cause Cause) []QueueResult {
	results := make([]QueueResult, len(requests))
	type keyed struct{ sender, key string }
	seen := make(map[keyed]bool, len(requests))
	var repeats []int
	slots := make(chan struct{}, queueConcurrency)
	var wg sync.WaitGroup
	for i, r := range requests {
		k := keyed{r.Sender, r.IdempotencyKey}
		if r.IdempotencyKey != "" && seen[k] {
			repeats = append(repeats, i)
			continue
		}
		seen[k] = true
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i].Queued, results[i].Err = h.traced(ctx, r, cause, len(requests) > 1)
		})
	}
	wg.Wait()
	for _, i := range repeats {
		results[i].Queued, results[i].Err = h.traced(ctx, requests[i], cause, true)
	}
	return results
}
