package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/message"
)

// Fingerprinter computes and compares the keyed hash that distinguishes a repeated request
// from another message under the same idempotency key. It is keyed so that no one can
// search the log for a number or a text by hashing guesses.
type Fingerprinter interface {
	Fingerprint(parts ...[]byte) string
	// Matches reports whether the parts have the fingerprint, under the current key or an
	// older one.
	Matches(fingerprint string, parts ...[]byte) bool
}

// QueueMessage accepts messages. An accepted message is durably recorded.
type QueueMessage struct {
	messages *Messages
	senders  *Senders
	prints   Fingerprinter
	intake   *fair.Intake  // nil if nothing bounds accepting
	within   time.Duration // the default of deliverWithin
	logger   *slog.Logger
	numberOf func(ctx context.Context, userID string) (string, error)
	// templates checks messages of templates. If nil, only WhatsApp does.
	templates *repository.Templates
	warned    sync.Map // senders for which a key with its recipient's number was logged
}

// NewQueueMessage returns the use case.
func NewQueueMessage(messages *Messages, senders *Senders, prints Fingerprinter) *QueueMessage {
	return &QueueMessage{messages: messages, senders: senders, prints: prints, logger: slog.New(slog.DiscardHandler)}
}

// Logged makes h log warnings about requests that are accepted but should be changed, and
// returns h.
func (h *QueueMessage) Logged(l *slog.Logger) *QueueMessage {
	h.logger = l
	return h
}

// Bounded makes i bound how many messages h appends at a time, and returns h.
func (h *QueueMessage) Bounded(i *fair.Intake) *QueueMessage {
	h.intake = i
	return h
}

// DeliveredWithin makes h report deliveries as overdue that take longer than d, unless the
// request says something else, and returns h. If d is 0, none is.
func (h *QueueMessage) DeliveredWithin(d time.Duration) *QueueMessage {
	h.within = d
	return h
}

// Checking makes h refuse messages that don't fit their template, and returns h.
func (h *QueueMessage) Checking(templates *repository.Templates) *QueueMessage {
	h.templates = templates
	return h
}

// checkTemplate checks the template of a message, and that of its fallback, as far as this process
// knows them. It reads nothing but the sender, which is cached.
func (h *QueueMessage) checkTemplate(ctx context.Context, r message.Request) error {
	t, ok := r.Content.(message.Template)
	if !ok && r.Fallback == nil || h.templates == nil {
		return nil
	}
	s, err := h.senders.Load(ctx, r.Sender)
	if err != nil {
		return err
	}
	if ok { // it has no fallback
		return domain.PrefixField("content.template", h.templates.Check(s.BusinessAccountID, t))
	}
	return domain.PrefixField("fallback", h.templates.Check(s.BusinessAccountID, *r.Fallback))
}

// nameTimeout limits the lookup of the number of a user ID.
const nameTimeout = 500 * time.Millisecond

// Knowing makes h look up the phone number of the person with a user ID, which is "" if it is
// not known, and returns h.
func (h *QueueMessage) Knowing(numberOf func(ctx context.Context, userID string) (string, error)) *QueueMessage {
	h.numberOf = numberOf
	return h
}

// nameOf returns the name under whose data key a message is sealed: if it is known, the
// recipient's number in its current notation. All messages to a person then have one data key,
// by which dispatch recognizes that they share WhatsApp's limit per recipient.
func (h *QueueMessage) nameOf(ctx context.Context, r message.Request) string {
	if r.To != "" {
		return identity.Current(r.To)
	}
	if h.numberOf == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	number, err := h.numberOf(ctx, r.ToUserID)
	if err != nil {
		return "" // the message gets a key of its own; only the limit is then WhatsApp's to enforce
	}
	return identity.Current(number)
}

// warnOfKey logs, once for each sender, an idempotency key that contains its recipient's
// number or user ID. Such a key isn't rejected, because callers that have used such keys for years
// could not send anything.
func (h *QueueMessage) warnOfKey(ctx context.Context, r message.Request) {
	if !message.NamesRecipient(r.IdempotencyKey, cmp.Or(r.To, r.ToUserID)) {
		return
	}
	if _, known := h.warned.LoadOrStore(r.Sender, true); !known {
		h.logger.WarnContext(ctx, "an idempotency key contains its recipient's number or user ID; message IDs are derived from keys and stay after an erasure, "+
			"so use an order number or a random value, or an HMAC with the secret of the query idempotencySecret", "sender", r.Sender)
	}
}

// Queued is the result of a request: the message, and whether it already existed.
type Queued struct {
	repository.Loaded

	Replayed bool
}

// Handle queues one message. r needs no Fingerprint, and its To can have any notation of a
// number with a country code. It must have exactly one of To and ToUserID. Errors that the caller can fix are *domain.Error. A conflict
// contains the ID of the existing message. A message that is refused because of an overload
// has an error with RetryAfter, and nothing of it is recorded.
func (h *QueueMessage) Handle(ctx context.Context, r message.Request, cause event.Cause) (Queued, error) {
	return h.traced(ctx, r, cause, h.intake.Until(), false)
}

// traced is handle in a span. The span is below the caller's, or starts its own trace if
// the message is one of many.
func (h *QueueMessage) traced(
	ctx context.Context, r message.Request, cause event.Cause, until time.Time, ownTrace bool,
) (Queued, error) {
	ctx, span := h.messages.trace.Begin(ctx, trace.Start{
		Kind: trace.Producer, Name: "queue message", Parent: cause.Traceparent, Root: ownTrace,
	})
	defer span.End()
	cause.Traceparent = cmp.Or(span.Traceparent(), cause.Traceparent)
	q, err := h.handle(ctx, r, cause, until)
	if span.IsRecording() {
		if err != nil {
			span.SetError(string(domain.CodeOf(err)))
		} else {
			span.SetString("waypost.sender.id", q.Message.Sender)
			span.SetString("waypost.message.id", q.ID.String())
			span.SetString("waypost.message.replayed", strconv.FormatBool(q.Replayed))
		}
	}
	return q, err
}

// handle queues a message, which waits until the given time for its turn to be recorded.
func (h *QueueMessage) handle(ctx context.Context, r message.Request, cause event.Cause, until time.Time) (Queued, error) {
	if err := h.prepare(ctx, &r); err != nil {
		return Queued{}, err
	}
	id := h.messages.ids()
	if r.IdempotencyKey != "" {
		id = message.ID(r.Sender, r.IdempotencyKey)
	}
	events, err := message.Queue(r, h.messages.clock())
	if err != nil {
		return h.lateReplay(ctx, r, err)
	}
	q := events[0].(message.Queued) //nolint:forcetypeassert // Queue returns exactly one event, of this type
	parts := fingerprintParts(q)
	if refused := h.checkTemplate(ctx, r); refused != nil {
		return h.replayOr(ctx, r, parts, refused)
	}
	if earlier, err := h.replayOf(ctx, r.Sender, r.FormerKeys, parts); domain.CodeOf(err) != domain.CodeNotFound {
		return earlier, err
	}
	q.Personal.Fingerprint = h.prints.Fingerprint(parts...)
	l, err := h.create(ctx, repository.Loaded{ID: id, Name: h.nameOf(ctx, r)}, cause, q, until)
	switch {
	case err == nil:
		h.warnOfKey(ctx, r)
		return Queued{Loaded: l}, nil
	case errors.Is(err, event.ErrTooLarge):
		return Queued{}, &domain.Error{Code: domain.CodeTooLarge, Field: "content", Message: "is too large to be recorded; send media by id or link"}
	case !repository.IsConflict(err):
		return Queued{}, err
	}
	return h.replay(ctx, id, parts)
}

// create records the message when it is its turn, at most until the given time.
func (h *QueueMessage) create(
	ctx context.Context, l repository.Loaded, cause event.Cause, q message.Queued, until time.Time,
) (repository.Loaded, error) {
	leave, err := h.intake.Enter(ctx, until, q.Priority == message.PriorityOTP)
	if err != nil {
		return l, err
	}
	defer leave()
	return l, h.messages.Create(ctx, &l, cause, q)
}

// check decides on a request as handle does, and records nothing. It returns the
// zero Queued for a message that would be queued.
func (h *QueueMessage) check(ctx context.Context, r message.Request) (Queued, error) {
	if err := h.prepare(ctx, &r); err != nil {
		return Queued{}, err
	}
	events, err := message.Queue(r, h.messages.clock())
	if err != nil {
		return h.lateReplay(ctx, r, err)
	}
	parts := fingerprintParts(events[0].(message.Queued)) //nolint:forcetypeassert // Queue returns exactly one event, of this type
	return h.replayOr(ctx, r, parts, h.checkTemplate(ctx, r))
}

// replayOr returns the message of a repeated request, or refused if there is none. A message
// that was accepted stays accepted, even if its template has been deleted since.
func (h *QueueMessage) replayOr(ctx context.Context, r message.Request, parts [][]byte, refused error) (Queued, error) {
	q, err := h.replayOf(ctx, r.Sender, keysOf(r), parts)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return Queued{}, refused
	}
	return q, err
}

// lateReplay handles a request that was rejected because of its times. A repeated
// request's times are ignored, because its expiresAt can have passed since the first
// request. lateReplay returns the rejection of any other request.
func (h *QueueMessage) lateReplay(ctx context.Context, r message.Request, refused error) (Queued, error) {
	var e *domain.Error
	if len(keysOf(r)) == 0 || !errors.As(refused, &e) || (e.Field != "expiresAt" && e.Field != "sendAt") {
		return Queued{}, refused
	}
	r.SendAt, r.ExpiresAt = time.Time{}, time.Time{}
	events, err := message.Queue(r, h.messages.clock())
	if err != nil {
		return Queued{}, err
	}
	parts := fingerprintParts(events[0].(message.Queued)) //nolint:forcetypeassert // Queue returns exactly one event, of this type
	return h.replayOr(ctx, r, parts, refused)
}

// keysOf returns the keys under which the message of a request can exist.
func keysOf(r message.Request) []string {
	if r.IdempotencyKey == "" {
		return r.FormerKeys
	}
	return append([]string{r.IdempotencyKey}, r.FormerKeys...)
}

// replayOf returns the result of a request whose message already exists, under the first
// of the keys that has a message. It returns domain.NotFound if none has one.
func (h *QueueMessage) replayOf(ctx context.Context, sender string, keys []string, parts [][]byte) (Queued, error) {
	for _, key := range keys {
		if q, err := h.replay(ctx, message.ID(sender, key), parts); domain.CodeOf(err) != domain.CodeNotFound {
			return q, err
		}
	}
	return Queued{}, domain.NotFound("no message under these keys")
}

// replay returns the result of a request whose message already exists. It returns an error
// if the message has another recipient or content.
func (h *QueueMessage) replay(ctx context.Context, id uuid.UUID, parts [][]byte) (Queued, error) {
	l, err := h.messages.Load(ctx, id)
	if err != nil {
		return Queued{}, err
	}
	if l.Message.Erased() {
		return Queued{}, &domain.Error{
			Code: domain.CodeConflict, Field: "idempotencyKey", MessageID: id.String(),
			Message: "was used for a message whose personal data was erased, so the messages cannot be compared; use another key",
		}
	}
	if !h.prints.Matches(l.Message.Fingerprint, parts...) {
		return Queued{}, &domain.Error{
			Code: domain.CodeConflict, Field: "idempotencyKey", MessageID: id.String(),
			Message: "was used for a message with another recipient, content, or fallback; use another key, or repeat the first request as it was",
		}
	}
	return Queued{Loaded: l, Replayed: true}, nil
}

func (h *QueueMessage) prepare(ctx context.Context, r *message.Request) error {
	if _, err := h.senders.Load(ctx, r.Sender); err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return domain.Invalid("senderId", "no sender %.64q is registered; register it with registerSender", r.Sender)
		}
		return err
	}
	to, user, err := message.ParseRecipient(r.To, r.ToUserID)
	if err != nil {
		return err
	}
	r.To, r.ToUserID = to, user
	if r.DeliverWithin == nil {
		r.DeliverWithin = &h.within
	}
	if r.IdempotencyKey != "" {
		if err := message.ValidateIdempotencyKey(r.IdempotencyKey); err != nil {
			return err
		}
	}
	if len(r.FormerKeys) > maxFormerKeys {
		return domain.Invalid("formerKeys", "has %d keys, at most %d are allowed", len(r.FormerKeys), maxFormerKeys)
	}
	for i, key := range r.FormerKeys {
		var e *domain.Error
		if err := message.ValidateIdempotencyKey(key); errors.As(err, &e) {
			return domain.Invalid(fmt.Sprintf("formerKeys.%d", i), "%s", e.Message)
		}
	}
	return message.ValidateLabels(r.Labels)
}

// maxFormerKeys bounds the number of streams that one request reads.
const maxFormerKeys = 4

// fingerprintParts returns what a repeated request is compared by. Messages of older versions
// and most newer ones have the first four parts only.
func fingerprintParts(q message.Queued) [][]byte {
	parts := [][]byte{[]byte(cmp.Or(q.Personal.To, q.Personal.ToUserID)), []byte(q.Kind), q.Personal.Content, []byte(q.Personal.ReplyTo)}
	if q.OutsideWindow != "" {
		parts = append(parts, []byte(q.OutsideWindow), q.Personal.Fallback)
	}
	return parts
}

// QueueResult is the result of one request of many.
type QueueResult struct {
	Queued
	Err error
}

// queueConcurrency is the number of messages of one request to append concurrently. The
// event store commits them in groups, and a client's connection carries at most 100.
const queueConcurrency = 48

// CheckMany decides on each message as HandleMany does, but records nothing. A result with
// neither an error nor an ID is a message that would be queued.
func (h *QueueMessage) CheckMany(ctx context.Context, requests []message.Request) []QueueResult {
	results := make([]QueueResult, len(requests))
	slots := make(chan struct{}, queueConcurrency)
	var wg sync.WaitGroup
	for i, r := range requests {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i].Queued, results[i].Err = h.check(ctx, r)
		})
	}
	wg.Wait()
	return results
}

// HandleMany queues messages and returns one result for each, in their order. If two
// requests have the same key, the second is the repeat of the first.
func (h *QueueMessage) HandleMany(ctx context.Context, requests []message.Request, cause event.Cause) []QueueResult {
	results := make([]QueueResult, len(requests))
	type keyed struct{ sender, key string }
	seen := make(map[keyed]bool, len(requests))
	until := h.intake.Until()
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
			repository.GrowStack()
			results[i].Queued, results[i].Err = h.traced(ctx, r, cause, until, len(requests) > 1)
		})
	}
	wg.Wait()
	for _, i := range repeats {
		results[i].Queued, results[i].Err = h.traced(ctx, requests[i], cause, until, true)
	}
	return results
}
