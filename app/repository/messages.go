package repository

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Loaded is a message at a revision of its stream.
type Loaded struct {
	ID uuid.UUID
	// Message is nil if only the ID and a revision are known. Copies of Loaded and the cache
	// share it, so nothing changes it.
	Message  *message.Message
	Revision event.Revision
	// Position is the log position of the message's last event.
	Position event.Position
	// Traceparent is the parent of what follows in the message's trace: its last call,
	// or its queueing before the first call. If empty, the message is not traced.
	Traceparent string
	// Key is the data key of the recipient, which seals the message's personal data.
	// ErasedAt is when the key was destroyed.
	Key      event.KeyID
	ErasedAt time.Time

	// Name is the name of the recipient under whose data key the first event is sealed. If
	// empty, it is the number or user ID that the message is to.
	Name string

	locked bool // personal data is missing from Message because its key was unavailable
	cached bool // other processes can have recorded events since
	// era is the cache's era when the message was read. If keys were forgotten since, the
	// message's own key can be among them.
	era uint64
}

// Locked reports whether personal data is missing because its data key was unavailable.
func (l *Loaded) Locked() bool { return l.locked }

// Cached reports whether the message comes from the cache and not from its stream, so
// that another process can have recorded events since.
func (l *Loaded) Cached() bool { return l.cached }

// maxHistory is the maximum number of events to read of one message. A message has about
// ten; the throttle limit and the retry budget keep it below a few hundred.
const maxHistory = 10_000

// Messages loads and changes messages, and caches the ones used last. Within a process,
// changes of one message are decided one after the other, each on the revision that the
// change before it left in the cache.
type Messages struct {
	log   event.Log
	clock event.Clock
	ids   event.IDs
	cache *messageCache
	turns turns
	// conflicts counts the appends that failed because another writer appended first.
	conflicts atomic.Int64
}

// NewMessages returns a repository that caches at most cached messages.
func NewMessages(log event.Log, clock event.Clock, ids event.IDs, cached int) *Messages {
	return &Messages{log: log, clock: clock, ids: ids, cache: newMessageCache(cached)}
}

// Load returns the message as its stream has it. It returns domain.NotFound if nothing is
// recorded of the message, and domain.Unavailable if its recipient and content cannot be
// read at the moment.
func (s *Messages) Load(ctx context.Context, id uuid.UUID) (Loaded, error) {
	l, err := s.LoadForStatus(ctx, id)
	if err == nil && l.locked {
		return Loaded{}, domain.Unavailable("message %s cannot be read: its data key is not cached and Postgres is unavailable; try again", id)
	}
	return l, err
}

// LoadForStatus is Load for decisions that need no personal data: a status is also
// recorded while the data keys are unavailable.
func (s *Messages) LoadForStatus(ctx context.Context, id uuid.UUID) (Loaded, error) {
	l, _, err := s.read(ctx, id)
	if err != nil {
		return Loaded{}, err
	}
	s.cache.put(l)
	return l, nil
}

// read reads and folds a message's stream.
func (s *Messages) read(ctx context.Context, id uuid.UUID) (Loaded, []event.Recorded, error) {
	era := s.cache.era()
	events, err := s.log.Read(ctx, event.MessageStream(id), 0, maxHistory)
	if err != nil {
		return Loaded{}, nil, fmt.Errorf("load message %s: %w", id, err)
	}
	if len(events) == 0 {
		return Loaded{}, nil, domain.NotFound("no message %s", id)
	}
	return fold(id, events, era), events, nil
}

// fold returns the message that its events give. They were read in the given era of the
// cache.
func fold(id uuid.UUID, events []event.Recorded, era uint64) Loaded {
	folded := message.Fold(records(events)...)
	l := Loaded{ID: id, Message: &folded, era: era}
	last := events[len(events)-1]
	l.Revision, l.Position = last.Revision, last.Position
	for _, e := range events {
		if l.Key == "" {
			l.Key, l.ErasedAt = e.Key, e.ErasedAt
		}
		l.locked = l.locked || e.Personal == event.Locked
		if startsSpan(e.Event) {
			l.Traceparent = cmp.Or(e.Meta.Traceparent, l.Traceparent)
		}
	}
	return l
}

func records(events []event.Recorded) []message.Record {
	recs := make([]message.Record, len(events))
	for i, e := range events {
		recs[i] = message.Record{Event: e.Event, At: e.Meta.RecordedAt}
	}
	return recs
}

// Follow caches the messages of wanted senders as any process queues them, until ctx
// ends. Reading each message when it is due costs about ten times as much.
func (s *Messages) Follow(ctx context.Context, wanted func(sender string) bool) error {
	sub := event.Subscription{FromEnd: true, Filter: event.Filter{Types: []string{message.Queued{}.EventType()}}}
	return s.log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			id, ok := event.ParseMessageStream(e.Stream)
			if ok && e.Event != nil && wanted(e.Meta.Sender) {
				s.cache.putQueued(fold(id, []event.Recorded{e}, 0), s.clock())
			}
		}
		return nil
	})
}

// LoadAt returns the message at the given revision or a later one. It reads the stream
// only if the cache has no such revision.
func (s *Messages) LoadAt(ctx context.Context, id uuid.UUID, revision event.Revision) (Loaded, error) {
	if l, ok := s.cache.get(id); ok && l.Revision >= revision {
		return l, nil
	}
	return s.Load(ctx, id)
}

// LoadSender returns the sender of a message, from the cache if the message is there,
// because a message's sender never changes.
func (s *Messages) LoadSender(ctx context.Context, id uuid.UUID) (string, error) {
	if l, ok := s.cache.get(id); ok {
		return l.Message.Sender, nil
	}
	l, err := s.LoadForStatus(ctx, id)
	if err != nil {
		return "", fmt.Errorf("find the sender of a message: %w", err)
	}
	return l.Message.Sender, nil
}

// IsLatest reports whether l is at the latest revision that this process knows. known is
// false if the message is no longer cached, for example because its personal data was
// erased.
func (s *Messages) IsLatest(l *Loaded) (latest, known bool) {
	kept, known := s.cache.revision(l.ID)
	return kept == l.Revision, known
}

// Era returns a number that grows whenever keys are forgotten.
func (s *Messages) Era() uint64 { return s.cache.era() }

// Forget drops messages from the cache whose data keys are destroyed. A message that is
// being loaded is not cached either.
func (s *Messages) Forget(keys []event.KeyID) { s.cache.forgetKeys(keys, s.clock()) }

// Create records the first events of the message with the ID of l, and updates l. It
// returns a *event.WrongRevisionError if the message already exists.
func (s *Messages) Create(ctx context.Context, l *Loaded, cause event.Cause, events ...message.Event) error {
	l.era = s.cache.era() // nothing of the message was read
	l.Message = new(message.Message)
	return s.append(ctx, l, event.NoStream(), cause, events)
}

// Conflicts returns the number of decisions that were repeated because another process
// changed the same message first.
func (s *Messages) Conflicts() int64 { return s.conflicts.Load() }

// append records events and updates l. A *event.WrongRevisionError means that l was not at the
// expected revision. After an error, l is unchanged, and the cache has dropped the message.
func (s *Messages) append(ctx context.Context, l *Loaded, expected event.Expected, cause event.Cause, events []message.Event) error {
	now := s.clock()
	cause.Traceparent = cmp.Or(cause.Traceparent, l.Traceparent)
	stream, meta := event.MessageStream(l.ID), cause.Meta(now)
	meta.CorrelationID = strings.TrimPrefix(stream, event.MessageStreams)
	proposed, err := s.propose(ctx, l, meta, events)
	if err != nil {
		return err
	}
	done, err := s.log.Append(ctx, stream, expected, proposed...)
	if err != nil {
		s.cache.forget(l.ID)
		if IsConflict(err) && expected != event.NoStream() {
			s.conflicts.Add(1)
		}
		return fmt.Errorf("append to message %s: %w", l.ID, err)
	}
	l.advance(done, cause, events, now)
	s.cache.put(*l)
	return nil
}

// propose returns a message's events with their metadata, to which it adds the sender, and says
// whom each is about. It first records the opt-outs that follow from them.
func (s *Messages) propose(ctx context.Context, l *Loaded, meta event.Meta, events []message.Event) ([]event.Proposed, error) {
	meta.Sender = l.Message.Sender
	if q, ok := events[0].(message.Queued); ok {
		meta.Sender = q.Sender
	}
	if err := s.recordOptOuts(ctx, l, meta, events); err != nil {
		return nil, err
	}
	proposed := event.Propose(s.ids, meta, events...)
	for i, e := range events {
		proposed[i].Subject = subjectOf(l, e)
	}
	return proposed, nil
}

// advance updates l after its events were appended.
func (l *Loaded) advance(done event.Appended, cause event.Cause, events []message.Event, now time.Time) {
	records := make([]message.Record, len(events))
	for i, e := range events {
		records[i] = message.Record{Event: e, At: now}
		if startsSpan(e) {
			l.Traceparent = cause.Traceparent
		}
	}
	changed := l.Message.Apply(records...)
	l.Message = &changed
	l.Revision, l.Position = done.Revision, done.Position
	l.Key = cmp.Or(l.Key, done.Key)
	l.cached, l.Name = false, ""
}

// startsSpan reports whether what follows in a message's trace is below the event: the
// outcome and the statuses of a call are below the call.
func startsSpan(e domain.Event) bool {
	switch e.(type) {
	case message.Queued, message.SendAttempted:
		return true
	}
	return false
}

// subjectOf returns whom the personal data of an event is about: the recipient, whom
// WhatsApp can know under an ID other than the number.
func subjectOf(l *Loaded, e message.Event) event.Subject {
	to := l.Message.Recipient()
	if q, ok := e.(message.Queued); ok {
		to = cmp.Or(l.Name, q.Personal.To, q.Personal.ToUserID)
	}
	if l.Key == "" {
		return event.Subject{People: []string{to}}
	}
	s := event.Subject{Key: l.Key}
	// A user ID is linked with the number by an event of its own, because a number can pass to
	// someone else.
	if sent, ok := e.(message.Sent); ok && l.Message.To != "" && sent.Personal.RecipientID != "" &&
		!message.IsUserID(sent.Personal.RecipientID) && "+"+sent.Personal.RecipientID != to {
		s.People = []string{sent.Personal.RecipientID}
	}
	return s
}

// Change executes a decision on a message, on the cached message first.
func (s *Messages) Change(
	ctx context.Context, id uuid.UUID, cause event.Cause, decide func(message.Message) ([]message.Event, error),
) (Loaded, error) {
	stream := s.Stream(id, &cause)
	stream.Load = func(ctx context.Context) (Loaded, error) { return s.Load(ctx, id) }
	return Execute(ctx, stream, func(l Loaded) ([]message.Event, error) { return decide(*l.Message) })
}

// ChangeSince is Change for a caller that has the message, or only its ID and a revision
// that its stream has reached. It decides on the cached message if that is not older, else
// on known, or on the stream if known has no Message. The cause is read at each append, so
// decide can still complete it.
func (s *Messages) ChangeSince(
	ctx context.Context, known Loaded, cause *event.Cause, decide func(Loaded) ([]message.Event, error),
) (Loaded, error) {
	stream := s.Stream(known.ID, cause)
	stream.Cached = func() (Loaded, bool) {
		if l, ok := s.cache.get(known.ID); ok && l.Revision >= known.Revision {
			return l, true
		}
		return known, known.Message != nil && known.Message.Exists()
	}
	stream.Load = func(ctx context.Context) (Loaded, error) { return s.Load(ctx, known.ID) }
	return Execute(ctx, stream, decide)
}

// ChangeOnce is Change for a cause that changes a message at most once: if an event of
// the message already names the cause, nothing is left to do. It always reads the stream,
// because the cache doesn't have the causes. decide must check whether the message is
// locked.
func (s *Messages) ChangeOnce(
	ctx context.Context, id uuid.UUID, cause event.Cause, decide func(Loaded) ([]message.Event, error),
) error {
	done := false
	stream := s.Stream(id, &cause)
	stream.Cached = nil
	stream.Load = func(ctx context.Context) (Loaded, error) {
		l, events, err := s.read(ctx, id)
		done = slices.ContainsFunc(events, func(e event.Recorded) bool { return e.Meta.CausationID == cause.CausationID })
		return l, err
	}
	_, err := Execute(ctx, stream, func(l Loaded) ([]message.Event, error) {
		if done {
			return nil, nil
		}
		return decide(l)
	})
	return err
}

// Stream returns a message's stream for decisions that need no personal data. The cause
// is read at each append, so decide can still complete it.
func (s *Messages) Stream(id uuid.UUID, cause *event.Cause) Stream[Loaded, message.Event] {
	return Stream[Loaded, message.Event]{
		Name:   "message " + id.String(),
		Cached: func() (Loaded, bool) { return s.cache.get(id) },
		Load:   func(ctx context.Context) (Loaded, error) { return s.LoadForStatus(ctx, id) },
		Append: func(ctx context.Context, l *Loaded, events []message.Event) error {
			return s.append(ctx, l, event.ExactRevision(l.Revision), *cause, events)
		},
		turn: func(ctx context.Context) (func(), error) { return s.turns.take(ctx, id) },
	}
}
