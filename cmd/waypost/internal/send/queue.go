package send

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// The waits between two attempts to reach the platform.
const (
	firstSendWait   = 250 * time.Millisecond
	longestSendWait = 5 * time.Second
)

// Queue queues messages through GraphQL, as any caller does.
type Queue struct {
	Client   *apiclient.Client
	Patience time.Duration
	// Check is set if messages are only checked, and none is queued.
	Check bool
}

// idempotencySecret returns the installation's secret, which the keys of lines are derived from. It retries like Send.
func (q *Queue) idempotencySecret(ctx context.Context) ([]byte, error) {
	giveUp := time.Now().Add(q.Patience)
	retries := retry.Backoff{First: firstSendWait, Max: longestSendWait}
	for {
		wait := retries.Next()
		var data struct {
			IdempotencySecret []byte `json:"idempotencySecret"`
		}
		err := q.Client.Do(context.WithoutCancel(ctx), `{ idempotencySecret }`, nil, &data)
		var refused *apiclient.Error
		switch {
		case err == nil:
			return data.IdempotencySecret, nil
		case errors.As(err, &refused) && refused.Extensions.Code == "INVALID_INPUT":
			return nil, fmt.Errorf("Waypost does not know idempotencySecret because it is older than this command; use the same version (%w)", err)
		case !apiclient.IsRetryable(err):
			return nil, err
		case time.Now().Add(wait).After(giveUp):
			return nil, fmt.Errorf("Waypost cannot accept messages now: %w; run the same command again to continue", err)
		}
		if err := retry.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// An Answer is the result for one message.
type Answer struct {
	ID       string
	Replayed bool
	Refusal  *Refusal
}

// A Refusal is the reason why a message was not queued.
type Refusal struct {
	Code    string `json:"code"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// String returns the code, the field, and the message.
func (r *Refusal) String() string {
	if r.Field == "" {
		return r.Code + ": " + r.Message
	}
	return r.Code + ": " + r.Field + ": " + r.Message
}

// Send queues messages and returns a result for each. It retries while Waypost is unavailable or overloaded, after the time that Waypost
// asks for if it does. An error means that Waypost stayed unavailable or refused the caller. It is then unknown which messages were
// queued, and repeating the call is safe for those with a key.
func (q *Queue) Send(ctx context.Context, inputs []map[string]any) ([]Answer, error) {
	answers := make([]Answer, len(inputs))
	left := make([]int, len(inputs)) // indexes of messages without a result
	for i := range inputs {
		left[i] = i
	}
	giveUp := time.Now().Add(q.Patience)
	retries := retry.Backoff{First: firstSendWait, Max: longestSendWait}
	for {
		wait := retries.Next()
		part := make([]map[string]any, len(left))
		for i, place := range left {
			part[i] = inputs[place]
		}
		// A request in flight is finished, so that its results are known.
		got, hint, err := q.once(context.WithoutCancel(ctx), part)
		if err != nil && !apiclient.IsRetryable(err) {
			return nil, err
		}
		var waiting []int
		fault := err
		for i, place := range left {
			if err != nil {
				waiting = left
				break
			}
			if r := got[i].Refusal; r != nil && r.Code == "UNAVAILABLE" {
				waiting, fault = append(waiting, place), errors.New(r.String())
				continue
			}
			answers[place] = got[i]
		}
		if left = waiting; len(left) == 0 {
			return answers, nil
		}
		if len(left) < len(part) {
			giveUp = time.Now().Add(q.Patience) // it accepts some, only more slowly
		}
		if wait = max(wait, hint); time.Now().Add(wait).After(giveUp) {
			return nil, fmt.Errorf("Waypost cannot accept messages now: %w; run the same command again to continue", fault)
		}
		if err := retry.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// once makes one request, and also returns how long Waypost asks to wait before refused messages are repeated. A request that does not
// fit the schema fails as a whole, so it is split until it contains only the invalid message.
func (q *Queue) once(ctx context.Context, inputs []map[string]any) (_ []Answer, hint time.Duration, err error) {
	var data struct {
		QueueMessages []struct {
			Message *struct {
				ID string `json:"id"`
			} `json:"message"`
			Replayed bool     `json:"replayed"`
			Error    *Refusal `json:"error"`
		} `json:"queueMessages"`
	}
	operation := "mutation($in: [QueueMessageInput!]!) { queueMessages(inputs: $in)"
	if q.Check {
		operation = "query($in: [QueueMessageInput!]!) { queueMessages: checkMessages(inputs: $in)"
	}
	hint, err = q.Client.DoWithHint(ctx, operation+` { message { id } replayed error { code field message } } }`, map[string]any{"in": inputs}, &data)
	var refused *apiclient.Error
	if errors.As(err, &refused) && (refused.Extensions.Code == "INVALID_INPUT" || refused.Extensions.Code == "TOO_LARGE") {
		if len(inputs) == 1 {
			return []Answer{{Refusal: &Refusal{
				Code: refused.Extensions.Code, Field: withoutPlace(refused.Extensions.Field), Message: refused.Message,
			}}}, hint, nil
		}
		half := len(inputs) / 2
		first, hint, err := q.once(ctx, inputs[:half])
		if err != nil {
			return nil, hint, err
		}
		second, later, err := q.once(ctx, inputs[half:])
		return append(first, second...), max(hint, later), err
	}
	if err != nil {
		return nil, hint, err
	}
	if len(data.QueueMessages) != len(inputs) {
		return nil, hint, fmt.Errorf("Waypost returned %d results for %d messages; is its version older?", len(data.QueueMessages), len(inputs))
	}
	answers := make([]Answer, len(inputs))
	for i, r := range data.QueueMessages {
		answers[i] = Answer{Replayed: r.Replayed, Refusal: r.Error}
		if r.Message != nil {
			answers[i].ID = r.Message.ID
		}
	}
	return answers, hint, nil
}

// withoutPlace returns a field without its place in the request, which means nothing to someone who sees only the file.
func withoutPlace(field string) string {
	for _, prefix := range []string{"variable.in[0].", "inputs.0."} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			return rest
		}
	}
	return field
}
