package harness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/graph"
)

// Client is a client of the API with the operations that loads and tests need.
type Client struct{ *apiclient.Client }

// NewClient returns a client of the API at a URL.
func NewClient(url, key string) *Client { return &Client{apiclient.New(url, key)} }

// RegisterSender registers a sender with the rate, its own number, and the default token.
func (c *Client) RegisterSender(ctx context.Context, id, number string, rate int) error {
	return c.Do(ctx, `mutation($in: RegisterSenderInput!) { registerSender(input: $in) { id } }`, map[string]any{
		"in": map[string]any{"id": id, "name": id, "phoneNumberId": number, "messagesPerSecond": rate},
	}, &struct{}{})
}

// QueueMessages queues a batch and returns the messages' IDs in order. While Waypost is overloaded, it repeats the batch after the time
// that Waypost asks for, until ctx ends. It returns an error if a message is refused for another reason.
func (c *Client) QueueMessages(ctx context.Context, inputs []map[string]any) ([]string, error) {
	for {
		ids, hint, err := c.queueOnce(ctx, inputs)
		if err == nil || hint == 0 || retry.Sleep(ctx, hint) != nil {
			return ids, err
		}
	}
}

// queueOnce makes one request. It also returns how long to wait before the batch is repeated, if Waypost says so.
func (c *Client) queueOnce(ctx context.Context, inputs []map[string]any) (_ []string, hint time.Duration, err error) {
	var data struct {
		QueueMessages []struct {
			Message *struct {
				ID string `json:"id"`
			} `json:"message"`
			Error *struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"queueMessages"`
	}
	hint, err = c.DoWithHint(ctx, `mutation($in: [QueueMessageInput!]!) {
		queueMessages(inputs: $in) { message { id } error { code message } }
	}`, map[string]any{"in": inputs}, &data)
	if err != nil {
		return nil, hint, err
	}
	ids := make([]string, 0, len(inputs))
	for _, r := range data.QueueMessages {
		if r.Error != nil || r.Message == nil {
			refused := &apiclient.Error{Message: "a message was refused"}
			if r.Error != nil {
				refused.Message, refused.Extensions.Code = r.Error.Message, r.Error.Code
			}
			return nil, hint, refused
		}
		ids = append(ids, r.Message.ID)
	}
	if len(ids) != len(inputs) {
		return nil, hint, &apiclient.Error{Message: fmt.Sprintf("%d results for %d messages", len(ids), len(inputs))}
	}
	return ids, hint, nil
}

// LedgerCounts is the ledger of all senders.
type LedgerCounts struct {
	Accepted     int64 `json:"accepted"`
	Open         int64 `json:"open"`
	Ambiguous    int64 `json:"ambiguous"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Read         int64 `json:"read"`
	Failed       int64 `json:"failed"`
	DeadLettered int64 `json:"deadLettered"`
	SentTwice    int64 `json:"sentTwice"`
	Balanced     bool  `json:"balanced"`
}

func (b LedgerCounts) String() string {
	return fmt.Sprintf("accepted %d: open %d, ambiguous %d, sent %d, delivered %d, read %d, failed %d, dead letters %d; balanced: %t",
		b.Accepted, b.Open, b.Ambiguous, b.Sent, b.Delivered, b.Read, b.Failed, b.DeadLettered, b.Balanced)
}

// Ledger returns the ledger of all senders.
func (c *Client) Ledger(ctx context.Context) (LedgerCounts, error) {
	var data struct {
		Ledger LedgerCounts `json:"ledger"`
	}
	err := c.Do(ctx, `{ ledger { accepted open ambiguous sent delivered read failed deadLettered sentTwice balanced } }`, nil, &data)
	return data.Ledger, err
}

// Behind returns the lag of the read models behind the event log.
func (c *Client) Behind(ctx context.Context) (time.Duration, error) {
	var data struct {
		ReadModel struct {
			Behind string `json:"behind"`
		} `json:"readModel"`
	}
	if err := c.Do(ctx, `{ readModel { behind } }`, nil, &data); err != nil {
		return 0, err
	}
	return graph.UnmarshalDuration(data.ReadModel.Behind)
}

// Listed reports whether the list of messages contains the one with the key.
func (c *Client) Listed(ctx context.Context, senderID, key string) (bool, error) {
	var data struct {
		Messages struct {
			Edges []struct{} `json:"edges"`
		} `json:"messages"`
	}
	err := c.Do(ctx, `query($f: MessageFilter) { messages(filter: $f, first: 1) { edges { cursor } } }`,
		map[string]any{"f": map[string]any{"senderId": senderID, "idempotencyKey": key}}, &data)
	return len(data.Messages.Edges) > 0, err
}

// ListedStatus returns the status that the list of messages shows for the one with the key. It is empty if the list doesn't have it.
func (c *Client) ListedStatus(ctx context.Context, senderID, key string) (string, error) {
	var data struct {
		Messages struct {
			Edges []struct {
				Node struct {
					Status string `json:"status"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"messages"`
	}
	err := c.Do(ctx, `query($f: MessageFilter) { messages(filter: $f, first: 1) { edges { node { status } } } }`,
		map[string]any{"f": map[string]any{"senderId": senderID, "idempotencyKey": key}}, &data)
	if err != nil || len(data.Messages.Edges) == 0 {
		return "", err
	}
	return data.Messages.Edges[0].Node.Status, nil
}

// DeliveryOf returns the ID of the webhook that reported the message as delivered. It is empty if none has.
func (c *Client) DeliveryOf(ctx context.Context, id string) (string, error) {
	var data struct {
		Message struct {
			History struct {
				Edges []struct {
					Node struct {
						Type string `json:"type"`
						By   struct {
							ID string `json:"id"`
						} `json:"by"`
					} `json:"node"`
				} `json:"edges"`
			} `json:"history"`
		} `json:"message"`
	}
	err := c.Do(ctx, `query($id: ID!) { message(id: $id) { history { edges { node { type by { id } } } } } }`, map[string]any{"id": id}, &data)
	for _, e := range data.Message.History.Edges {
		if e.Node.Type == "Delivered" {
			return e.Node.By.ID, err
		}
	}
	return "", err
}

// MessageTimes has the time at which the first event of each type of a message was recorded, by Waypost's clock.
type MessageTimes map[string]time.Time

// MessageLifecycle returns a message's status and the times of its events.
func (c *Client) MessageLifecycle(ctx context.Context, id string) (status string, _ MessageTimes, err error) {
	var data struct {
		Message *struct {
			Status  string `json:"status"`
			History struct {
				Edges []struct {
					Node struct {
						Type       string    `json:"type"`
						RecordedAt time.Time `json:"recordedAt"`
					} `json:"node"`
				} `json:"edges"`
			} `json:"history"`
		} `json:"message"`
	}
	err = c.Do(ctx, `query($id: ID!) { message(id: $id) { status history { edges { node { type recordedAt } } } } }`,
		map[string]any{"id": id}, &data)
	if err != nil {
		return "", nil, err
	}
	if data.Message == nil {
		return "", nil, fmt.Errorf("message %s was accepted but is unknown", id)
	}
	at := make(MessageTimes)
	for _, e := range data.Message.History.Edges {
		if _, seen := at[e.Node.Type]; !seen {
			at[e.Node.Type] = e.Node.RecordedAt
		}
	}
	return data.Message.Status, at, nil
}

// Message returns the input of the n-th message of a load, to its own recipient.
func Message(senderID, key string, n int) map[string]any {
	return map[string]any{
		"senderId": senderID, "to": fmt.Sprintf("+9198%08d", n), "idempotencyKey": key,
		"content": map[string]any{"text": map[string]any{"body": "Your order is on its way. " + strings.Repeat("x", 40)}},
	}
}
