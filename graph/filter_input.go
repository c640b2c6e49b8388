package graph

import (
	"context"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// messageFilter is the filter as the read side takes it, within what the caller
// may see.
func messageFilter(ctx context.Context, in *MessageFilter) (query.MessageFilter, error) {
	f := query.MessageFilter{SenderIDs: callerOf(ctx).SenderIds}
	if in == nil {
		return f, nil
	}
	f.SenderID, f.Status, f.IdempotencyKey, f.WhatsAppID = in.SenderID, in.Status, in.IdempotencyKey, in.WhatsappID
	f.Type, f.Priority, f.Template, f.ErrorCode = in.Type, in.Priority, in.Template, in.ErrorCode
	f.ErrorCategory = (*message.Category)(in.ErrorCategory)
	f.QueuedAfter, f.QueuedBefore = in.QueuedAfter, in.QueuedBefore
	for _, l := range in.Labels {
		f.Labels = append(f.Labels, *l)
	}
	if in.To != nil {
		to, err := message.ParseNumber(*in.To)
		if err != nil {
			return f, domain.Under("filter", err)
		}
		f.To = &to
	}
	return f, nil
}

func deadLetterFilter(ctx context.Context, in *DeadLetterFilter) query.DeadLetterFilter {
	f := query.DeadLetterFilter{SenderIDs: callerOf(ctx).SenderIds}
	if in == nil {
		return f
	}
	f.SenderID, f.Code, f.Label, f.Category = in.SenderID, in.Code, in.Label, (*message.Category)(in.Category)
	f.DeadLetteredAfter, f.DeadLetteredBefore = in.DeadLetteredAfter, in.DeadLetteredBefore
	return f
}
