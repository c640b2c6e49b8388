package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/waypost/waypost/app/event"
)

// Read implements event.Log. It returns an error for an event of a known type that
// cannot be decoded, because no decision must be based on an incomplete history.
func (l *Log) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := l.backend.read(ctx, stream, from, limit)
	if err != nil {
		return nil, err
	}
	return l.decodeHistory(ctx, stream, found)
}

// ReadBackwards implements event.Log. Its errors are those of Read.
func (l *Log) ReadBackwards(ctx context.Context, stream string, limit int) ([]event.Recorded, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := l.backend.readBackwards(ctx, stream, limit)
	if err != nil {
		return nil, err
	}
	return l.decodeHistory(ctx, stream, found)
}

// decodeHistory decodes all events of a read or fails.
func (l *Log) decodeHistory(ctx context.Context, stream string, found []record) ([]event.Recorded, error) {
	if len(found) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.callTimeout)
	defer cancel()
	data := make([][]byte, len(found))
	for i := range found {
		data[i] = found[i].data
	}
	// Without their keys, personal data stays sealed. Code that needs the data reports
	// that.
	_ = l.codec.PrefetchKeys(ctx, data...)
	events := make([]event.Recorded, len(found))
	for i := range found {
		var err error
		if events[i], err = l.decode(ctx, &found[i]); err != nil {
			return nil, fmt.Errorf("read %s: decode: %w", stream, err)
		}
	}
	return events, nil
}

// ReadAllBackwards reads the global order backwards: at most limit events before a
// position, or before the end of the log if the position is 0. It returns Waypost's own
// events, newest first, and the position that it reached, which is 0 at the beginning
// of the log. An event that cannot be decoded is logged and returned with a nil Event.
func (l *Log) ReadAllBackwards(
	ctx context.Context, before event.Position, limit int,
) (events []event.Recorded, reached event.Position, err error) {
	found, err := l.backend.readAllBackwards(ctx, before, limit)
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		if isSystem(found[i].eventType) || isSystem(found[i].stream) {
			continue
		}
		events = append(events, l.decodeOrLog(ctx, &found[i], l.decode))
	}
	if len(found) == limit && limit > 0 {
		reached = found[len(found)-1].position
	}
	return events, reached, nil
}

const systemPrefix = "$"

// isSystem reports whether a stream or an event type belongs to the store itself.
func isSystem(name string) bool { return strings.HasPrefix(name, systemPrefix) }

// decode also returns what is known of an event that it cannot decode.
func (l *Log) decode(ctx context.Context, found *record) (event.Recorded, error) {
	l.backend.meter.decoded.Add(1)
	r := recordedOf(found)
	err := l.codec.Decode(ctx, &r, found.data, found.meta)
	return r, err
}

// decodeSealed is like decode, without the personal data.
func (l *Log) decodeSealed(ctx context.Context, found *record) (event.Recorded, error) {
	l.backend.meter.decoded.Add(1)
	r := recordedOf(found)
	err := l.codec.DecodeSealed(ctx, &r, found.data, found.meta)
	return r, err
}

// decodeOrLog decodes an event with decode. An event that cannot be decoded is logged and
// returned with a nil Event.
func (l *Log) decodeOrLog(
	ctx context.Context, found *record, decode func(context.Context, *record) (event.Recorded, error),
) event.Recorded {
	r, err := decode(ctx, found)
	if err != nil {
		l.logger.LogAttrs(ctx, slog.LevelError, "event cannot be decoded",
			slog.String("stream", r.Stream), slog.Uint64("revision", uint64(r.Revision)),
			slog.String("type", r.Type), slog.Any("error", err))
		r.Event = nil
	}
	return r
}

func recordedOf(found *record) event.Recorded {
	return event.Recorded{
		ID:       found.id,
		Stream:   found.stream,
		Revision: found.revision,
		Position: found.position,
		Type:     found.eventType,
	}
}
