package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// doubtsRead is the number of doubts about the end of the log that are read, newest first.
const doubtsRead = 100

// shortening is what the Log knows about a log that has become shorter.
type shortening struct {
	logID atomic.Pointer[uuid.UUID]
	// found stays set for the life of the Log: a log that has grown again in the meantime looks intact but is not.
	found atomic.Pointer[event.ShorterError]
	// deciding lets one caller at a time check the log.
	deciding sync.Mutex
}

// Shorter returns a *event.ShorterError if this Log has noticed that the store's log is shorter than it was, and nil
// otherwise.
func (l *Log) Shorter() error {
	if found := l.shortening.found.Load(); found != nil {
		return found
	}
	return nil
}

// Reaches returns a *event.ShorterError if the log does not reach the position of a consumer. It costs one read unless
// the position is beyond the last event.
func (l *Log) Reaches(ctx context.Context, consumer string, position event.Position) error {
	if found := l.shortening.found.Load(); found != nil && position > found.End {
		return &event.ShorterError{Consumer: consumer, Position: position, End: found.End}
	}
	return l.reaches(ctx, consumer, position)
}

func (l *Log) reaches(ctx context.Context, consumer string, position event.Position) error {
	end, err := l.End(ctx)
	if err != nil || position <= end {
		return err
	}
	l.shortening.deciding.Lock()
	defer l.shortening.deciding.Unlock()
	if found := l.shortening.found.Load(); found != nil {
		return &event.ShorterError{Consumer: consumer, Position: position, End: found.End}
	}
	// EventStoreDB also reports positions after its last event, where the next one will be. So an append asks the log
	// for that position. If the log is shorter, the same event still proves it after the log has grown.
	at, err := l.Append(ctx, event.LogEndStream, event.Any(), event.Proposed{
		ID:    uuid.Must(uuid.NewV7()),
		Event: event.PositionBeyondEnd{LogID: l.logID(), Consumer: consumer, Position: position, End: end},
		Meta:  event.Meta{RecordedAt: l.now().UTC(), By: domain.Platform("log")},
	})
	if err != nil {
		return fmt.Errorf("check whether the log is shorter than it was: %w", err)
	}
	if at.Position >= position {
		return nil
	}
	return l.shorter(ctx, &event.ShorterError{Consumer: consumer, Position: position, End: end})
}

func (l *Log) logID() uuid.UUID {
	if id := l.shortening.logID.Load(); id != nil {
		return *id
	}
	return uuid.Nil
}

func (l *Log) shorter(ctx context.Context, err *event.ShorterError) error {
	if l.shortening.found.CompareAndSwap(nil, err) {
		l.logger.LogAttrs(ctx, slog.LevelError, "the event log is shorter than it was", slog.String("consumer", err.Consumer),
			slog.Uint64("position", uint64(err.Position)), slog.Uint64("end", uint64(err.End)))
		l.feed.shorten(err.End)
	}
	return err
}

// FoundShorter returns a *event.ShorterError if the log contains a record that it is shorter than it was, and the loss
// has not been accepted since.
func (l *Log) FoundShorter(ctx context.Context) error {
	doubts, err := l.ReadBackwards(ctx, event.LogEndStream, doubtsRead)
	if err != nil {
		return err
	}
	for _, r := range doubts {
		if doubt, ok := r.Event.(event.PositionBeyondEnd); ok && doubt.LogID == l.logID() && r.Position < doubt.Position {
			return l.shorter(ctx, &event.ShorterError{Consumer: doubt.Consumer, Position: doubt.Position, End: doubt.End})
		}
	}
	return nil
}

// AcceptShorter records the loss and then gives the log another identity, which it returns. The record is in a separate
// stream, which copies of the log keep.
func (l *Log) AcceptShorter(ctx context.Context, loss event.LogShortened, meta event.Meta) (uuid.UUID, error) {
	fresh := uuid.Must(uuid.NewV7())
	opened := meta
	opened.By = domain.Platform("log")
	for _, one := range []struct {
		stream string
		event  event.Proposed
	}{
		{event.LogEndStream, event.Proposed{Event: loss, Meta: meta}},
		{event.LogStream, event.Proposed{Event: event.LogOpened{ID: fresh, Format: event.LogFormat}, Meta: opened}},
	} {
		one.event.ID = uuid.Must(uuid.NewV7())
		if _, err := l.Append(ctx, one.stream, event.Any(), one.event); err != nil {
			return uuid.Nil, err
		}
	}
	l.shortening.logID.Store(&fresh)
	l.shortening.found.Store(nil)
	return fresh, nil
}

// checkPosition compares the position that was reached with the end of the log before the store is asked for the
// following events. A position that was only passed in is not checked, because it may be a caller's cursor.
func (r *receiver) checkPosition(ctx context.Context) error {
	// Not r.seen: the subscription can be far beyond the last event that matched its filter.
	if r.position == 0 || r.sub.Consumer == "" && !r.sub.FromEnd && r.position == r.start {
		return nil
	}
	err := r.log.Reaches(ctx, cmp.Or(r.sub.Consumer, "a subscription"), r.position)
	var shorter *event.ShorterError
	if !errors.As(err, &shorter) || r.sub.Consumer != "" || r.sub.After > 0 {
		return err
	}
	// Nothing that it has seen is stored under its position.
	r.start = 0
	if r.sub.FromEnd {
		r.start = shorter.End
	}
	r.position, r.seen, r.caughtUp = r.start, r.start, false
	return r.send(ctx, item{restart: true, position: r.start})
}
