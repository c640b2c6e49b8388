package repository

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// senderFresh is how long a cached sender is used: a change that another process
	// records takes effect within this time.
	senderFresh = time.Second
	// maxSenders bounds the cached senders, and the cached phone numbers.
	maxSenders = 10_000
)

// Senders loads and changes senders.
type Senders struct {
	log   event.Log
	clock event.Clock
	ids   event.IDs
	// changed receives each sender that this process changed. It must not block.
	changed func(sender.Sender)

	mu      sync.Mutex
	cache   *simplelru.LRU[string, cachedSender]
	numbers *simplelru.LRU[string, claimedNumber]
}

// cachedSender is a sender at a revision of its stream.
type cachedSender struct {
	sender   sender.Sender
	revision event.Revision
	at       time.Time // when the stream was read
	renewing bool      // a caller is reading the stream again
}

// claimedNumber records which sender has a phone number, if any. A claim is never withdrawn.
type claimedNumber struct {
	senderID string
	at       time.Time
}

// NewSenders returns a repository of senders.
func NewSenders(log event.Log, clock event.Clock, ids event.IDs) *Senders {
	return &Senders{
		log: log, clock: clock, ids: ids, changed: func(sender.Sender) {},
		cache: newLRU[string, cachedSender](maxSenders), numbers: newLRU[string, claimedNumber](maxSenders),
	}
}

// OnChange makes changed receive each sender that this process changed, before the change returns.
// Call it before the repository is used.
func (s *Senders) OnChange(changed func(sender.Sender)) { s.changed = changed }

// Load returns the sender, at most one second behind the log and never behind what this
// process recorded. It returns domain.NotFound if the sender is not registered.
func (s *Senders) Load(ctx context.Context, id string) (sender.Sender, error) {
	c, fresh, renew := s.cached(id)
	if fresh && !renew {
		return c.sender, nil
	}
	read, err := s.read(ctx, id)
	if err != nil && fresh {
		return c.sender, nil
	}
	return read.sender, err
}

// LoadLatest returns the sender as its stream has it. It returns domain.NotFound if the
// sender is not registered.
func (s *Senders) LoadLatest(ctx context.Context, id string) (sender.Sender, error) {
	c, err := s.read(ctx, id)
	return c.sender, err
}

// cached returns the cached sender, and whether it is fresh. It asks one caller to renew
// the sender before it expires, so that of the hundreds that need it at once none waits.
func (s *Senders) cached(id string) (c cachedSender, fresh, renew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.cache.Get(id)
	age := s.clock().Sub(c.at)
	fresh = known && age < senderFresh
	if renew = fresh && age >= senderFresh/2 && !c.renewing; renew {
		c.renewing = true
		s.cache.Add(id, c)
	}
	return c, fresh, renew
}

func (s *Senders) read(ctx context.Context, id string) (cachedSender, error) {
	if !sender.ValidID(id) {
		return cachedSender{}, domain.NotFound("no sender %.64q is registered", id)
	}
	at := s.clock()
	events, err := readStream(ctx, s.log, event.SenderStream(id))
	if err != nil {
		return cachedSender{}, err
	}
	if len(events) == 0 {
		return cachedSender{}, domain.NotFound("no sender %q is registered", id)
	}
	c := cachedSender{sender: sender.Fold(senderRecords(events)), revision: events[len(events)-1].Revision, at: at}
	s.put(id, c)
	return c, nil
}

func (s *Senders) put(id string, c cachedSender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.cache.Peek(id); ok && old.revision > c.revision {
		return
	}
	s.cache.Add(id, c)
}

// Change executes a decision on a sender, as its stream has it.
func (s *Senders) Change(
	ctx context.Context, id string, cause event.Cause, decide func(sender.Sender) ([]domain.Event, error),
) (sender.Sender, error) {
	changed, err := Execute(ctx, Stream[cachedSender, domain.Event]{
		Name: "sender " + id,
		Load: func(ctx context.Context) (cachedSender, error) { return s.read(ctx, id) },
		Append: func(ctx context.Context, c *cachedSender, events []domain.Event) error {
			return s.append(ctx, id, c, event.ExactRevision(c.revision), cause, events)
		},
	}, func(c cachedSender) ([]domain.Event, error) { return decide(c.sender) })
	return changed.sender, err
}

// Create records the first events of a sender. It returns a *event.WrongRevisionError if
// the sender is already registered.
func (s *Senders) Create(ctx context.Context, id string, cause event.Cause, events []domain.Event) (sender.Sender, error) {
	var c cachedSender
	err := s.append(ctx, id, &c, event.NoStream(), cause, events)
	return c.sender, err
}

func (s *Senders) append(
	ctx context.Context, id string, c *cachedSender, expected event.Expected, cause event.Cause, events []domain.Event,
) error {
	now := s.clock()
	meta := cause.Meta(now)
	meta.Sender = id
	done, err := s.log.Append(ctx, event.SenderStream(id), expected, event.Propose(s.ids, meta, events...)...)
	if err != nil {
		return fmt.Errorf("append to sender %s: %w", id, err)
	}
	for _, e := range events {
		c.sender = c.sender.Apply(sender.Record{Event: e, At: now, By: meta.Actor()})
	}
	c.revision, c.at = done.Revision, now
	s.put(id, *c)
	s.changed(c.sender)
	return nil
}

// Claim claims a phone number for a sender. A number that the sender already has stays
// claimed. Claim returns domain.Conflict if the number belongs to another sender.
func (s *Senders) Claim(ctx context.Context, phoneNumberID, id string, cause event.Cause) error {
	meta := cause.Meta(s.clock())
	meta.Sender = id
	_, err := s.log.Append(ctx, event.NumberStream(phoneNumberID), event.NoStream(),
		event.Propose(s.ids, meta, sender.NumberClaimed{Sender: id, PhoneNumberID: phoneNumberID})...)
	if !IsConflict(err) {
		return err
	}
	owner, err := s.OwnerOf(ctx, phoneNumberID)
	if err != nil {
		return err
	}
	_, err = sender.Claim(owner, phoneNumberID, id)
	return err
}

// OwnerOf returns the sender that claimed a phone number. It returns domain.NotFound if no
// sender did.
func (s *Senders) OwnerOf(ctx context.Context, phoneNumberID string) (string, error) {
	events, err := s.log.Read(ctx, event.NumberStream(phoneNumberID), 0, 1)
	if err != nil {
		return "", fmt.Errorf("load the claim of number %s: %w", phoneNumberID, err)
	}
	if len(events) == 1 {
		if c, ok := events[0].Event.(sender.NumberClaimed); ok {
			return c.Sender, nil
		}
	}
	return "", domain.NotFound("no sender has the phone number ID %s", phoneNumberID)
}

// HasNumber reports whether a sender has the phone number. It can miss a number that was
// claimed within the last second.
func (s *Senders) HasNumber(ctx context.Context, phoneNumberID string) (bool, error) {
	id, err := s.SenderOf(ctx, phoneNumberID)
	return id != "", err
}

// SenderOf returns the ID of the sender that has the phone number, or "" if none has it. It can
// miss a number that was claimed within the last second.
func (s *Senders) SenderOf(ctx context.Context, phoneNumberID string) (string, error) {
	if event.StreamPart(phoneNumberID) != phoneNumberID {
		return "", nil // it is not in the form of a phone number ID
	}
	s.mu.Lock()
	n, known := s.numbers.Get(phoneNumberID)
	s.mu.Unlock()
	now := s.clock()
	if known && (n.senderID != "" || now.Sub(n.at) < senderFresh) {
		return n.senderID, nil
	}
	id, err := s.OwnerOf(ctx, phoneNumberID)
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers.Add(phoneNumberID, claimedNumber{senderID: id, at: now})
	return id, nil
}

func senderRecords(events []event.Recorded) []sender.Record {
	recs := make([]sender.Record, len(events))
	for i, e := range events {
		recs[i] = sender.Record{Event: e.Event, At: e.Meta.RecordedAt, By: e.Meta.Actor()}
	}
	return recs
}
