package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
)

const (
	// lagFresh is for how long a measured lag is answered again: however many ask,
	// the log is looked at ten times a second.
	lagFresh = 100 * time.Millisecond
	// lagTimeout bounds one measurement.
	lagTimeout = 5 * time.Second
)

// ReadModelState tells how far the read models are, by themselves.
type ReadModelState interface {
	// ReadModel answers their common position and what is parked.
	ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error)
	// Projected answers how far each group of projections is.
	Projected(ctx context.Context) ([]query.Projected, error)
}

// MeasureLag says how far the read models are behind the log: the age of the oldest
// event that one of them wants and has not projected. It asks the log, and so sees a
// projector that stands still or was never started.
type MeasureLag struct {
	log   event.Log
	state ReadModelState
	clock command.Clock

	mu       sync.Mutex
	measured query.ReadModel
	oldest   time.Time // when the oldest missing event was recorded; zero if none is missing
	at       time.Time
}

// NewMeasureLag makes the measurement.
func NewMeasureLag(log event.Log, state ReadModelState, clock command.Clock) *MeasureLag {
	return &MeasureLag{log: log, state: state, clock: clock}
}

// ReadModel answers how far the read models are, at now.
func (l *MeasureLag) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || l.clock().Sub(l.at) >= lagFresh {
		ctx, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		if err := l.measure(ctx, now); err != nil {
			return query.ReadModel{}, err
		}
		l.at = l.clock()
	}
	m := l.measured
	m.Behind = 0
	if !l.oldest.IsZero() {
		m.Behind = max(0, now.Sub(l.oldest))
	}
	return m, nil
}

func (l *MeasureLag) measure(ctx context.Context, now time.Time) error {
	m, err := l.state.ReadModel(ctx, now)
	if err != nil {
		return err
	}
	groups, err := l.state.Projected(ctx)
	if err != nil {
		return err
	}
	end, err := l.log.End(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	var oldest time.Time
	for _, g := range groups {
		at, missing, err := l.firstMissing(ctx, g, end)
		if err != nil {
			return err
		}
		if missing && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	l.measured, l.oldest = m, oldest
	return nil
}

// errSeen ends a subscription that has seen enough.
var errSeen = errors.New("seen")

// firstMissing is when the first event up to end was recorded that a group wants and
// has not projected; false if there is none.
func (l *MeasureLag) firstMissing(ctx context.Context, g query.Projected, end event.Position) (at time.Time, missing bool, err error) {
	if g.Position >= end {
		return time.Time{}, false, nil
	}
	err = l.log.Subscribe(ctx, event.Subscription{After: g.Position, Filter: event.Filter{Types: g.Types}, MaxBatch: 1},
		func(_ context.Context, b event.Batch) error {
			switch {
			case len(b.Events) > 0 && b.Events[0].Position <= end:
				at, missing = b.Events[0].Meta.RecordedAt, true
				return errSeen
			case b.Live || b.Position >= end:
				return errSeen
			}
			return nil
		})
	if errors.Is(err, errSeen) {
		return at, missing, nil
	}
	return at, false, fmt.Errorf("look for what projections %s lack: %w", g.Group, err)
}
