package whatsapp

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/waypost/waypost/domain/message"
)

// Payload is the content of a call.
type Payload struct {
	// To is the recipient in E.164 with the plus. Without it, WhatsApp treats the number as one in the sender's own
	// country.
	To string
	// UserID is the recipient's business-scoped user ID, if the message is not to a number.
	UserID string
	// Kind is the kind of the content.
	Kind message.Kind
	// Content is the object under the kind's name in the Cloud API, as it is stored in Queued.
	Content json.RawMessage
	// ReplyTo is the wamid of the message that this one replies to. Empty if there is none.
	ReplyTo string
	// CallbackData is echoed in every status. See the function CallbackData.
	CallbackData string
}

// JSON returns the body of the call. It fails if the content is not JSON, the number has no plus, or
// there is not exactly one of number and user ID: if both were sent, WhatsApp would ignore the user ID. The domain has
// already checked whether WhatsApp can accept the content, and WhatsApp has the last word.
func (p Payload) JSON() ([]byte, error) {
	kind := strings.ToLower(string(p.Kind))
	if kind == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, fmt.Errorf("build a call: the message needs a kind")
	}
	member, recipient := "to", p.To
	if p.UserID != "" {
		member, recipient = "recipient", p.UserID
	}
	if p.UserID == "" && !isPhoneNumber(p.To) || p.UserID != "" && (p.To != "" || !message.IsUserID(p.UserID)) {
		return nil, fmt.Errorf("build a call: the message needs a recipient in E.164 or a user ID")
	}
	if !json.Valid(p.Content) {
		return nil, fmt.Errorf("build a call: the content of kind %s is not JSON", kind)
	}
	b := make([]byte, 0, 256+len(p.Content)+len(p.ReplyTo)+len(p.CallbackData))
	b = append(b, `{"messaging_product":"whatsapp","recipient_type":"individual","`...)
	b = append(b, member...)
	b = append(b, `":"`...)
	b = append(b, recipient...)
	if p.ReplyTo != "" {
		id, err := json.Marshal(p.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("build a call: %w", err)
		}
		b = append(b, `","context":{"message_id":`...)
		b = append(b, id...)
		b = append(b, `},"type":`...)
	} else {
		b = append(b, `","type":`...)
	}
	b = append(b, '"')
	b = append(b, kind...)
	b = append(b, `","`...)
	b = append(b, kind...)
	b = append(b, `":`...)
	b = append(b, p.Content...)
	if p.CallbackData != "" {
		data, err := json.Marshal(p.CallbackData)
		if err != nil {
			return nil, fmt.Errorf("build a call: %w", err)
		}
		b = append(b, `,"biz_opaque_callback_data":`...)
		b = append(b, data...)
	}
	return append(b, '}'), nil
}

func isPhoneNumber(s string) bool {
	return len(s) > 1 && s[0] == '+' && strings.Trim(s[1:], "0123456789") == ""
}
