package graph

import (
	"context"
	"slices"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/hook"
)

// hookSpec converts the input to the domain's specification. A key that is limited to
// senders can register hooks only for them.
func hookSpec(ctx context.Context, in OutgoingWebhookInput) (hook.Spec, error) {
	if !reachesHook(ctx, in.SenderIds) {
		return hook.Spec{}, domain.Invalid("input.senderIds", "must name senders of the key: the key is limited to senders")
	}
	return hook.Spec{URL: in.URL, Types: in.EventTypes, Senders: in.SenderIds, Personal: or(in.Personal, false)}, nil
}

// reachesHook reports whether the caller's key has access to everything that a hook for
// these senders receives.
func reachesHook(ctx context.Context, senders []string) bool {
	c := callerOf(ctx)
	if c.SenderIds == nil {
		return true
	}
	return len(senders) > 0 && !slices.ContainsFunc(senders, func(s string) bool { return !slices.Contains(c.SenderIds, s) })
}

// changeHook changes a hook that the caller has access to. Any other hook does not
// exist for the caller.
func (r *mutationResolver) changeHook(ctx context.Context, id string, change func() (hook.Hook, error)) (*OutgoingWebhook, error) {
	for _, h := range r.opts.Queries.ListOutgoingWebhooks() {
		if h.ID == id && reachesHook(ctx, h.Senders) {
			changed, err := change()
			if err != nil {
				return nil, err
			}
			return hookOf(changed), nil
		}
	}
	return nil, domain.NotFound("no outgoing webhook %q", id)
}

func hookOf(h hook.Hook) *OutgoingWebhook {
	return &OutgoingWebhook{
		ID: h.ID, URL: h.URL, EventTypes: h.Types, SenderIds: h.Senders, Personal: h.Personal,
		CreatedAt: h.CreatedAt, DisabledAt: given(h.DisabledAt), DisabledReason: given(h.DisabledReason),
	}
}

func hookDeliveryOf(d query.HookDelivery) *OutgoingWebhookDelivery {
	return &OutgoingWebhookDelivery{
		EventID: d.EventID.String(), EventType: d.EventType, MessageID: d.MessageID.String(), Attempt: d.Attempt,
		At: d.At, Took: d.Took, Status: given(d.Status), Error: given(d.Error), Outcome: d.Outcome,
	}
}
