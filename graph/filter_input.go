package graph

import (
	"context"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// messageFilter returns the filter of the read side, limited to what the caller has
// access to.
func messageFilter(ctx context.Context, in *MessageFilter) (query.MessageFilter, error) {
	f := query.MessageFilter{SenderIDs: callerOf(ctx).SenderIds}
	if in == nil {
		return f, nil
	}
	if err := errorCode("filter.errorCode", in.ErrorCode); err != nil {
		return f, err
	}
	f.SenderID, f.Status, f.IdempotencyKey, f.WhatsAppID = in.SenderID, in.Status, in.IdempotencyKey, in.WhatsappID
	f.Type, f.Priority, f.Template, f.ErrorCode = in.Type, in.Priority, in.Template, in.ErrorCode
	f.ErrorCategory = (*message.Category)(in.ErrorCategory)
	f.Overdue, f.QueuedAfter, f.QueuedBefore = in.Overdue, in.QueuedAfter, in.QueuedBefore
	for _, l := range in.Labels {
		f.Labels = append(f.Labels, *l)
	}
	if in.ToUserID != nil {
		if err := callerOf(ctx).demandNumber("filter.toUserId"); err != nil {
			return f, err
		}
		user, err := message.ParseUserID(*in.ToUserID)
		if err != nil {
			return f, domain.PrefixField("filter", err)
		}
		f.ToUserID = &user
	}
	if in.To != nil {
		if err := callerOf(ctx).demandNumber("filter.to"); err != nil {
			return f, err
		}
		to, err := message.ParseNumber(*in.To)
		if err != nil {
			return f, domain.PrefixField("filter", err)
		}
		f.To = &to
	}
	return f, nil
}

func deadLetterFilter(ctx context.Context, in *DeadLetterFilter) (query.DeadLetterFilter, error) {
	f := query.DeadLetterFilter{SenderIDs: callerOf(ctx).SenderIds}
	if in == nil {
		return f, nil
	}
	if err := errorCode("filter.code", in.Code); err != nil {
		return f, err
	}
	f.SenderID, f.Code, f.Label, f.Category = in.SenderID, in.Code, in.Label, (*message.Category)(in.Category)
	f.DeadLetteredAfter, f.DeadLetteredBefore = in.DeadLetteredAfter, in.DeadLetteredBefore
	return f, nil
}
