package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// Append implements event.Log. While the store is away it repeats the same
// append with the same ids, which the store takes once.
func (l *Log) Append(
	ctx context.Context, stream string, expected event.Expected, events ...event.New,
) (event.Appended, error) {
	data, key, err := l.encode(ctx, stream, events)
	if err != nil {
		return event.Appended{}, err
	}
	if done, answered, err := l.pipeline.append(ctx, stream, expected, data); answered {
		if err == nil && l.noRoom.Load() != 0 {
			l.noRoom.Store(0)
		}
		done.Key = key
		return done, err
	}
	opts := esdb.AppendToStreamOptions{ExpectedRevision: expectedRevision(expected)}
	var result *esdb.WriteResult
	err = l.call(ctx, "append to "+stream, maxTries, func(ctx context.Context, c *connection) (err error) {
		ctx, leave, ok := c.enter(ctx)
		if !ok {
			return errRetired
		}
		defer leave()
		result, err = c.client.AppendToStream(ctx, stream, opts, data...)
		return err
	})
	switch {
	case err == nil:
		l.noRoom.Store(0)
		return event.Appended{
			Revision: event.Revision(result.NextExpectedVersion),
			Position: event.Position(result.CommitPosition),
			Key:      key,
		}, nil
	case hasCode(err, esdb.ErrorCodeWrongExpectedVersion):
		return event.Appended{}, &event.WrongRevisionError{Stream: stream, Expected: expected}
	case refusedAsTooLarge(err):
		return event.Appended{}, fmt.Errorf("%w: %w", event.ErrTooLarge, err)
	case errors.Is(err, event.ErrNoRoom):
		l.noRoom.Store(time.Now().UnixNano())
	}
	return event.Appended{}, err
}

// encode also answers the data key of the first event that has personal data.
func (l *Log) encode(ctx context.Context, stream string, events []event.New) ([]esdb.EventData, event.KeyID, error) {
	if len(events) == 0 {
		return nil, "", fmt.Errorf("append to %s: no events", stream)
	}
	var first event.KeyID
	size := 0
	encoded := make([]esdb.EventData, 0, len(events))
	for _, e := range events {
		if e.ID == uuid.Nil {
			return nil, "", fmt.Errorf("append to %s: %s has no id", stream, e.Event.EventType())
		}
		data, meta, key, err := l.codec.Encode(ctx, stream, e)
		if err != nil {
			return nil, "", fmt.Errorf("append to %s: %w", stream, err)
		}
		first = cmp.Or(first, key)
		size += len(data) + len(meta)
		encoded = append(encoded, esdb.EventData{
			EventID:     e.ID,
			EventType:   e.Event.EventType(),
			ContentType: esdb.ContentTypeJson,
			Data:        data,
			Metadata:    meta,
		})
	}
	// The client loses the store's answer if the store stops reading half-way.
	if size > l.maxAppendBytes {
		return nil, "", fmt.Errorf("append to %s: %w: %d bytes, at most %d", stream, event.ErrTooLarge, size, l.maxAppendBytes)
	}
	return encoded, first, nil
}

func expectedRevision(e event.Expected) esdb.ExpectedRevision {
	if r, exact := e.Revision(); exact {
		return esdb.Revision(uint64(r))
	}
	if e.IsNoStream() {
		return esdb.NoStream{}
	}
	return esdb.Any{}
}
