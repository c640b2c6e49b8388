package process

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
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

// OpenKeys finds the keys of messages that are not closed yet.
type OpenKeys interface {
	OpenKeys(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error)
}

// Retain erases personal data that is older than the retention period.
type Retain struct {
	log      event.Log
	keys     AgingKeys
	open     OpenKeys
	messages *command.Messages
	keep     time.Duration
	clock    event.Clock
	ids      event.IDs
	logger   *slog.Logger
}

// NewRetain returns the process. keep is the retention period.
func NewRetain(
	log event.Log, keys AgingKeys, open OpenKeys, messages *command.Messages, keep time.Duration,
	clock event.Clock, ids event.IDs, logger *slog.Logger,
) *Retain {
	return &Retain{log: log, keys: keys, open: open, messages: messages, keep: keep, clock: clock, ids: ids, logger: logger}
}

// Sweep erases everything that is due and returns. A key is destroyed when everything that
// it can have sealed is older than the retention period, whole messages at a time. What an
// open message needs is kept until the message is closed.
func (p *Retain) Sweep(ctx context.Context) error {
	return p.keys.Alone(ctx, func(ctx context.Context) error {
		erased, err := p.sweep(ctx)
		if erased > 0 {
			p.logger.InfoContext(ctx, "erased personal data older than the retention period", "keys", erased)
			if err == nil {
				err = p.keys.PurgeFiles(ctx)
			}
		}
		return err
	})
}

func (p *Retain) sweep(ctx context.Context) (erased int, err error) {
	unused := p.clock().Add(-p.keep)
	var after event.KeyID
	for {
		keys, err := p.keys.MadeBefore(ctx, unused, after, command.MaxErasedKeys)
		if err != nil || len(keys) == 0 {
			return erased, err
		}
		after = keys[len(keys)-1]
		open, err := p.open.OpenKeys(ctx, keys)
		if err != nil {
			return erased, err
		}
		keys = slices.DeleteFunc(keys, func(k event.KeyID) bool { return slices.Contains(open, k) })
		if len(keys) == 0 {
			continue
		}
		if err := p.erase(ctx, keys); err != nil {
			return erased, err
		}
		erased += len(keys)
	}
}

func (p *Retain) erase(ctx context.Context, keys []event.KeyID) error {
	now := p.clock()
	meta := event.Cause{By: domain.Platform("retention")}.Meta(now)
	_, err := p.log.Append(ctx, event.ErasureStream(p.ids()), event.NoStream(),
		event.Propose(p.ids, meta, event.PersonalErased{Keys: keys, Cause: event.ErasedByRetention})...)
	if err != nil {
		return fmt.Errorf("record an erasure by retention: %w", err)
	}
	p.messages.Forget(keys)
	return p.keys.Destroy(ctx, keys, now)
}
