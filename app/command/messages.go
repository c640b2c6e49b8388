package command

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Clock tells the platform's time.
type Clock func() time.Time

// IDs makes a fresh UUIDv7 for an event, a message or a request.
type IDs func() uuid.UUID

// Cause is who asked for something, and which request, event or delivery is
// behind it.
type Cause struct {
	By          domain.Actor
	CausationID string
	// Traceparent is that of the span in which it was asked for; empty: the message's own.
	Traceparent string
}

// Loaded is a message as it stands at a revision of its stream.
type Loaded struct {
	ID       uuid.UUID
	Message  message.Message
	Revision event.Revision
	// Position is the log position of its last event.
	Position event.Position
	// Traceparent is that of its last call, or of its queueing before any: what goes on
	// with its trace. Empty if it is not traced.
	Traceparent string
	// Key is the data key of its recipient, under which what is personal of it
	// stands in the log; ErasedAt is when that was destroyed.
	Key      event.KeyID
	ErasedAt time.Time

	locked bool // the key was not at hand: what is personal is missing from Message
	// era is that of the cache when it was read: if keys were forgotten since, its own
	// may be among them.
	era uint64
}

// maxHistory is how many events of one message are read at most. A message has
// some ten; the throttle limit and the retry budget keep it below a few hundred.
const maxHistory = 10_000

// maxConflicts is how often a decision is made again when someone else came
// first. Writers of one message are its lane, its statuses and an operator.
const maxConflicts = 10

// Messages loads and changes messages. It keeps the most recent ones folded;
// that is safe because every append carries the revision it was decided at.
type Messages struct {
	log   event.Log
	clock Clock
	ids   IDs
	cache *messageCache
	trace *trace.Tracer
}

// NewMessages makes the repository; cached bounds the messages kept folded.
func NewMessages(log event.Log, clock Clock, ids IDs, cached int) *Messages {
	return &Messages{log: log, clock: clock, ids: ids, cache: newMessageCache(cached)}
}

// Traced has t follow the messages, and answers s.
func (s *Messages) Traced(t *trace.Tracer) *Messages {
	s.trace = t
	return s
}

// Load is the message as the log has it, at least as new as anything this
// process appended. A message of which nothing is recorded is domain.NotFound,
// one whose recipient and content cannot be read at the moment domain.Unavailable.
func (s *Messages) Load(ctx context.Context, id uuid.UUID) (Loaded, error) {
	l, err := s.load(ctx, id)
	if err == nil && l.locked {
		return Loaded{}, domain.Unavailable("message %s cannot be read: its data key is not at hand and Postgres is away; try again", id)
	}
	return l, err
}

// load is Load for decisions that need nothing personal: a status is recorded
// while the keys are away, too.
func (s *Messages) load(ctx context.Context, id uuid.UUID) (Loaded, error) {
	era := s.cache.era()
	events, err := s.log.Read(ctx, event.MessageStream(id), 0, maxHistory)
	if err != nil {
		return Loaded{}, fmt.Errorf("load message %s: %w", id, err)
	}
	if len(events) == 0 {
		return Loaded{}, domain.NotFound("no message %s", id)
	}
	l := loaded(id, events, era)
	s.cache.put(l)
	return l, nil
}

// loaded is the message of its events, which were read when the cache was in that era.
func loaded(id uuid.UUID, events []event.Recorded, era uint64) Loaded {
	l := Loaded{ID: id, Message: message.Fold(records(events)...), era: era}
	last := events[len(events)-1]
	l.Revision, l.Position = last.Revision, last.Position
	for _, e := range events {
		if l.Key == "" {
			l.Key, l.ErasedAt = e.Key, e.ErasedAt
		}
		l.locked = l.locked || e.Personal == event.Locked
		if beginsTrace(e.Event) {
			l.Traceparent = cmp.Or(e.Meta.Traceparent, l.Traceparent)
		}
	}
	return l
}

// Follow keeps the messages of wanted senders as they are queued by any process, until
// ctx ends: reading each when its turn comes costs some ten times as much.
func (s *Messages) Follow(ctx context.Context, wanted func(sender string) bool) error {
	sub := event.Subscription{FromEnd: true, Filter: event.Filter{Types: []string{message.Queued{}.EventType()}}}
	return s.log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			id, ok := event.MessageOf(e.Stream)
			if ok && e.Event != nil && wanted(e.Meta.Sender) {
				s.cache.putQueued(loaded(id, []event.Recorded{e}, 0), s.clock())
			}
		}
		return nil
	})
}

// LoadAt is the message at a revision that is known from elsewhere, without a
// read when it is at hand. What it answers may be newer than asked for.
func (s *Messages) LoadAt(ctx context.Context, id uuid.UUID, revision event.Revision) (Loaded, error) {
	if l, ok := s.cache.get(id); ok && l.Revision >= revision {
		return l, nil
	}
	return s.Load(ctx, id)
}

// Latest reports whether l is the latest that this process knows of its message. It is
// not known of one that is not at hand any more, as when its personal data are erased.
func (s *Messages) Latest(l *Loaded) (latest, known bool) {
	kept, known := s.cache.revision(l.ID)
	return kept == l.Revision, known
}

// Append records events decided on l, and brings l up to them; it is in place since a
// message is half a kilobyte, and is handed on a few times. A *event.WrongRevisionError
// says that l was not the latest; the cache has then forgotten it. After an error l is as
// it was.
func (s *Messages) Append(ctx context.Context, l *Loaded, cause Cause, events ...message.Event) error {
	return s.append(ctx, l, event.At(l.Revision), cause, events)
}

func (s *Messages) append(ctx context.Context, l *Loaded, expected event.Expected, cause Cause, events []message.Event) error {
	now := s.clock()
	if !l.Message.Exists() {
		l.era = s.cache.era() // nothing of it was read
	}
	parent := cmp.Or(cause.Traceparent, l.Traceparent)
	sender := l.Message.Sender
	if q, ok := events[0].(message.Queued); ok {
		sender = q.Sender
	}
	news := make([]event.New, len(events))
	recs := make([]message.Record, len(events))
	begins := false
	for i, e := range events {
		news[i] = event.New{ID: s.ids(), Event: e, Meta: event.Meta{
			RecordedAt: now, Sender: sender, CorrelationID: l.ID.String(), CausationID: cause.CausationID,
			By: cause.By, OnBehalfOf: cause.By.OnBehalfOf, Traceparent: parent,
		}, Subject: subjectOf(l, e)}
		recs[i] = message.Record{Event: e, At: now}
		begins = begins || beginsTrace(e)
	}
	done, err := s.log.Append(ctx, event.MessageStream(l.ID), expected, news...)
	if err != nil {
		s.cache.forget(l.ID)
		return fmt.Errorf("append to message %s: %w", l.ID, err)
	}
	l.Message = l.Message.With(recs...)
	l.Revision, l.Position = done.Revision, done.Position
	l.Key = cmp.Or(l.Key, done.Key)
	if begins {
		l.Traceparent = parent
	}
	s.cache.put(*l)
	return nil
}

// beginsTrace reports whether what follows in a message's trace hangs below the event:
// all that comes of a call below the call.
func beginsTrace(e domain.Event) bool {
	switch e.(type) {
	case message.Queued, message.SendAttempted:
		return true
	}
	return false
}

// subjectOf is whom an event's personal data are about: the recipient, who may be
// known to WhatsApp under an id that is not the number.
func subjectOf(l *Loaded, e message.Event) event.Subject {
	to := l.Message.To
	if q, ok := e.(message.Queued); ok {
		to = q.Personal.To
	}
	if l.Key == "" {
		return event.Subject{People: []string{to}}
	}
	s := event.Subject{Key: l.Key}
	if sent, ok := e.(message.Sent); ok && to != "" && sent.Personal.RecipientID != "" && "+"+sent.Personal.RecipientID != to {
		s.People = []string{sent.Personal.RecipientID}
	}
	return s
}

// Forget drops messages from memory whose data keys are destroyed, and those that
// are being loaded meanwhile.
func (s *Messages) Forget(keys []event.KeyID) { s.cache.forgetKeys(keys, s.clock()) }

// Change loads the message, lets decide decide, appends, and begins anew when
// someone else came first. A decision for no events answers what stands.
func (s *Messages) Change(
	ctx context.Context, id uuid.UUID, cause Cause, decide func(message.Message) ([]message.Event, error),
) (Loaded, error) {
	l, cached := s.cache.get(id)
	for range maxConflicts {
		if !cached {
			var err error
			if l, err = s.Load(ctx, id); err != nil {
				return Loaded{}, err
			}
		}
		events, err := decide(l.Message)
		if err != nil && cached {
			cached = false // what the cache has may be behind another process: ask the log
			continue
		}
		if err != nil {
			return Loaded{}, err
		}
		if len(events) == 0 {
			return l, nil
		}
		err = s.Append(ctx, &l, cause, events...)
		var wrong *event.WrongRevisionError
		switch {
		case err == nil:
			return l, nil
		case !errors.As(err, &wrong):
			return Loaded{}, err
		}
		cached = false
	}
	return Loaded{}, domain.Unavailable("message %s is being changed by too many at once; try again", id)
}

func records(events []event.Recorded) []message.Record {
	recs := make([]message.Record, len(events))
	for i, e := range events {
		recs[i] = message.Record{Event: e.Event, At: e.Meta.RecordedAt}
	}
	return recs
}

// messageCache keeps the messages used last.
type messageCache struct {
	mu    sync.Mutex
	limit int
	byID  map[uuid.UUID]*list.Element
	order *list.List // of Loaded, the latest used first
	eras  uint64     // how often keys were forgotten
	// forgotAt is when that was last.
	forgotAt time.Time
}

func newMessageCache(limit int) *messageCache {
	return &messageCache{limit: limit, byID: make(map[uuid.UUID]*list.Element), order: list.New()}
}

func (c *messageCache) get(id uuid.UUID) (Loaded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return Loaded{}, false
	}
	c.order.MoveToFront(e)
	l := e.Value.(Loaded) //nolint:forcetypeassert // the list holds nothing else
	l.era = c.eras        // its key is not among those that were forgotten, or it would be gone
	return l, true
}

// revision is that of a message that is kept.
func (c *messageCache) revision(id uuid.UUID) (event.Revision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return 0, false
	}
	return e.Value.(Loaded).Revision, true //nolint:forcetypeassert // the list holds nothing else
}

// era is what a message carries that is read from now on.
func (c *messageCache) era() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eras
}

// put keeps l unless a newer revision is kept already, or what is personal of it
// is missing or may have to be forgotten: it was read before keys were.
func (c *messageCache) put(l Loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.byID[l.ID]
	newer := !known || e.Value.(Loaded).Revision < l.Revision //nolint:forcetypeassert // as above
	switch {
	case l.locked, l.era != c.eras:
		if known && newer { // what is kept has been overtaken
			c.order.Remove(e)
			delete(c.byID, l.ID)
		}
		return
	case known:
		if newer {
			e.Value = l
		}
		c.order.MoveToFront(e)
		return
	}
	c.byID[l.ID] = c.order.PushFront(l)
	for c.order.Len() > c.limit {
		oldest := c.order.Back()
		delete(c.byID, c.order.Remove(oldest).(Loaded).ID) //nolint:forcetypeassert // as above
	}
}

// readBefore bounds how long ago a message that is handed over by a subscription was
// read: in fact some milliseconds.
const readBefore = time.Minute

// putQueued is put for what a subscription read. If keys were forgotten since, its own
// may be among them, and it is not kept.
func (c *messageCache) putQueued(l Loaded, now time.Time) {
	c.mu.Lock()
	era, forgotAt := c.eras, c.forgotAt
	c.mu.Unlock()
	if now.Sub(forgotAt) > readBefore {
		l.era = era
		c.put(l)
	}
}

func (c *messageCache) forgetKeys(keys []event.KeyID, now time.Time) {
	gone := make(map[event.KeyID]bool, len(keys))
	for _, k := range keys {
		gone[k] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eras++
	c.forgotAt = now
	for id, e := range c.byID {
		if l := e.Value.(Loaded); gone[l.Key] { //nolint:forcetypeassert // as above
			c.order.Remove(e)
			delete(c.byID, id)
		}
	}
}

func (c *messageCache) forget(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[id]; ok {
		c.order.Remove(e)
		delete(c.byID, id)
	}
}
