package process

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

// AgingKeys are the data keys as retention needs them.
type AgingKeys interface {
	// MadeBefore returns at most limit keys that have sealed nothing since a time and are
	// not destroyed, after the given key.
	MadeBefore(ctx context.Context, unused time.Time, after event.KeyID, limit int) ([]event.KeyID, error)
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	PurgeFiles(ctx context.Context) error
	// Alone runs do unless another process runs it.
	Alone(ctx context.Context, do func(context.Context) error) error
}

// OpenMessages finds what messages that are not closed yet need.
type OpenMessages interface {
	// OpenKeys returns those of the keys that a message needs that can still be sent. It
	// returns an error if the read models are not of this log.
	OpenKeys(ctx context.Context, logID uuid.UUID, keys []event.KeyID) ([]event.KeyID, error)
	// ParkedMessages returns the streams of messages that the read models omit.
	ParkedMessages(ctx context.Context) ([]string, error)
}

const (
	// sweepPatience is how long a sweep waits for the read models.
	sweepPatience = 10 * time.Second
	// sweepPoll is the pause between two looks at the read models.
	sweepPoll = 200 * time.Millisecond
)

// RetainOptions are the dependencies of a Retain. All are required.
type RetainOptions struct {
	Log      event.Log
	LogID    uuid.UUID
	Keys     AgingKeys
	Open     OpenMessages
	Lag      *MeasureLag
	Messages *command.Messages
	// Keep is the retention period.
	Keep   time.Duration
	Clock  event.Clock
	After  func(time.Duration) <-chan time.Time
	IDs    event.IDs
	Logger *slog.Logger
}

// Retain erases personal data that is older than the retention period.
type Retain struct{ opts RetainOptions }

// NewRetain returns the process.
func NewRetain(o RetainOptions) *Retain { return &Retain{o} }

// Sweep erases everything that is due and returns. A key is destroyed when everything that
// it can have sealed is older than the retention period, whole messages at a time. What an
// open message needs is kept until the message is closed. The read models know which
// messages are open, so Sweep erases nothing and returns domain.Unavailable while they lack
// something that was recorded before.
func (p *Retain) Sweep(ctx context.Context) error {
	return p.opts.Keys.Alone(ctx, func(ctx context.Context) error {
		if err := p.awaitReadModels(ctx); err != nil {
			return err
		}
		erased, err := p.sweep(ctx)
		if erased > 0 {
			p.opts.Logger.InfoContext(ctx, "erased personal data older than the retention period", "keys", erased)
			if err == nil {
				err = p.opts.Keys.PurgeFiles(ctx)
			}
		}
		return err
	})
}

// awaitReadModels waits until the read models have everything that was recorded before.
func (p *Retain) awaitReadModels(ctx context.Context) error {
	for began := p.opts.Clock(); ; {
		now := p.opts.Clock()
		m, err := p.opts.Lag.ReadModel(ctx, now)
		switch waited := now.Sub(began); {
		case err != nil:
			return err
		case m.Behind <= waited:
			return nil
		case waited >= sweepPatience:
			return domain.Unavailable("the read models are %s behind and may not know a message that is still to be sent", m.Behind.Round(time.Second))
		}
		if err := retry.Wait(ctx, p.opts.After, sweepPoll); err != nil {
			return err
		}
	}
}

func (p *Retain) sweep(ctx context.Context) (erased int, err error) {
	parked, err := p.parkedKeys(ctx)
	if err != nil {
		return 0, err
	}
	unused := p.opts.Clock().Add(-p.opts.Keep)
	var after event.KeyID
	for {
		keys, err := p.opts.Keys.MadeBefore(ctx, unused, after, command.MaxErasedKeys)
		if err != nil || len(keys) == 0 {
			return erased, err
		}
		after = keys[len(keys)-1]
		open, err := p.opts.Open.OpenKeys(ctx, p.opts.LogID, keys)
		if err != nil {
			return erased, err
		}
		keys = slices.DeleteFunc(keys, func(k event.KeyID) bool { return parked[k] || slices.Contains(open, k) })
		if len(keys) == 0 {
			continue
		}
		if err := p.erase(ctx, keys); err != nil {
			return erased, err
		}
		erased += len(keys)
	}
}

// parkedKeys returns the keys of the messages that the read models omit: they can be open.
func (p *Retain) parkedKeys(ctx context.Context) (map[event.KeyID]bool, error) {
	streams, err := p.opts.Open.ParkedMessages(ctx)
	if err != nil {
		return nil, err
	}
	keys := make(map[event.KeyID]bool)
	for _, stream := range streams {
		first, err := p.opts.Log.Read(ctx, stream, 0, 1) // which has the content
		if err != nil {
			return nil, fmt.Errorf("read %s, which the read models omit: %w", stream, err)
		}
		for _, e := range first {
			keys[e.Key] = true
		}
	}
	return keys, nil
}

func (p *Retain) erase(ctx context.Context, keys []event.KeyID) error {
	now := p.opts.Clock()
	meta := event.Cause{By: domain.Platform("retention")}.Meta(now)
	_, err := p.opts.Log.Append(ctx, event.ErasureStream(p.opts.IDs()), event.NoStream(),
		event.Propose(p.opts.IDs, meta, event.PersonalErased{Keys: keys, Cause: event.ErasedByRetention})...)
	if err != nil {
		return fmt.Errorf("record an erasure by retention: %w", err)
	}
	p.opts.Messages.Forget(keys)
	return p.opts.Keys.Destroy(ctx, keys, now)
}
