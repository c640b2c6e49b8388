package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/domain"
)

// maxTypes limits the types in a filter of events.
const maxTypes = 100

// eventFilter returns the filter. A key that is limited to senders finds only events
// about them.
func eventFilter(ctx context.Context, in *EventFilter) (audit.Filter, error) {
	c := callerOf(ctx)
	f := audit.Filter{Senders: c.SenderIds}
	if in == nil {
		return f, nil
	}
	if in.MessageID != nil {
		id, err := uuid.Parse(*in.MessageID)
		if err != nil {
			return f, domain.Invalid("filter.messageId", "must be a message ID, which is a UUID")
		}
		f.MessageID = id
	}
	if in.SenderID != nil {
		if err := c.demandSender("filter.senderId", *in.SenderID); err != nil {
			return f, err
		}
		f.Senders = []string{*in.SenderID}
	}
	if len(in.Types) > maxTypes {
		return f, domain.Invalid("filter.types", "must contain at most %d types, got %d", maxTypes, len(in.Types))
	}
	if in.Types != nil && len(in.Types) == 0 {
		return f, domain.Invalid("filter.types", "must contain at least one type; omit it to find all")
	}
	f.Types, f.Stream, f.StreamPrefix = in.Types, or(in.Stream, ""), or(in.StreamPrefix, "")
	f.CorrelationID, f.ActorID = or(in.CorrelationID, ""), or(in.ActorID, "")
	if in.From != nil {
		f.From = *in.From
	}
	if in.To != nil {
		f.To = *in.To
	}
	return f, nil
}
