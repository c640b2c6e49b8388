package whatsapp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// MarkRead marks an inbound message as read, and with it the earlier ones of the conversation. If typing is set, the person
// sees that a reply is being written, for up to 25 s. Repeating it changes nothing, so it can be repeated after any error.
// The error is a *domain.Error.
// Source: Meta's pages "Mark messages as read" and "Typing indicators".
func (c *Client) MarkRead(ctx context.Context, phoneNumberID, token, whatsAppID string, typing bool) error {
	type indicator struct {
		Type string `json:"type"`
	}
	receipt := struct {
		Product   string     `json:"messaging_product"`
		Status    string     `json:"status"`
		MessageID string     `json:"message_id"`
		Typing    *indicator `json:"typing_indicator,omitempty"`
	}{Product: "whatsapp", Status: "read", MessageID: whatsAppID}
	if typing {
		receipt.Typing = &indicator{Type: "text"}
	}
	body, err := json.Marshal(receipt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request := c.post(ctx, Call{PhoneNumberID: phoneNumberID, Token: token, Body: body})
	status, header, body, err := c.ask(c.http, request)
	if err != nil {
		return domain.Unavailable("mark the message as read: %s; try again", rootCause(err))
	}
	var answer struct {
		Success bool `json:"success"`
	}
	if json.Unmarshal(body, &answer) == nil && status == http.StatusOK && answer.Success {
		return nil
	}
	return c.errors.refusedRequest("mark the message as read", status, header, body, phoneNumberID)
}

// ask makes a request and reads the response, up to maxAnswer bytes.
func (c *Client) ask(with *http.Client, request *http.Request) (status int, header http.Header, body []byte, err error) {
	answer, err := with.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return answer.StatusCode, answer.Header, bytes.TrimSpace(body), err
}

// refusedRequest returns the error of a request that WhatsApp did not carry out.
func (t *ErrorTable) refusedRequest(what string, httpStatus int, header http.Header, body []byte, phoneNumberID string) error {
	refused, ok := t.result(httpStatus, header, body, phoneNumberID).(message.Refused)
	if !ok {
		return domain.Unavailable("%s: WhatsApp's response, status %d, cannot be read; try again", what, httpStatus)
	}
	switch f := refused.Failure; f.Class {
	case message.ClassTransient, message.ClassThrottled:
		return domain.Unavailable("%s: %s; try again", what, f.Message)
	default:
		return domain.Conflict("%s: WhatsApp refused it: %s; %s", what, f.Message, f.Advice)
	}
}
