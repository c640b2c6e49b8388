package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost/graph"
)

// requestTimeout bounds one request of the load's client.
const requestTimeout = 20 * time.Second

// graphqlClient is a caller of the platform as any other.
type graphqlClient struct {
	url, key string
	http     *http.Client
}

func newGraphQLClient(url, key string) *graphqlClient {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &graphqlClient{url: url, key: key, http: &http.Client{Timeout: requestTimeout, Transport: transport}}
}

// graphqlError is what the platform refused.
type graphqlError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code  string `json:"code"`
		Field string `json:"field"`
	} `json:"extensions"`
}

func (e *graphqlError) Error() string { return e.Extensions.Code + ": " + e.Message }

// do makes one request and reads data into into. What the platform refuses is a
// *graphqlError; any other error is of the connection.
func (c *graphqlClient) do(ctx context.Context, query string, variables map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.key)
	text, failure := roundTrip(c.http, req)
	if dial := new(net.OpError); errors.As(failure, &dial) && dial.Op == "dial" {
		failure = fmt.Errorf("%w; see that the platform runs there", failure)
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []*graphqlError `json:"errors"`
	}
	err = json.Unmarshal(text, &answer)
	switch { // errors come with other codes than 200, too
	case err == nil && len(answer.Errors) > 0:
		return answer.Errors[0]
	case failure != nil:
		return failure
	case err != nil:
		return fmt.Errorf("answer of the platform: %w", err)
	}
	return json.Unmarshal(answer.Data, into)
}

// again reports whether the same request may succeed later: the platform was
// away, or said that it cannot now.
func again(err error) bool {
	var refused *graphqlError
	return !errors.As(err, &refused) || refused.Extensions.Code == "UNAVAILABLE"
}

// registerSender registers a sender with the rate, a number of its own and the
// server's token.
func (c *graphqlClient) registerSender(ctx context.Context, id, number string, rate int) error {
	return c.do(ctx, `mutation($in: RegisterSenderInput!) { registerSender(input: $in) { id } }`, map[string]any{
		"in": map[string]any{"id": id, "name": id, "phoneNumberId": number, "messagesPerSecond": rate},
	}, &struct{}{})
}

// queueMessages queues a batch and answers the messages' ids in order. A message
// that is refused is an error.
func (c *graphqlClient) queueMessages(ctx context.Context, inputs []map[string]any) ([]string, error) {
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
	err := c.do(ctx, `mutation($in: [QueueMessageInput!]!) {
		queueMessages(inputs: $in) { message { id } error { code message } }
	}`, map[string]any{"in": inputs}, &data)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(inputs))
	for _, r := range data.QueueMessages {
		if r.Error != nil || r.Message == nil {
			refused := &graphqlError{Message: "a message was refused"}
			if r.Error != nil {
				refused.Message, refused.Extensions.Code = r.Error.Message, r.Error.Code
			}
			return nil, refused
		}
		ids = append(ids, r.Message.ID)
	}
	if len(ids) != len(inputs) {
		return nil, &graphqlError{Message: fmt.Sprintf("%d answers to %d messages", len(ids), len(inputs))}
	}
	return ids, nil
}

// books are the ledger over all senders.
type books struct {
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

func (b books) String() string {
	return fmt.Sprintf("accepted %d: open %d, ambiguous %d, sent %d, delivered %d, read %d, failed %d, dead letters %d; balanced: %t",
		b.Accepted, b.Open, b.Ambiguous, b.Sent, b.Delivered, b.Read, b.Failed, b.DeadLettered, b.Balanced)
}

func (c *graphqlClient) ledger(ctx context.Context) (books, error) {
	var data struct {
		Ledger books `json:"ledger"`
	}
	err := c.do(ctx, `{ ledger { accepted open ambiguous sent delivered read failed deadLettered sentTwice balanced } }`, nil, &data)
	return data.Ledger, err
}

// behind is how far the read models are behind the log.
func (c *graphqlClient) behind(ctx context.Context) (time.Duration, error) {
	var data struct {
		ReadModel struct {
			Behind string `json:"behind"`
		} `json:"readModel"`
	}
	if err := c.do(ctx, `{ readModel { behind } }`, nil, &data); err != nil {
		return 0, err
	}
	return graph.UnmarshalDuration(data.ReadModel.Behind)
}

// listed reports whether the list of messages has the one with the key.
func (c *graphqlClient) listed(ctx context.Context, senderID, key string) (bool, error) {
	var data struct {
		Messages struct {
			Edges []struct{} `json:"edges"`
		} `json:"messages"`
	}
	err := c.do(ctx, `query($f: MessageFilter) { messages(filter: $f, first: 1) { edges { cursor } } }`,
		map[string]any{"f": map[string]any{"senderId": senderID, "idempotencyKey": key}}, &data)
	return len(data.Messages.Edges) > 0, err
}

// lifecycle is when each event of a message was recorded, by the platform's
// clock, the first of its type.
type lifecycle map[string]time.Time

// messageLifecycle reads a message's history.
func (c *graphqlClient) messageLifecycle(ctx context.Context, id string) (status string, _ lifecycle, err error) {
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
	err = c.do(ctx, `query($id: ID!) { message(id: $id) { status history { edges { node { type recordedAt } } } } }`,
		map[string]any{"id": id}, &data)
	if err != nil {
		return "", nil, err
	}
	if data.Message == nil {
		return "", nil, fmt.Errorf("message %s was accepted and is not known", id)
	}
	at := make(lifecycle)
	for _, e := range data.Message.History.Edges {
		if _, seen := at[e.Node.Type]; !seen {
			at[e.Node.Type] = e.Node.RecordedAt
		}
	}
	return data.Message.Status, at, nil
}

// benchMessage is the input of the n-th message of a load, to a recipient of its own.
func benchMessage(senderID, key string, n int) map[string]any {
	return map[string]any{
		"senderId": senderID, "to": fmt.Sprintf("+9198%08d", n), "idempotencyKey": key,
		"content": map[string]any{"text": map[string]any{"body": "Your order is on its way. " + strings.Repeat("x", 40)}},
	}
}
