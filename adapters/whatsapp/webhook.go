package whatsapp

import (
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/message"
)

// statusKinds maps the words of WhatsApp. "played", of a voice message, is read: it comes after it and the
// platform's states end there.
var statusKinds = map[string]message.StatusKind{
	"sent": message.ReportSent, "delivered": message.ReportDelivered, "read": message.ReportRead,
	"played": message.ReportRead, "failed": message.ReportFailed,
}

const fieldMessages = "messages"

type envelope struct {
	Entry []struct {
		ID      text    `json:"id"`
		Time    instant `json:"time"`
		Changes []struct {
			Field string          `json:"field"`
			Value json.RawMessage `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type messagesValue struct {
	Metadata struct {
		Display text `json:"display_phone_number"`
		ID      text `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []struct {
		Profile struct {
			Name string `json:"name"`
		} `json:"profile"`
		WaID   text `json:"wa_id"`
		UserID text `json:"user_id"`
	} `json:"contacts"`
	Messages []json.RawMessage `json:"messages"`
	Statuses []statusObject    `json:"statuses"`
	Errors   json.RawMessage   `json:"errors"`
}

type statusObject struct {
	ID              text            `json:"id"`
	Status          string          `json:"status"`
	Timestamp       instant         `json:"timestamp"`
	RecipientID     text            `json:"recipient_id"`
	RecipientUserID text            `json:"recipient_user_id"`
	CallbackData    string          `json:"biz_opaque_callback_data"`
	Errors          json.RawMessage `json:"errors"`
	Pricing         struct {
		Model    string `json:"pricing_model"`
		Type     string `json:"type"`
		Category string `json:"category"`
	} `json:"pricing"`
}

type messageObject struct {
	ID         text    `json:"id"`
	From       text    `json:"from"`
	FromUserID text    `json:"from_user_id"`
	Timestamp  instant `json:"timestamp"`
	Type       string  `json:"type"`
	Context    struct {
		ID text `json:"id"`
	} `json:"context"`
}

// ParseWebhook reads the body of a webhook, whose signature was checked before. It never fails: WhatsApp
// repeats a whole webhook for days when one part of it is refused, so what cannot be understood is kept in
// Parked and the rest is taken. Unknown members are ignored, unknown fields are changes, and a member of the
// wrong type is taken as missing, with the whole around it parked as well.
func (t *ErrorTable) ParseWebhook(body []byte) webhook.Delivery {
	var d webhook.Delivery
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		park(&d, "", "the webhook", err, body)
	} else if len(e.Entry) == 0 {
		park(&d, "", "the webhook", errors.New("it has no entry"), body)
	}
	for _, entry := range e.Entry {
		account := string(entry.ID)
		for _, change := range entry.Changes {
			switch {
			case len(change.Value) == 0 || change.Field == "":
				park(&d, account, "a change", errors.New("it has no field or no value"), body)
			case change.Field == fieldMessages:
				t.parseMessages(&d, account, change.Value)
			default:
				d.Changes = append(d.Changes, webhook.Change{
					Origin: webhook.Origin{BusinessAccountID: account, PhoneNumberID: numberIn(change.Value)},
					Field:  change.Field, At: entry.Time.Time, Value: change.Value,
				})
			}
		}
	}
	return d
}

func park(d *webhook.Delivery, account, what string, err error, raw []byte) {
	d.Parked = append(d.Parked, webhook.Parked{BusinessAccountID: account, Reason: what + " cannot be read: " + err.Error(), Raw: raw})
}

// numberIn returns the phone number id in the metadata of a value, if there is one.
func numberIn(value json.RawMessage) string {
	var v struct {
		Metadata struct {
			ID text `json:"phone_number_id"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(value, &v) // most fields have none
	return string(v.Metadata.ID)
}

// parseMessages reads the value of the field messages.
func (t *ErrorTable) parseMessages(d *webhook.Delivery, account string, value json.RawMessage) {
	var v messagesValue
	malformed := json.Unmarshal(value, &v)
	if malformed != nil {
		park(d, account, "messages", malformed, value)
	}
	origin := webhook.Origin{
		BusinessAccountID: account, PhoneNumberID: string(v.Metadata.ID), DisplayPhoneNumber: string(v.Metadata.Display),
	}
	before := len(d.Statuses) + len(d.Inbound) + len(d.Changes) + len(d.Parked)
	for i := range v.Statuses {
		if s, ok := t.status(origin, &v.Statuses[i]); ok {
			d.Statuses = append(d.Statuses, s)
		} else if malformed == nil {
			park(d, account, "a status", errors.New("it has no id, or says what is not known"), elementOf(value, i))
		}
	}
	for _, raw := range v.Messages {
		parseInbound(d, origin, raw, &v)
	}
	if failures := t.failuresIn(v.Errors, origin.PhoneNumberID); len(failures) > 0 {
		d.Changes = append(d.Changes, webhook.Change{Origin: origin, Field: webhook.FieldErrors, Value: value, Failures: failures})
	}
	if len(d.Statuses)+len(d.Inbound)+len(d.Changes)+len(d.Parked) == before {
		d.Changes = append(d.Changes, webhook.Change{Origin: origin, Field: fieldMessages, Value: value})
	}
}

// elementOf returns one of the statuses in value as it came.
func elementOf(value json.RawMessage, i int) json.RawMessage {
	var v struct {
		Statuses []json.RawMessage `json:"statuses"`
	}
	if json.Unmarshal(value, &v) != nil || i >= len(v.Statuses) {
		return value
	}
	return v.Statuses[i]
}

func (t *ErrorTable) status(origin webhook.Origin, o *statusObject) (webhook.Status, bool) {
	kind, known := statusKinds[o.Status]
	if o.ID == "" || !known {
		return webhook.Status{}, false
	}
	s := webhook.Status{
		Origin: origin, Kind: kind, WhatsAppID: string(o.ID), At: o.Timestamp.Time,
		RecipientID: string(o.RecipientID),
	}
	if id, call, ours := ParseCallbackData(o.CallbackData); ours {
		s.MessageID, s.Call = uuid.MustParse(id), call
	}
	if s.RecipientID == "" {
		s.RecipientID = string(o.RecipientUserID)
	}
	if p := (message.Pricing{Model: o.Pricing.Model, Type: o.Pricing.Type, Category: o.Pricing.Category}); p != (message.Pricing{}) {
		s.Pricing = &p
	}
	if kind == message.ReportFailed {
		s.Failure, s.Personal = t.statusFailure(o.Errors, origin.PhoneNumberID)
	}
	return s, true
}

// statusFailure returns the first error of a failed status that has a code.
func (t *ErrorTable) statusFailure(raw json.RawMessage, phoneNumberID string) (*message.Failure, message.FailurePersonal) {
	personal := message.FailurePersonal{Raw: rawText(raw)}
	for _, e := range errorsIn(raw) {
		if e.Code.known {
			f, _ := t.failure(&e, 0, phoneNumberID)
			personal.Details = e.details()
			return &f, personal
		}
	}
	row := t.without(keyUnknownCode)
	return &message.Failure{
		Category: row.Category, Class: message.ClassTransient, Message: "WhatsApp gave no reason", Advice: row.Advice,
	}, personal
}

func (t *ErrorTable) failuresIn(raw json.RawMessage, phoneNumberID string) []message.Failure {
	var failures []message.Failure
	for _, e := range errorsIn(raw) {
		if e.Code.known {
			f, _ := t.failure(&e, 0, phoneNumberID)
			failures = append(failures, f)
		}
	}
	return failures
}

func errorsIn(raw json.RawMessage) []apiError {
	var list []apiError
	_ = json.Unmarshal(raw, &list) // what has another form has no code
	return list
}

func parseInbound(d *webhook.Delivery, origin webhook.Origin, raw json.RawMessage, v *messagesValue) {
	var o messageObject
	err := json.Unmarshal(raw, &o)
	if err == nil && o.ID == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		park(d, origin.BusinessAccountID, "an inbound message", err, raw)
	}
	if o.ID == "" {
		return
	}
	in := webhook.Inbound{
		Origin: origin, WhatsAppID: string(o.ID), At: o.Timestamp.Time, From: string(o.From), Type: o.Type,
		ContextID: string(o.Context.ID), Raw: raw,
	}
	if in.From == "" {
		in.From = string(o.FromUserID)
	}
	for _, c := range v.Contacts {
		if o.From != "" && c.WaID == o.From || o.FromUserID != "" && c.UserID == o.FromUserID {
			in.Name = c.Profile.Name
			break
		}
	}
	d.Inbound = append(d.Inbound, in)
}
