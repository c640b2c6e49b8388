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

// AgingKeys are the data keys as the retention sees them.
type AgingKeys interface {
	// MadeBefore are at most limit keys that took up nothing since a time and are not
	// destroyed, behind one that was answered before.
	MadeBefore(ctx context.Context, unused time.Time, after event.KeyID, limit int) ([]event.KeyID, error)
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	Scrub(ctx context.Context) error
	// Alone runs do unless another process is at it.
	Alone(ctx context.Context, do func(context.Context) error) error
}

// OpenKeys are those of the keys that a message needs which may still be sent.
type OpenKeys interface {
	OpenKeys(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error)
}

// Retain erases personal data that are older than they are to be kept.
type Retain struct {
	log      event.Log
	keys     AgingKeys
	open     OpenKeys
	messages *command.Messages
	keep     time.Duration
	clock    command.Clock
	ids      command.IDs
	logger   *slog.Logger
}

// NewRetain makes the process; keep is how long personal data are kept.
func NewRetain(
	log event.Log, keys AgingKeys, open OpenKeys, messages *command.Messages, keep time.Duration,
	clock command.Clock, ids command.IDs, logger *slog.Logger,
) *Retain {
	return &Retain{log: log, keys: keys, open: open, messages: messages, keep: keep, clock: clock, ids: ids, logger: logger}
}

// Sweep erases all that is due and returns. A data key goes when the last that it
// may have sealed is older than is kept, whole messages at a time. What a message
// needs that may still be sent stays until it is over.
func (p *Retain) Sweep(ctx context.Context) error {
	return p.keys.Alone(ctx, func(ctx context.Context) error {
		erased, err := p.sweep(ctx)
		if erased > 0 {
			p.logger.InfoContext(ctx, "erased personal data that are older than is kept", "keys", erased)
			if err == nil {
				err = p.keys.Scrub(ctx)
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
	_, err := p.log.Append(ctx, event.ErasureStream(p.ids()), event.NoStream(), event.New{
		ID: p.ids(), Event: event.PersonalErased{Keys: keys, Cause: event.ErasedByRetention},
		Meta: event.Meta{RecordedAt: now, By: domain.Platform("retention")},
	})
	if err != nil {
		return fmt.Errorf("record what is not kept any longer: %w", err)
	}
	p.messages.Forget(keys)
	return p.keys.Destroy(ctx, keys, now)
}
