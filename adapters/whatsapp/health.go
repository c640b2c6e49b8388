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

// Health is what WhatsApp says about sending from a number.
type Health struct {
	// CanSend is whether messages would be taken, if only some of them.
	CanSend bool
	// Status is AVAILABLE, LIMITED or BLOCKED; empty if the question itself was refused.
	Status string
	// Failure says why sending is impossible or limited, where WhatsApp gives a reason.
	Failure *message.Failure
}

// Health asks WhatsApp whether the number may send with this token. An error means that nothing was learnt:
// the network failed, or the answer cannot be read, or says to ask later. A refused token is no error but a
// number that cannot send.
func (c *Client) Health(ctx context.Context, phoneNumberID, token string) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	target.Path += "/" + phoneNumberID
	target.RawQuery = "fields=health_status"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return Health{}, errors.New("ask for the health of a number: its id does not make a URL")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return Health{}, fmt.Errorf("ask for the health of a number: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Health{}, fmt.Errorf("ask for the health of a number: %w", err)
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
			return Health{}, fmt.Errorf("ask for the health of a number: answered %d, which says nothing about it", httpStatus)
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
