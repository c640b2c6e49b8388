package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/request"
)

const (
	// lagFresh is how long a measured lag is reused, so that the log is read at most ten
	// times per second.
	lagFresh = 100 * time.Millisecond
	// lagTimeout bounds one measurement.
	lagTimeout = 5 * time.Second
)

// ReadModelState is the state of the read models as they record it.
type ReadModelState interface {
	// ReadModel returns their common position and the parked streams.
	ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error)
	// Projected returns the position of each group of projections.
	Projected(ctx context.Context) ([]query.Projected, error)
}

// RecentEvents finds the newest events of the log without reading it.
type RecentEvents interface {
	// OldestAfter returns when the oldest event of these types after a position was
	// recorded, or false for found if there is none. If it doesn't know the log from that
	// position on, known is false.
	OldestAfter(after event.Position, types []string) (at time.Time, found, known bool)
}

// MeasureLag measures the lag of the read models behind the log: the age of the oldest
// event that one of them projects and has not projected yet. It compares their positions
// with the newest events of the log, so it notices a projector that hangs or was never
// started. It reads the log only if they are further behind than those events. If the log
// has become shorter than the read models, they are behind since that was noticed.
type MeasureLag struct {
	log    event.Log
	recent RecentEvents
	state  ReadModelState
	clock  event.Clock

	mu       sync.Mutex
	measured query.ReadModel
	oldest   time.Time // when the oldest missing event was recorded; zero if none is missing
	at       time.Time
	// shorterSince is when it was noticed that the log ends before the projected position.
	shorterSince time.Time
}

// NewMeasureLag returns a MeasureLag of the read models that state describes.
func NewMeasureLag(log event.Log, recent RecentEvents, state ReadModelState, clock event.Clock) *MeasureLag {
	return &MeasureLag{log: log, recent: recent, state: state, clock: clock}
}

// ReadModel returns the state of the read models at now.
func (l *MeasureLag) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || l.clock().Sub(l.at) >= lagFresh {
		// All callers wait for one measurement, so it must not wait for the turn of one
		// caller.
		ctx, cancel := context.WithTimeout(request.WithCaller(ctx, ""), lagTimeout)
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
	var oldest time.Time
	for _, g := range groups {
		at, missing, known := l.recent.OldestAfter(g.Position, g.Types)
		if !known {
			at, missing, err = l.firstMissing(ctx, g)
		}
		var shorter *event.ShorterError
		switch {
		case errors.As(err, &shorter):
			if l.shorterSince.IsZero() {
				l.shorterSince = l.clock()
			}
			at, missing = l.shorterSince, true
		case err != nil:
			return err
		}
		if missing && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	l.measured, l.oldest = m, oldest
	return nil
}

// errSeen ends a subscription that has delivered enough.
var errSeen = errors.New("seen")

// firstMissing reads the log for the first event that a group projects and has not
// projected yet, and returns when it was recorded. It returns false if there is none.
func (l *MeasureLag) firstMissing(ctx context.Context, g query.Projected) (at time.Time, missing bool, err error) {
	end, err := l.log.End(ctx)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("find the end of the log: %w", err)
	}
	sub := event.Subscription{After: g.Position, Filter: event.Filter{Types: g.Types}, MaxBatch: 1}
	switch {
	case g.Position == end:
		return time.Time{}, false, nil
	case g.Position > end:
		sub.Consumer = "projection " + g.Group // which finds out what that means
	}
	err = l.log.Subscribe(ctx, sub,
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
