package eventstore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/app/event"
)

// ReadAllBackwards reads the global order backwards: at most limit events that
// stand before a position, or before the end of the log for 0. It answers the
// platform's own events, the newest first, and how far it came, 0 at the log's
// beginning. An event that cannot be decoded is logged and given with Event nil.
func (l *Log) ReadAllBackwards(
	ctx context.Context, before event.Position, limit int,
) (events []event.Recorded, reached event.Position, err error) {
	opts := esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}
	if before > 0 {
		opts.From = esdb.Position{Commit: uint64(before), Prepare: uint64(before)}
	}
	err = l.call(ctx, "read $all", maxTries, func(ctx context.Context, c *connection) (err error) {
		events, reached, err = l.readAllOnce(ctx, c, opts, limit)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return events, reached, nil
}

func (l *Log) readAllOnce(
	ctx context.Context, c *connection, opts esdb.ReadAllOptions, limit int,
) ([]event.Recorded, event.Position, error) {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return nil, 0, errRetired
	}
	defer leave()
	reader, err := c.client.ReadAll(ctx, opts, uint64(limit))
	if err != nil {
		return nil, 0, err
	}
	defer reader.Close()
	var (
		events  []event.Recorded
		reached event.Position
	)
	for n := 0; ; n++ {
		e, err := reader.Recv()
		if errors.Is(err, io.EOF) {
			if n < limit {
				reached = 0
			}
			return events, reached, nil
		}
		if err != nil {
			return nil, 0, err
		}
		reached = event.Position(e.OriginalEvent().Position.Commit)
		if strings.HasPrefix(e.OriginalEvent().EventType, "$") || strings.HasPrefix(e.OriginalEvent().StreamID, "$") {
			continue
		}
		r, err := l.decode(ctx, e)
		if err != nil {
			l.logger.LogAttrs(ctx, slog.LevelError, "event cannot be decoded",
				slog.String("stream", r.Stream), slog.Uint64("revision", uint64(r.Revision)),
				slog.String("type", r.Type), slog.Any("error", err))
			r.Event = nil
		}
		events = append(events, r)
	}
}
