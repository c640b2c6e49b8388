package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The waits between two attempts to reach the platform.
const (
	firstSendWait   = 250 * time.Millisecond
	longestSendWait = 5 * time.Second
)

// sendQueue queues messages through GraphQL, as any caller does.
type sendQueue struct {
	client   *graphqlClient
	patience time.Duration
}

// sendAnswer is what came of one message.
type sendAnswer struct {
	id       string
	replayed bool
	refusal  *sendRefusal
}

// sendRefusal is why a message was not queued.
type sendRefusal struct {
	Code    string `json:"code"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (r *sendRefusal) String() string {
	if r.Field == "" {
		return r.Code + ": " + r.Message
	}
	return r.Code + ": " + r.Field + ": " + r.Message
}

// send queues messages and answers what came of each. It tries again while the
// platform is away; an error means that it stayed away, or refuses the caller:
// then it is not known which of the messages were queued, and the same again is
// safe for those with a key.
func (q *sendQueue) send(ctx context.Context, inputs []map[string]any) ([]sendAnswer, error) {
	answers := make([]sendAnswer, len(inputs))
	left := make([]int, len(inputs)) // places of those without an answer
	for i := range inputs {
		left[i] = i
	}
	giveUp := time.Now().Add(q.patience)
	for wait := firstSendWait; ; wait = min(2*wait, longestSendWait) {
		part := make([]map[string]any, len(left))
		for i, place := range left {
			part[i] = inputs[place]
		}
		// A request under way is answered, so that what it did is known.
		got, err := q.once(context.WithoutCancel(ctx), part)
		if err != nil && !again(err) {
			return nil, err
		}
		var waiting []int
		fault := err
		for i, place := range left {
			if err != nil {
				waiting = left
				break
			}
			if r := got[i].refusal; r != nil && r.Code == "UNAVAILABLE" {
				waiting, fault = append(waiting, place), errors.New(r.String())
				continue
			}
			answers[place] = got[i]
		}
		if left = waiting; len(left) == 0 {
			return answers, nil
		}
		if time.Now().Add(wait).After(giveUp) {
			return nil, fmt.Errorf("the platform cannot take messages now: %w; run the same command again to go on", fault)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// once makes one request of it. A request that does not fit the schema fails as
// a whole: it is divided until the message at fault is alone.
func (q *sendQueue) once(ctx context.Context, inputs []map[string]any) ([]sendAnswer, error) {
	var data struct {
		QueueMessages []struct {
			Message *struct {
				ID string `json:"id"`
			} `json:"message"`
			Replayed bool         `json:"replayed"`
			Error    *sendRefusal `json:"error"`
		} `json:"queueMessages"`
	}
	err := q.client.do(ctx, `mutation($in: [QueueMessageInput!]!) {
		queueMessages(inputs: $in) { message { id } replayed error { code field message } }
	}`, map[string]any{"in": inputs}, &data)
	var refused *graphqlError
	if errors.As(err, &refused) && (refused.Extensions.Code == "INVALID_INPUT" || refused.Extensions.Code == "TOO_LARGE") {
		if len(inputs) == 1 {
			return []sendAnswer{{refusal: &sendRefusal{
				Code: refused.Extensions.Code, Field: withoutPlace(refused.Extensions.Field), Message: refused.Message,
			}}}, nil
		}
		half := len(inputs) / 2
		first, err := q.once(ctx, inputs[:half])
		if err != nil {
			return nil, err
		}
		second, err := q.once(ctx, inputs[half:])
		return append(first, second...), err
	}
	if err != nil {
		return nil, err
	}
	if len(data.QueueMessages) != len(inputs) {
		return nil, fmt.Errorf("the platform gave %d answers to %d messages; is its version older?", len(data.QueueMessages), len(inputs))
	}
	answers := make([]sendAnswer, len(inputs))
	for i, r := range data.QueueMessages {
		answers[i] = sendAnswer{replayed: r.Replayed, refusal: r.Error}
		if r.Message != nil {
			answers[i].id = r.Message.ID
		}
	}
	return answers, nil
}

// withoutPlace is a field without its place in the request, which nobody knows
// who sees the file alone.
func withoutPlace(field string) string {
	for _, prefix := range []string{"variable.in[0].", "inputs.0."} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			return rest
		}
	}
	return field
}
