package command

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// ReadNumber returns what WhatsApp lists about the number of a sender, without a time.
type ReadNumber func(ctx context.Context, s sender.Sender) (sender.Report, error)

// ChangeSender records a decision on a sender.
type ChangeSender func(
	ctx context.Context, id string, cause event.Cause, decide func(sender.Sender) ([]domain.Event, error),
) (sender.Sender, error)

// numberReads is the number of senders of a sync whose numbers are read concurrently.
const numberReads = 4

// ReadingNumbers makes h record, with each sync, what WhatsApp lists about the numbers of the
// account's senders: their quality, messaging limit, and throughput. It returns h.
func (h *SyncTemplates) ReadingNumbers(read ReadNumber, change ChangeSender) *SyncTemplates {
	h.readNumber, h.changeSender = read, change
	return h
}

// syncNumbers reads the numbers of senders. One that can't be read doesn't stop the others: webhooks
// report changes, and the next sync reads it again.
func (h *SyncTemplates) syncNumbers(ctx context.Context, senders []sender.Sender, cause event.Cause) {
	if h.readNumber == nil {
		return
	}
	_ = each(ctx, make(chan struct{}, numberReads), len(senders), func(ctx context.Context, i int) error {
		if err := h.syncNumber(ctx, senders[i], cause); err != nil && ctx.Err() == nil {
			h.logger.WarnContext(ctx, "failed to read what WhatsApp lists about a number", "sender", senders[i].ID, "error", err)
		}
		return nil
	})
}

func (h *SyncTemplates) syncNumber(ctx context.Context, s sender.Sender, cause event.Cause) error {
	requested := h.clock()
	r, err := h.readNumber(ctx, s)
	if err != nil {
		return err
	}
	// As with a listing of templates, a webhook of the same moment says more.
	r.At = requested.Add(-sender.ListingMargin).Truncate(time.Second)
	if events, err := sender.RecordListing(s, r); err != nil || len(events) == 0 {
		return err
	}
	_, err = h.changeSender(ctx, s.ID, cause, func(s sender.Sender) ([]domain.Event, error) { return sender.RecordListing(s, r) })
	return err
}
