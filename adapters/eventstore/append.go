package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// Append implements event.Log. While a store that a URL names is unavailable, it repeats
// the same append with the same IDs, which the store accepts once.
func (l *Log) Append(
	ctx context.Context, stream string, expected event.Expected, events ...event.Proposed,
) (event.Appended, error) {
	encoded, key, err := l.encode(ctx, stream, events)
	if err != nil {
		return event.Appended{}, err
	}
	done, err := l.backend.append(ctx, stream, expected, encoded)
	switch {
	case err == nil:
		if l.noRoom.Load() != 0 { // usually it is, and a load does not contend
			l.noRoom.Store(0)
		}
		done.Key = key
		return done, nil
	case errors.Is(err, event.ErrDiskFull):
		l.noRoom.Store(time.Now().UnixNano())
	}
	return event.Appended{}, err
}

// encodingAtOnce is the number of events of one append that are encoded concurrently.
// Each may have to request the data key of its recipient, and concurrent requests share
// a round trip. A few events, as in a decision on one message, are encoded in turn.
const (
	encodingAtOnce = 128
	encodedInTurn  = 8
)

// encode also returns the data key of the first event that has personal data.
func (l *Log) encode(ctx context.Context, stream string, events []event.Proposed) ([]proposal, event.KeyID, error) {
	if len(events) == 0 {
		return nil, "", fmt.Errorf("append to %s: no events", stream)
	}
	encoded, keys := make([]proposal, len(events)), make([]event.KeyID, len(events))
	if err := l.encodeAll(ctx, stream, events, encoded, keys); err != nil {
		return nil, "", fmt.Errorf("append to %s: %w", stream, err)
	}
	size := 0
	for i := range encoded {
		size += len(encoded[i].data) + len(encoded[i].meta)
	}
	// The client loses the store's response if the store stops reading halfway.
	if size > l.maxAppendBytes {
		return nil, "", fmt.Errorf("append to %s: %w: must be at most %[4]d bytes, got %[3]d", stream, event.ErrTooLarge, size, l.maxAppendBytes)
	}
	return encoded, cmp.Or(keys...), nil
}

// encodeAll sets the proposal and the data key of each event.
func (l *Log) encodeAll(ctx context.Context, stream string, events []event.Proposed, encoded []proposal, keys []event.KeyID) (err error) {
	if len(events) > encodedInTurn {
		return l.encodeConcurrently(ctx, stream, events, encoded, keys)
	}
	for i := range events {
		if encoded[i], keys[i], err = l.encodeOne(ctx, stream, events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) encodeConcurrently(ctx context.Context, stream string, events []event.Proposed, encoded []proposal, keys []event.KeyID) error {
	errs := make([]error, len(events))
	var wg sync.WaitGroup
	slots := make(chan struct{}, encodingAtOnce)
	for i := range events {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			encoded[i], keys[i], errs[i] = l.encodeOne(ctx, stream, events[i])
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

func (l *Log) encodeOne(ctx context.Context, stream string, e event.Proposed) (proposal, event.KeyID, error) {
	if e.ID == uuid.Nil {
		return proposal{}, "", fmt.Errorf("%s has no ID", e.Event.EventType())
	}
	data, meta, key, err := l.codec.Encode(ctx, stream, e)
	if err != nil {
		return proposal{}, "", err
	}
	return proposal{id: e.ID, eventType: e.Event.EventType(), data: data, meta: meta}, key, nil
}
