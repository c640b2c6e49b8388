package command

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// senderFresh is how long a folded sender is taken for the latest: a change
// made elsewhere acts within this time.
const senderFresh = time.Second

// maxSenders bounds the senders kept folded.
const maxSenders = 10_000

// Tokens keeps access tokens, encrypted and out of the log.
type Tokens interface {
	// Put keeps a token and answers the id under which it stands.
	Put(ctx context.Context, senderID, token string) (id string, err error)
}

// Senders loads and changes senders.
type Senders struct {
	log    event.Log
	clock  Clock
	ids    IDs
	tokens Tokens

	mu    sync.Mutex
	cache map[string]cachedSender
}

type cachedSender struct {
	sender   sender.Sender
	revision event.Revision
	at       time.Time
	renewing bool // somebody reads it anew
}

// NewSenders makes the repository and use cases of senders.
func NewSenders(log event.Log, clock Clock, ids IDs, tokens Tokens) *Senders {
	return &Senders{log: log, clock: clock, ids: ids, tokens: tokens, cache: make(map[string]cachedSender)}
}

// Load is the sender, at most a second behind the log and never behind what
// this process recorded. domain.NotFound if it is not registered.
func (s *Senders) Load(ctx context.Context, id string) (sender.Sender, error) {
	c, fresh, renew := s.kept(id)
	if fresh && !renew {
		return c.sender, nil
	}
	read, err := s.read(ctx, id)
	if err != nil && fresh {
		return c.sender, nil
	}
	return read.sender, err
}

// kept answers what is kept of a sender, if it is fresh still. One caller is asked to
// renew it before it is not: hundreds need it at once, and none has to wait.
func (s *Senders) kept(id string) (c cachedSender, fresh, renew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.cache[id]
	age := s.clock().Sub(c.at)
	fresh = known && age < senderFresh
	if renew = fresh && age >= senderFresh/2 && !c.renewing; renew {
		c.renewing = true
		s.cache[id] = c
	}
	return c, fresh, renew
}

func (s *Senders) read(ctx context.Context, id string) (cachedSender, error) {
	at := s.clock()
	events, err := s.log.Read(ctx, event.SenderStream(id), 0, maxHistory)
	if err != nil {
		return cachedSender{}, fmt.Errorf("load sender %s: %w", id, err)
	}
	if len(events) == 0 {
		return cachedSender{}, domain.NotFound("no sender %q is registered", id)
	}
	c := cachedSender{sender: sender.Fold(senderRecords(events)), revision: events[len(events)-1].Revision, at: at}
	s.keep(id, c)
	return c, nil
}

func (s *Senders) keep(id string, c cachedSender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.cache[id]; ok && old.revision > c.revision {
		return
	}
	if len(s.cache) >= maxSenders {
		clear(s.cache) // rare and cheap to fill again
	}
	s.cache[id] = c
}

// Change loads the sender from the log, lets decide and appends; anew
// when someone else came first.
func (s *Senders) Change(
	ctx context.Context, id string, cause Cause, decide func(sender.Sender) ([]domain.Event, error),
) (sender.Sender, error) {
	for range maxConflicts {
		c, err := s.read(ctx, id)
		if err != nil {
			return sender.Sender{}, err
		}
		events, err := decide(c.sender)
		if err != nil || len(events) == 0 {
			return c.sender, err
		}
		changed, err := s.append(ctx, id, c, event.At(c.revision), cause, events)
		var wrong *event.WrongRevisionError
		if err == nil || !errors.As(err, &wrong) {
			return changed, err
		}
	}
	return sender.Sender{}, domain.Unavailable("sender %s is being changed by too many at once; try again", id)
}

func (s *Senders) append(
	ctx context.Context, id string, c cachedSender, expected event.Expected, cause Cause, events []domain.Event,
) (sender.Sender, error) {
	now := s.clock()
	news := make([]event.New, len(events))
	recs := make([]sender.Record, len(events))
	for i, e := range events {
		news[i] = s.event(e, id, now, cause)
		recs[i] = sender.Record{Event: e, At: now}
	}
	done, err := s.log.Append(ctx, event.SenderStream(id), expected, news...)
	if err != nil {
		return sender.Sender{}, fmt.Errorf("append to sender %s: %w", id, err)
	}
	for _, r := range recs {
		c.sender = c.sender.Apply(r)
	}
	c.revision, c.at = done.Revision, now
	s.keep(id, c)
	return c.sender, nil
}

func (s *Senders) event(e domain.Event, id string, now time.Time, cause Cause) event.New {
	return event.New{ID: s.ids(), Event: e, Meta: event.Meta{
		RecordedAt: now, Sender: id, CausationID: cause.CausationID, By: cause.By,
		OnBehalfOf: cause.By.OnBehalfOf, Traceparent: cause.Traceparent,
	}}
}

// Register makes a sender: its number is claimed first, so that no two senders
// share one. The same registration again answers the sender that stands, with
// the token given now.
func (s *Senders) Register(ctx context.Context, r sender.Registration, token string, cause Cause) (sender.Sender, error) {
	if _, err := sender.Register(sender.Sender{}, r); err != nil {
		return sender.Sender{}, err // before anything is claimed or kept
	}
	if c, err := s.read(ctx, r.ID); err == nil {
		if _, err := sender.Register(c.sender, r); err != nil {
			return sender.Sender{}, err
		}
	} else if domain.CodeOf(err) != domain.CodeNotFound {
		return sender.Sender{}, err
	}
	if err := s.claim(ctx, r, cause); err != nil {
		return sender.Sender{}, err
	}
	if token != "" {
		var err error
		if r.TokenID, err = s.tokens.Put(ctx, r.ID, token); err != nil {
			return sender.Sender{}, err
		}
	}
	events, err := sender.Register(sender.Sender{}, r)
	if err != nil {
		return sender.Sender{}, err
	}
	made, err := s.append(ctx, r.ID, cachedSender{}, event.NoStream(), cause, events)
	var wrong *event.WrongRevisionError
	if errors.As(err, &wrong) {
		return s.Change(ctx, r.ID, cause, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Register(have, r)
		})
	}
	return made, err
}

// claim takes the number for the sender. A claim that a crashed registration
// left behind is the sender's own and stands.
func (s *Senders) claim(ctx context.Context, r sender.Registration, cause Cause) error {
	stream := event.NumberStream(r.PhoneNumberID)
	claim := s.event(sender.NumberClaimed{Sender: r.ID, PhoneNumberID: r.PhoneNumberID}, r.ID, s.clock(), cause)
	_, err := s.log.Append(ctx, stream, event.NoStream(), claim)
	var wrong *event.WrongRevisionError
	if err == nil || !errors.As(err, &wrong) {
		return err
	}
	owner, err := s.OwnerOf(ctx, r.PhoneNumberID)
	if err != nil {
		return err
	}
	_, err = sender.Claim(owner, r.PhoneNumberID, r.ID)
	return err
}

// OwnerOf is the sender that claimed a phone number; domain.NotFound if none did.
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
	return "", domain.NotFound("no sender has the phone number id %s", phoneNumberID)
}

// Update changes what a person may change of a sender; a token that is given
// replaces the one in use.
func (s *Senders) Update(ctx context.Context, id string, u sender.Changes, token string, cause Cause) (sender.Sender, error) {
	tokenID := ""
	if token != "" {
		if _, err := s.read(ctx, id); err != nil {
			return sender.Sender{}, err
		}
		var err error
		if tokenID, err = s.tokens.Put(ctx, id, token); err != nil {
			return sender.Sender{}, err
		}
	}
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		events, err := sender.Update(have, u)
		if err == nil && tokenID != "" {
			events = append(events, sender.TokenChanged{TokenID: tokenID})
		}
		return events, err
	})
}

func senderRecords(events []event.Recorded) []sender.Record {
	recs := make([]sender.Record, len(events))
	for i, e := range events {
		recs[i] = sender.Record{Event: e.Event, At: e.Meta.RecordedAt}
	}
	return recs
}
