package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// EnsureOpened gives the log's identity. A log without one gets it: of several
// callers at a time, one names it and all get the same. The codec must know
// event.Types.
func (l *Log) EnsureOpened(ctx context.Context, now time.Time) (uuid.UUID, error) {
	id, found, err := l.identity(ctx)
	if err != nil || found {
		return id, err
	}
	fresh, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make the log's identity: %w", err)
	}
	eventID, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make the log's identity: %w", err)
	}
	_, err = l.Append(ctx, event.LogStream, event.NoStream(), event.New{
		ID:    eventID,
		Event: event.LogOpened{ID: fresh},
		Meta:  event.Meta{RecordedAt: now, By: domain.Platform("log")},
	})
	var wrong *event.WrongRevisionError
	if errors.As(err, &wrong) {
		id, found, err = l.identity(ctx)
		if err == nil && !found {
			err = fmt.Errorf("stream %s was deleted: restore the log from a backup", event.LogStream)
		}
		return id, err
	}
	if err != nil {
		return uuid.Nil, err
	}
	return fresh, nil
}

func (l *Log) identity(ctx context.Context) (id uuid.UUID, found bool, err error) {
	events, err := l.Read(ctx, event.LogStream, 0, 1)
	if err != nil || len(events) == 0 {
		return uuid.Nil, false, err
	}
	opened, ok := events[0].Event.(event.LogOpened)
	if !ok || opened.ID == uuid.Nil {
		return uuid.Nil, false, fmt.Errorf("stream %s begins with %s, not with the log's identity: "+
			"the event store belongs to something else", event.LogStream, events[0].Type)
	}
	return opened.ID, true, nil
}
