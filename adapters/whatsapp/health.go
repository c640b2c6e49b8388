package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/waypost/waypost/domain/message"
)

// Health is WhatsApp's report about sending from a number.
type Health struct {
	// CanSend reports whether messages would be accepted, even if only some of them.
	CanSend bool
	// Status is AVAILABLE, LIMITED, or BLOCKED. Empty if the request itself was rejected.
	Status string
	// Failure is the reason why sending is impossible or limited, if WhatsApp reports one.
	Failure *message.Failure
}

// Health asks WhatsApp whether the number can send with this token. It returns an error if the answer is unknown: the
// network failed, or the response is unreadable or asks to try later. A rejected token is not an error but a number
// that cannot send.
func (c *Client) Health(ctx context.Context, phoneNumberID, token string) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	target.Path += "/" + phoneNumberID
	target.RawQuery = "fields=health_status"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return Health{}, errors.New("query the health of a number: the URL with its ID is invalid")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return Health{}, fmt.Errorf("query the health of a number: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Health{}, fmt.Errorf("query the health of a number: %w", err)
	}
	return c.errors.health(answer.StatusCode, answer.Header, body, phoneNumberID)
}

func (t *ErrorTable) health(httpStatus int, header http.Header, body []byte, phoneNumberID string) (Health, error) {
	var answer struct {
		Health struct {
			CanSend  string `json:"can_send_message"`
			Entities []struct {
				CanSend string `json:"can_send_message"`
				Errors  []struct {
					Code        number `json:"error_code"`
					Description string `json:"error_description"`
				} `json:"errors"`
			} `json:"entities"`
		} `json:"health_status"`
	}
	_ = json.Unmarshal(body, &answer) // as in result
	h := Health{Status: answer.Health.CanSend}
	if httpStatus != http.StatusOK || h.Status == "" {
		refused, ok := t.result(httpStatus, header, body, phoneNumberID).(message.Refused)
		if !ok || refused.Failure.Class == message.ClassTransient || refused.Failure.Class == message.ClassThrottled {
			return Health{}, fmt.Errorf("query the health of a number: the response, status %d, contains no health", httpStatus)
		}
		return Health{Failure: &refused.Failure}, nil
	}
	h.CanSend = h.Status != "BLOCKED"
	for _, entity := range answer.Health.Entities {
		for _, e := range entity.Errors {
			if e.Code.known && entity.CanSend == h.Status {
				f, _ := t.failure(&apiError{Code: e.Code, Message: e.Description}, 0, phoneNumberID)
				h.Failure = &f
				return h, nil
			}
		}
	}
	return h, nil
}
