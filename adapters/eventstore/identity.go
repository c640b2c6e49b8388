package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// EnsureOpened returns the log's identity. If the log has none, it creates one. Of
// several concurrent callers, one creates it, and all return the same. The codec must
// know event.Types. It returns an *event.NewerLogError if a newer version of Waypost
// wrote the log.
func (l *Log) EnsureOpened(ctx context.Context, now time.Time) (id uuid.UUID, err error) {
	defer func() { l.shortening.logID.Store(&id) }()
	id, found, err := l.identity(ctx)
	if err != nil || found {
		return id, err
	}
	fresh, err := l.open(ctx, event.NoStream(), now, "")
	var wrong *event.WrongRevisionError
	if errors.As(err, &wrong) {
		id, found, err = l.identity(ctx)
		if err == nil && !found {
			err = fmt.Errorf("stream %s was deleted: restore the log from a backup", event.LogStream)
		}
		return id, err
	}
	return fresh, err
}

// identity returns the identity in the newest event of the log's own stream. A restored
// log was opened more than once.
func (l *Log) identity(ctx context.Context) (id uuid.UUID, found bool, err error) {
	events, err := l.ReadBackwards(ctx, event.LogStream, 1)
	if err != nil || len(events) == 0 {
		return uuid.Nil, false, err
	}
	opened, ok := events[0].Event.(event.LogOpened)
	if !ok || opened.ID == uuid.Nil {
		return uuid.Nil, false, fmt.Errorf("stream %s ends with %s, not with the log's identity: "+
			"the event store belongs to something else", event.LogStream, events[0].Type)
	}
	if opened.Format > event.LogFormat {
		return uuid.Nil, false, &event.NewerLogError{Format: opened.Format}
	}
	return opened.ID, true, nil
}
