package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// MaxErasedKeys is how many keys one event of an erasure names.
	MaxErasedKeys = 1000
	// maxErasureReason bounds what an operator writes, in bytes.
	maxErasureReason = 1000
	// erasurePatience is how long an erasure waits for the read models to forget.
	erasurePatience = 10 * time.Second
	erasurePoll     = 20 * time.Millisecond
)

// PersonKeys are the data keys of people.
type PersonKeys interface {
	// Settle makes every process store the keys it has derived so far.
	Settle(ctx context.Context) error
	// KeysOf are the keys of a person, under whatever name data about them came.
	KeysOf(ctx context.Context, person string) ([]event.KeyID, error)
	// Destroy destroys keys for good. Again it changes nothing.
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	// Scrub removes destroyed keys from the files they stood in.
	Scrub(ctx context.Context) error
}

// SealedReader knows from the read models what keys have sealed.
type SealedReader interface {
	// CountSealed answers of how many messages and events.
	CountSealed(ctx context.Context, keys []event.KeyID) (messages, events int64, err error)
	// ViewsPosition answers how far the read models of messages have come.
	ViewsPosition(ctx context.Context) (event.Position, error)
}

// EraseRecipient forgets people.
type EraseRecipient struct {
	log      event.Log
	messages *Messages
	keys     PersonKeys
	sealed   SealedReader
	clock    Clock
	after    func(time.Duration) <-chan time.Time
	ids      IDs
}

// NewEraseRecipient makes the use case. after is time.After or its like.
func NewEraseRecipient(
	log event.Log, messages *Messages, keys PersonKeys, sealed SealedReader, clock Clock,
	after func(time.Duration) <-chan time.Time, ids IDs,
) *EraseRecipient {
	return &EraseRecipient{log: log, messages: messages, keys: keys, sealed: sealed, clock: clock, after: after, ids: ids}
}

// Erasure is what an erasure did.
type Erasure struct {
	ID uuid.UUID
	At time.Time
	// Messages and Events are those whose personal data can be read no more, as far as
	// the read models know.
	Messages, Events int64
}

// Handle forgets one person: what stands of them in the log and in the read models
// can be read nowhere when it returns. Again it finds nothing and changes nothing;
// that it was asked for is recorded each time. What comes of that person later is
// not forgotten with it.
func (h *EraseRecipient) Handle(ctx context.Context, to, reason string, cause Cause) (Erasure, error) {
	number, err := message.ParseNumber(to)
	if err != nil {
		return Erasure{}, err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxErasureReason {
		return Erasure{}, domain.Invalid("reason", "has %d bytes, 1 to %d are allowed", len(reason), maxErasureReason)
	}
	keys, err := h.keysOf(ctx, number)
	if err != nil {
		return Erasure{}, err
	}
	done := Erasure{ID: h.ids(), At: h.clock()}
	recorded, err := h.record(ctx, done, keys, reason, cause)
	if err != nil {
		return Erasure{}, err
	}
	h.messages.Forget(keys)
	if err := h.keys.Destroy(ctx, keys, done.At); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s stands in the log and goes on by itself: %w", done.ID, err)
	}
	h.messages.Forget(keys) // what was being loaded while the keys were still there
	h.await(ctx, recorded)
	if done.Messages, done.Events, err = h.sealed.CountSealed(ctx, keys); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s: %w", done.ID, err)
	}
	if err := h.keys.Scrub(ctx); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s: %w", done.ID, err)
	}
	return done, nil
}

func (h *EraseRecipient) keysOf(ctx context.Context, number string) ([]event.KeyID, error) {
	if err := h.keys.Settle(ctx); err != nil {
		return nil, fmt.Errorf("erase a recipient: %w", err)
	}
	keys, err := h.keys.KeysOf(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("erase a recipient: %w", err)
	}
	return keys, nil
}

// record appends the erasure, several events if it has many keys.
func (h *EraseRecipient) record(ctx context.Context, e Erasure, keys []event.KeyID, reason string, cause Cause) (event.Position, error) {
	meta := event.Meta{
		RecordedAt: e.At, CausationID: cause.CausationID, By: cause.By, OnBehalfOf: cause.By.OnBehalfOf, Traceparent: cause.Traceparent,
	}
	first := event.PersonalErased{Cause: event.ErasedOnRequest, Personal: event.ErasurePersonal{Reason: reason}}
	var news []event.New
	for next := first; ; next = (event.PersonalErased{Cause: event.ErasedOnRequest}) {
		n := min(len(keys), MaxErasedKeys)
		next.Keys, keys = keys[:n:n], keys[n:]
		news = append(news, event.New{ID: h.ids(), Event: next, Meta: meta})
		if len(keys) == 0 {
			break
		}
	}
	done, err := h.log.Append(ctx, event.ErasureStream(e.ID), event.NoStream(), news...)
	if err != nil {
		return 0, fmt.Errorf("record an erasure: %w", err)
	}
	return done.Position, nil
}

// await waits a moment for the read models to come to a position. They are behind
// while Postgres is: then they forget when they get there.
func (h *EraseRecipient) await(ctx context.Context, to event.Position) {
	ctx, cancel := context.WithTimeout(ctx, erasurePatience)
	defer cancel()
	for {
		if at, err := h.sealed.ViewsPosition(ctx); err == nil && at >= to {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-h.after(erasurePoll):
		}
	}
}
