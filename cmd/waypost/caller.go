package main

import (
	"context"
	"time"

	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// caller calls WhatsApp for dispatch: it finds the sender's token, builds the
// payload and hands both to the client.
type caller struct {
	client   *whatsapp.Client
	tokens   *vault.Tokens
	fallback *secret // the token of senders that have none of their own
}

// Send makes one call. Without a token there is no call: the sender is at fault.
func (c *caller) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	token, err := c.token(ctx, r.SenderID, r.TokenID)
	if err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return message.Refused{Failure: noToken(err)}
		}
		return message.NotCalled{} // the vault is away; nothing was said to WhatsApp
	}
	body, err := whatsapp.Payload{
		To: r.To, Kind: r.Kind, Content: r.Content, ReplyTo: r.ReplyTo,
		CallbackData: whatsapp.CallbackData(r.MessageID.String(), r.Call),
	}.JSON()
	if err != nil {
		return message.Refused{Failure: message.Failure{
			Category: message.CategoryParameter, Class: message.ClassPermanent,
			Message: "the stored content does not make a request: " + err.Error(),
			Advice:  "Queue the message again with corrected content.",
		}}
	}
	return c.client.Send(ctx, whatsapp.Call{
		PhoneNumberID: r.PhoneNumberID, Token: token, Body: body, Written: func() {
			if r.Written != nil {
				r.Written(time.Now())
			}
		},
	})
}

// Probe asks WhatsApp whether the sender may send, without sending anything.
func (c *caller) Probe(ctx context.Context, s sender.Sender) (bool, message.Failure, error) {
	token, err := c.token(ctx, s.ID, s.TokenID)
	if err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return false, noToken(err), nil
		}
		return false, message.Failure{}, err
	}
	h, err := c.client.Health(ctx, s.PhoneNumberID, token)
	if err != nil {
		return false, message.Failure{}, err
	}
	var f message.Failure
	if h.Failure != nil {
		f = *h.Failure
	}
	return h.CanSend, f, nil
}

func (c *caller) token(ctx context.Context, senderID, tokenID string) (string, error) {
	if tokenID != "" {
		return c.tokens.Get(ctx, senderID, tokenID)
	}
	if token := c.fallback.get(); token != "" {
		return token, nil
	}
	return "", domain.NotFound("sender %s has no access token and there is no default one", senderID)
}

func noToken(err error) message.Failure {
	return message.Failure{
		Category: message.CategoryAuth, Class: message.ClassSender, Message: err.Error(),
		Advice: "Give the sender a token with updateSender, or set WAYPOST_WHATSAPP_TOKEN.",
	}
}
