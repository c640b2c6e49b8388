package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// queueMany calls do with the valid inputs that the caller is allowed to send, and
// returns one result for each input, in order.
func (r *Resolver) queueMany(
	ctx context.Context, inputs []*QueueMessageInput, do func([]message.Request) []command.QueueResult,
) ([]*QueueMessageResult, error) {
	if n := len(inputs); n < 1 || n > maxQueue {
		return nil, domain.Invalid("inputs", "must contain 1 to %d messages, got %d", maxQueue, n)
	}
	if err := demandOneContent(ctx); err != nil {
		return nil, err
	}
	results := make([]*QueueMessageResult, len(inputs))
	var (
		requests []message.Request
		places   []int // indexes of the requests in results
	)
	for i, err := range checkEach(ctx, len(inputs)) {
		in := inputs[i]
		if err == nil {
			err = callerOf(ctx).demandSender("senderId", in.SenderID)
		}
		var req message.Request
		if err == nil {
			req, err = requestOf(*in)
		}
		if err != nil {
			results[i] = &QueueMessageResult{Error: r.errors.inputError(ctx, err)}
			continue
		}
		requests, places = append(requests, req), append(places, i)
	}
	for i, q := range do(requests) {
		result := &QueueMessageResult{Replayed: q.Replayed}
		switch {
		case q.Err != nil:
			result.Error = r.errors.inputError(ctx, q.Err)
		case q.ID != uuid.Nil: // it is Nil for a message that was only checked
			result.Message = r.messageOf(ctx, q.Loaded)
		}
		results[places[i]] = result
	}
	shareSenders(r, results, func(q *QueueMessageResult) *Message { return q.Message })
	return results, nil
}
