package command

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// ListSenders returns all senders.
type ListSenders func(ctx context.Context) ([]sender.Sender, error)

// Affecting makes h record on the senders that list returns what webhooks report about their
// accounts and numbers, and returns h.
func (h *RecordWebhook) Affecting(list ListSenders) *RecordWebhook {
	h.listSenders = list
	return h
}

// recordAccounts records reports about accounts and numbers on each sender that they affect. If
// the senders cannot be listed, it returns an error, so that WhatsApp repeats the delivery.
func (h *RecordWebhook) recordAccounts(ctx context.Context, reports []sender.Report, cause event.Cause) error {
	if len(reports) == 0 || h.listSenders == nil {
		return nil
	}
	all, err := h.listSenders(ctx)
	if err != nil {
		return err
	}
	now := h.clock()
	for _, r := range reports {
		if r.At.IsZero() {
			r = r.Dated(now.Truncate(time.Second))
		}
		for _, s := range r.Affected(all) {
			if _, err := h.reports.senders.Change(ctx, s.ID, cause, func(s sender.Sender) ([]domain.Event, error) {
				return sender.RecordReport(s, r, now)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
