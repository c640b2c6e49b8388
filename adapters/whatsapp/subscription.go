package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// Subscription is WhatsApp's report about the webhooks of a business account.
type Subscription struct {
	// Subscribed reports whether an app receives them. Without a subscription, no
	// status ever arrives.
	Subscribed bool
	// Now is WhatsApp's own time, in whole seconds. Zero if the response had none.
	Now time.Time
}

// Subscription asks whether the token's app receives the webhooks of a business account
// (GET /{WABA}/subscribed_apps). It returns an error if the answer is unknown.
func (c *Client) Subscription(ctx context.Context, businessAccountID, token string) (Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	target.Path += "/" + businessAccountID + "/subscribed_apps"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return Subscription{}, errors.New("query the webhook subscription: the URL with the business account's ID is invalid")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return Subscription{}, fmt.Errorf("query the webhook subscription: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Subscription{}, fmt.Errorf("query the webhook subscription: %w", err)
	}
	var s Subscription
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		s.Now = at
	}
	if answer.StatusCode != http.StatusOK {
		if refused, ok := c.errors.result(answer.StatusCode, answer.Header, body, "").(message.Refused); ok {
			return s, fmt.Errorf("query the webhook subscription: status %d: %s", answer.StatusCode, refused.Failure.Message)
		}
		return s, fmt.Errorf("query the webhook subscription: status %d", answer.StatusCode)
	}
	var apps struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &apps); err != nil {
		return s, fmt.Errorf("query the webhook subscription: %w", err)
	}
	s.Subscribed = len(apps.Data) > 0
	return s, nil
}
