package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/app/event"
)

// Read implements event.Log. An event of a known type that cannot be decoded is
// an error: a history with holes must not be decided on.
func (l *Log) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	opts := esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Revision(uint64(from))}
	return l.read(ctx, stream, opts, limit)
}

// ReadBackwards implements event.Log. Errors are those of Read.
func (l *Log) ReadBackwards(ctx context.Context, stream string, limit int) ([]event.Recorded, error) {
	opts := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}
	return l.read(ctx, stream, opts, limit)
}

func (l *Log) read(
	ctx context.Context, stream string, opts esdb.ReadStreamOptions, limit int,
) (events []event.Recorded, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = l.call(ctx, "read "+stream, maxTries, func(ctx context.Context, c *connection) (err error) {
		events, err = l.readOnce(ctx, c, stream, opts, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

func (l *Log) readOnce(
	ctx context.Context, c *connection, stream string, opts esdb.ReadStreamOptions, limit int,
) ([]event.Recorded, error) {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return nil, errRetired
	}
	defer leave()
	reader, err := c.client.ReadStream(ctx, stream, opts, uint64(limit))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var found []*esdb.ResolvedEvent
	for {
		e, err := reader.Recv()
		if errors.Is(err, io.EOF) || hasCode(err, esdb.ErrorCodeResourceNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	// Keys that cannot be had leave personal data locked; what needs them says so.
	_ = l.fetchKeys(ctx, found)
	var events []event.Recorded
	for _, e := range found {
		r, err := l.decode(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("decode: %w", err)
		}
		events = append(events, r)
	}
	return events, nil
}

// fetchKeys makes the data keys of these events ready, so that decode does not
// ask for one at a time.
func (l *Log) fetchKeys(ctx context.Context, events []*esdb.ResolvedEvent) error {
	data := make([][]byte, len(events))
	for i, e := range events {
		data[i] = e.OriginalEvent().Data
	}
	return l.codec.Fetch(ctx, data...)
}

// decode also gives what is known of an event that it cannot decode.
func (l *Log) decode(ctx context.Context, e *esdb.ResolvedEvent) (event.Recorded, error) {
	r := recordedOf(e)
	err := l.codec.Decode(ctx, &r, e.OriginalEvent().Data, e.OriginalEvent().UserMetadata)
	return r, err
}

// decodeSealed is decode without the personal data.
func (l *Log) decodeSealed(ctx context.Context, e *esdb.ResolvedEvent) (event.Recorded, error) {
	r := recordedOf(e)
	err := l.codec.DecodeSealed(ctx, &r, e.OriginalEvent().Data, e.OriginalEvent().UserMetadata)
	return r, err
}

func recordedOf(e *esdb.ResolvedEvent) event.Recorded {
	o := e.OriginalEvent()
	return event.Recorded{
		ID:       o.EventID,
		Stream:   o.StreamID,
		Revision: event.Revision(o.EventNumber),
		Position: event.Position(o.Position.Commit),
		Type:     o.EventType,
	}
}
