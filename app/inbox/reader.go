package inbox

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/sender"
)

// Senders finds senders and their numbers.
type Senders interface {
	// Load returns a sender, or domain.NotFound.
	Load(ctx context.Context, id string) (sender.Sender, error)
	// SenderOf returns the ID of the sender that has the phone number, or "" if none has it.
	SenderOf(ctx context.Context, phoneNumberID string) (string, error)
}

// Reader reads inbound messages.
type Reader struct {
	log     event.Log
	senders Senders
}

// NewReader returns a reader of the log.
func NewReader(log event.Log, senders Senders) *Reader { return &Reader{log: log, senders: senders} }

// Page is a page of inbound messages.
type Page struct {
	Messages []Message
	// HasNextPage is set if messages follow.
	HasNextPage bool
}

// StreamOf returns the stream of the messages to a sender. It returns domain.NotFound if the
// sender is not registered.
func (r *Reader) StreamOf(ctx context.Context, senderID string) (string, error) {
	s, err := r.senders.Load(ctx, senderID)
	return event.InboundStream(s.PhoneNumberID), err
}

// List returns at most first messages to a sender after a position, oldest first. It returns
// domain.NotFound if the sender is not registered.
func (r *Reader) List(ctx context.Context, senderID string, after event.Position, first int) (Page, error) {
	stream, err := r.StreamOf(ctx, senderID)
	if err != nil {
		return Page{}, err
	}
	from, err := r.firstAfter(ctx, stream, after)
	if err != nil {
		return Page{}, err
	}
	page := Page{}
	for {
		events, err := r.log.Read(ctx, stream, from, first+1)
		if err != nil {
			return Page{}, fmt.Errorf("read the messages to %s: %w", senderID, err)
		}
		for _, e := range events {
			from = e.Revision + 1
			m, ok := messageOf(e, senderID)
			if !ok {
				continue // recorded by a later version
			}
			if len(page.Messages) == first {
				page.HasNextPage = true
				return page, nil
			}
			page.Messages = append(page.Messages, m)
		}
		if len(events) <= first {
			return page, nil
		}
	}
}

// firstAfter returns the revision of the first event of a stream after a position. Positions
// grow with revisions, so it halves the stream until it finds it: a stream of a million events
// takes 20 reads.
func (r *Reader) firstAfter(ctx context.Context, stream string, after event.Position) (event.Revision, error) {
	if after == 0 {
		return 0, nil
	}
	last, err := r.log.ReadBackwards(ctx, stream, 1)
	if err != nil || len(last) == 0 {
		return 0, err
	}
	if last[0].Position <= after {
		return last[0].Revision + 1, nil
	}
	found := sort.Search(int(last[0].Revision), func(revision int) bool {
		if err != nil {
			return true
		}
		var at []event.Recorded
		at, err = r.log.Read(ctx, stream, event.Revision(revision), 1)
		return len(at) > 0 && at[0].Position > after
	})
	return event.Revision(found), err
}

// Find returns the message with an ID. It returns domain.NotFound if no sender has it.
func (r *Reader) Find(ctx context.Context, id string) (Message, error) {
	missing := domain.NotFound("no inbound message %.64q", id)
	at, ok := parseID(id)
	if !ok {
		return Message{}, missing
	}
	events, err := r.log.Read(ctx, event.InboundStream(at.phoneNumberID), at.revision, 1)
	if err != nil {
		return Message{}, fmt.Errorf("read inbound message %s: %w", id, err)
	}
	if len(events) == 0 || events[0].Revision != at.revision {
		return Message{}, missing
	}
	m, found, err := r.Of(ctx, events[0])
	if err != nil {
		return Message{}, err
	}
	if !found || m.ID != id {
		return Message{}, missing
	}
	return m, nil
}

// ReadAt returns the message at a place, or false if there is none to a sender.
func (r *Reader) ReadAt(ctx context.Context, at query.Place) (Message, bool, error) {
	e, found, err := r.read(ctx, at)
	if err != nil || !found {
		return Message{}, false, err
	}
	return r.Of(ctx, e)
}

// ReadEcho returns the message that a number sent without Waypost at a place, or false if there
// is none.
func (r *Reader) ReadEcho(ctx context.Context, at query.Place) (inbound.EchoReceived, bool, error) {
	e, found, err := r.read(ctx, at)
	if err != nil || !found {
		return inbound.EchoReceived{}, false, err
	}
	echo, ok := e.Event.(inbound.EchoReceived)
	return echo, ok, nil
}

func (r *Reader) read(ctx context.Context, at query.Place) (event.Recorded, bool, error) {
	events, err := r.log.Read(ctx, at.Stream, at.Revision, 1)
	if err != nil {
		return event.Recorded{}, false, fmt.Errorf("read a message of a conversation: %w", err)
	}
	if len(events) == 0 || events[0].Revision != at.Revision {
		return event.Recorded{}, false, nil
	}
	return events[0], true, nil
}

// Of returns the message of an event. It returns false if the event is not one of a message to a
// sender.
func (r *Reader) Of(ctx context.Context, e event.Recorded) (Message, bool, error) {
	number, ok := strings.CutPrefix(e.Stream, event.InboundStreams)
	if !ok {
		return Message{}, false, nil
	}
	senderID, err := r.senders.SenderOf(ctx, number)
	if err != nil || senderID == "" {
		return Message{}, false, err
	}
	m, ok := messageOf(e, senderID)
	return m, ok, nil
}
