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

// Subscription is what WhatsApp says about the webhooks of a business account.
type Subscription struct {
	// Subscribed says that an app gets them: without, no status ever comes.
	Subscribed bool
	// Now is WhatsApp's own time, in whole seconds; zero if the answer had none.
	Now time.Time
}

// Subscription asks whether the token's app gets the webhooks of a business account
// (GET /{WABA}/subscribed_apps). An error says that nothing was learnt, and why.
func (c *Client) Subscription(ctx context.Context, businessAccountID, token string) (Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	target.Path += "/" + businessAccountID + "/subscribed_apps"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return Subscription{}, errors.New("ask for the webhook subscription: the business account's id does not make a URL")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return Subscription{}, fmt.Errorf("ask for the webhook subscription: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Subscription{}, fmt.Errorf("ask for the webhook subscription: %w", err)
	}
	var s Subscription
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		s.Now = at
	}
	if answer.StatusCode != http.StatusOK {
		if refused, ok := c.errors.result(answer.StatusCode, answer.Header, body, "").(message.Refused); ok {
			return s, fmt.Errorf("ask for the webhook subscription: answered %d: %s", answer.StatusCode, refused.Failure.Message)
		}
		return s, fmt.Errorf("ask for the webhook subscription: answered %d", answer.StatusCode)
	}
	var apps struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &apps); err != nil {
		return s, fmt.Errorf("ask for the webhook subscription: %w", err)
	}
	s.Subscribed = len(apps.Data) > 0
	return s, nil
}
