package platform

import (
	"context"
	"time"

	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch"
)

// Caller calls WhatsApp for dispatch and for inbound messages, with the sender's token.
type Caller struct {
	Client   *whatsapp.Client
	Tokens   *vault.Tokens
	Fallback *Secret // the token of senders without their own
}

// Send makes one call. If the sender has no token, it makes none and reports an error of the sender.
func (c *Caller) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	token, err := c.Token(ctx, r.SenderID, r.TokenID)
	if err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return message.Refused{Failure: noToken(err)}
		}
		return message.NotCalled{} // the vault is unavailable; WhatsApp was not called
	}
	body, err := whatsapp.Payload{
		To: r.To, UserID: r.UserID, Kind: r.Kind, Content: r.Content, ReplyTo: r.ReplyTo,
		CallbackData: whatsapp.CallbackData(r.MessageID.String(), r.Call),
	}.JSON()
	if err != nil {
		return message.Refused{Failure: message.Failure{
			Category: message.CategoryParameter, Class: message.ClassPermanent,
			Message: "the stored content does not form a valid request: " + err.Error(),
			Advice:  "Queue the message again with corrected content.",
		}}
	}
	return c.Client.Send(ctx, whatsapp.Call{
		PhoneNumberID: r.PhoneNumberID, Token: token, Body: body, Written: func() {
			if r.Written != nil {
				r.Written(time.Now())
			}
		},
	})
}

// Probe returns whether WhatsApp lets the sender send, without sending a message. If not, it returns the reason.
func (c *Caller) Probe(ctx context.Context, s sender.Sender) (bool, message.Failure, error) {
	token, err := c.Token(ctx, s.ID, s.TokenID)
	if err != nil {
		if domain.CodeOf(err) == domain.CodeNotFound {
			return false, noToken(err), nil
		}
		return false, message.Failure{}, err
	}
	h, err := c.Client.Health(ctx, s.PhoneNumberID, token)
	if err != nil {
		return false, message.Failure{}, err
	}
	var f message.Failure
	if h.Failure != nil {
		f = *h.Failure
	}
	return h.CanSend, f, nil
}

// MarkRead implements inbox.WhatsApp.
func (c *Caller) MarkRead(ctx context.Context, s sender.Sender, whatsAppID string, typing bool) error {
	token, err := c.tokenOf(ctx, s)
	if err != nil {
		return err
	}
	return c.Client.MarkRead(ctx, s.PhoneNumberID, token, whatsAppID, typing)
}

// OpenMedia implements inbox.WhatsApp.
func (c *Caller) OpenMedia(ctx context.Context, s sender.Sender, mediaID string) (inbox.Media, error) {
	token, err := c.tokenOf(ctx, s)
	if err != nil {
		return inbox.Media{}, err
	}
	return c.Client.Media(ctx, s.PhoneNumberID, token, mediaID)
}

// Templates lists the message templates of a sender's business account.
func (c *Caller) Templates(ctx context.Context, s sender.Sender, yield func([]template.Listing) error) error {
	token, err := c.tokenOf(ctx, s)
	if err != nil {
		return err
	}
	return c.Client.Templates(ctx, s.BusinessAccountID, token, yield)
}

// PhoneNumber returns what WhatsApp lists about the number of a sender.
func (c *Caller) PhoneNumber(ctx context.Context, s sender.Sender) (sender.Report, error) {
	token, err := c.tokenOf(ctx, s)
	if err != nil {
		return sender.Report{}, err
	}
	return c.Client.PhoneNumber(ctx, s.PhoneNumberID, token)
}

// tokenOf returns the access token of a sender, or an error that tells a caller of the API what to do.
func (c *Caller) tokenOf(ctx context.Context, s sender.Sender) (string, error) {
	token, err := c.Token(ctx, s.ID, s.TokenID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return "", domain.Conflict("%v; set one with updateSender, or set WAYPOST_WHATSAPP_TOKEN", err)
	}
	return token, err
}

// Token returns the access token of a sender. The error is a *domain.Error of CodeNotFound if there is none.
func (c *Caller) Token(ctx context.Context, senderID, tokenID string) (string, error) {
	if tokenID != "" {
		return c.Tokens.Get(ctx, senderID, tokenID)
	}
	if token := c.Fallback.Get(); token != "" {
		return token, nil
	}
	return "", domain.NotFound("sender %s has no access token, and there is no default token", senderID)
}

func noToken(err error) message.Failure {
	return message.Failure{
		Category: message.CategoryAuth, Class: message.ClassSender, Message: err.Error(),
		Advice: "Set a token for the sender with updateSender, or set WAYPOST_WHATSAPP_TOKEN.",
	}
}
