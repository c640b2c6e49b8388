package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// MaxErasedKeys is the maximum number of keys in one event of an erasure.
	MaxErasedKeys = 1000
	// erasurePatience is how long an erasure waits for the read models to apply it.
	erasurePatience = 10 * time.Second
	erasurePoll     = 20 * time.Millisecond
)

// PersonKeys are the data keys of recipients.
type PersonKeys interface {
	// FlushAllProcesses makes every process store the keys that it has derived so far.
	FlushAllProcesses(ctx context.Context) error
	// KeysOf returns the keys of one name of a person, made before a time if it is not zero.
	KeysOf(ctx context.Context, name string, until time.Time) ([]event.KeyID, error)
	// Destroy permanently destroys keys. Repeating the call changes nothing.
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	// PurgeFiles removes destroyed keys from the files that contain them.
	PurgeFiles(ctx context.Context) error
}

// SealedReader finds what keys have sealed in the read models.
type SealedReader interface {
	// CountSealed returns the number of messages and of events.
	CountSealed(ctx context.Context, keys []event.KeyID) (messages, events int64, err error)
	UnsentReader
	LinkReader
}

// EraseRecipient erases the personal data of recipients.
type EraseRecipient struct {
	log      event.Log
	messages *Messages
	keys     PersonKeys
	sealed   SealedReader
	clock    event.Clock
	after    func(time.Duration) <-chan time.Time
	ids      event.IDs
}

// NewEraseRecipient returns the use case. after is time.After, or a test's.
func NewEraseRecipient(
	log event.Log, messages *Messages, keys PersonKeys, sealed SealedReader, clock event.Clock,
	after func(time.Duration) <-chan time.Time, ids event.IDs,
) *EraseRecipient {
	return &EraseRecipient{log: log, messages: messages, keys: keys, sealed: sealed, clock: clock, after: after, ids: ids}
}

// Erasure is the result of an erasure.
type Erasure struct {
	ID uuid.UUID
	At time.Time
	// Messages and Events are the numbers of messages and events whose personal data can
	// no longer be read, as far as the read models know.
	Messages, Events int64
}

// Handle erases the personal data of one recipient, who is given by a number or by a user ID,
// under every ID that the log links with it. When it returns, the recipient's data
// in the log and in the read models can no longer be read anywhere. Repeating the request
// erases nothing further, but every request is recorded. Data that is recorded later is
// not erased.
func (h *EraseRecipient) Handle(ctx context.Context, to, toUserID, reason string, cause event.Cause) (Erasure, error) {
	number, user, err := message.ParseRecipient(to, toUserID)
	if err != nil {
		return Erasure{}, err
	}
	reason = strings.TrimSpace(reason)
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return Erasure{}, err
	}
	keys, err := h.keysOf(ctx, cmp.Or(number, user))
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
		return Erasure{}, fmt.Errorf("erasure %s is recorded and continues automatically: %w", done.ID, err)
	}
	h.messages.Forget(keys) // messages that were being loaded while the keys existed
	h.await(ctx, recorded)
	if err := h.messages.CancelErased(ctx, h.sealed, keys, cause); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s: %w", done.ID, err)
	}
	if done.Messages, done.Events, err = h.sealed.CountSealed(ctx, keys); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s: %w", done.ID, err)
	}
	if err := h.keys.PurgeFiles(ctx); err != nil {
		return Erasure{}, fmt.Errorf("erasure %s: %w", done.ID, err)
	}
	return done, nil
}

func (h *EraseRecipient) keysOf(ctx context.Context, person string) ([]event.KeyID, error) {
	if err := h.keys.FlushAllProcesses(ctx); err != nil {
		return nil, fmt.Errorf("erase a recipient: %w", err)
	}
	names, err := personOf(ctx, h.log, h.sealed, person)
	if err != nil {
		return nil, fmt.Errorf("erase a recipient: %w", err)
	}
	var keys []event.KeyID
	for _, n := range names {
		more, err := h.keys.KeysOf(ctx, n.ID, n.Until)
		if err != nil {
			return nil, fmt.Errorf("erase a recipient: %w", err)
		}
		keys = append(keys, more...)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// record appends the erasure. An erasure of many keys has several events.
func (h *EraseRecipient) record(ctx context.Context, e Erasure, keys []event.KeyID, reason string, cause event.Cause) (event.Position, error) {
	first := min(len(keys), MaxErasedKeys)
	erased := []event.PersonalErased{{
		Keys: keys[:first:first], Cause: event.ErasedOnRequest, Personal: event.ErasurePersonal{Reason: reason},
	}}
	for more := range slices.Chunk(keys[first:], MaxErasedKeys) {
		erased = append(erased, event.PersonalErased{Keys: more, Cause: event.ErasedOnRequest})
	}
	done, err := h.log.Append(ctx, event.ErasureStream(e.ID), event.NoStream(), event.Propose(h.ids, cause.Meta(e.At), erased...)...)
	if err != nil {
		return 0, fmt.Errorf("record an erasure: %w", err)
	}
	return done.Position, nil
}

// await waits up to erasurePatience for the read models to reach a position. They are
// behind while Postgres is unavailable, and then apply the erasure when they get there.
func (h *EraseRecipient) await(ctx context.Context, to event.Position) {
	ctx, cancel := context.WithTimeout(ctx, erasurePatience)
	defer cancel()
	for {
		if at, err := h.sealed.ViewsPosition(ctx); err == nil && at >= to {
			return
		}
		if retry.Wait(ctx, h.after, erasurePoll) != nil {
			return
		}
	}
}
