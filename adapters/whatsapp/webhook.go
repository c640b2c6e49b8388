package whatsapp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
)

// statusKinds maps WhatsApp's words. "played", of a voice message, maps to read: it comes after read, which is the last
// state in Waypost.
var statusKinds = map[string]message.StatusKind{
	"sent": message.ReportSent, "delivered": message.ReportDelivered, "read": message.ReportRead,
	"played": message.ReportRead, "failed": message.ReportFailed,
}

// The fields that are not only kept as they are.
const (
	fieldMessages    = "messages"
	fieldStandby     = "standby"
	fieldAppEchoes   = "smb_message_echoes"
	fieldHandovers   = "messaging_handovers"
	fieldPreferences = "user_preferences"
)

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

type phoneNumber struct {
	Display text `json:"display_phone_number"`
	ID      text `json:"phone_number_id"`
}

type messagesValue struct {
	Metadata phoneNumber `json:"metadata"`
	items
	Standby standby `json:"standby"`
}

// standby is the object with the items of the field standby.
type standby struct {
	items
	raw json.RawMessage
}

// UnmarshalJSON decodes the items, and keeps the object.
func (s *standby) UnmarshalJSON(data []byte) error {
	s.raw = bytes.Clone(data)
	return json.Unmarshal(data, &s.items)
}

// The members of a value that become events of their own, or identify the number and the people. Others are kept as they
// are.
var (
	valueMembers = []string{"messaging_product", "metadata"}                                //nolint:gochecknoglobals // a constant
	itemMembers  = []string{"contacts", "messages", "statuses", "message_echoes", "errors"} //nolint:gochecknoglobals // a constant
)

// items are the contents of the fields messages and standby. The latter has them in an object
// of their own.
type items struct {
	Contacts []struct {
		Profile struct {
			Name string `json:"name"`
		} `json:"profile"`
		person
	} `json:"contacts"`
	Messages []json.RawMessage `json:"messages"`
	Statuses []json.RawMessage `json:"statuses"`
	Echoes   []json.RawMessage `json:"message_echoes"`
	Errors   json.RawMessage   `json:"errors"`
}

type statusObject struct {
	ID                      text            `json:"id"`
	Status                  string          `json:"status"`
	Type                    json.RawMessage `json:"type"`
	Timestamp               instant         `json:"timestamp"`
	RecipientID             text            `json:"recipient_id"`
	RecipientUserID         text            `json:"recipient_user_id"`
	RecipientParentUserID   text            `json:"recipient_parent_user_id"`
	RecipientType           text            `json:"recipient_type"`
	ParticipantID           text            `json:"recipient_participant_id"`
	ParticipantUserID       text            `json:"recipient_participant_user_id"`
	ParticipantParentUserID text            `json:"recipient_participant_parent_user_id"`
	CallbackData            text            `json:"biz_opaque_callback_data"`
	Errors                  json.RawMessage `json:"errors"`
	Pricing                 object          `json:"pricing"`
	Conversation            object          `json:"conversation"`
}

type echoObject struct {
	ID        text    `json:"id"`
	To        text    `json:"to"`
	ToUserID  text    `json:"to_user_id"`
	Timestamp instant `json:"timestamp"`
	Type      string  `json:"type"`
	// Message is the request of another system, on standby.
	Message struct {
		To        text   `json:"to"`
		Recipient text   `json:"recipient"`
		Type      string `json:"type"`
	} `json:"message"`
}

type messageObject struct {
	ID               text    `json:"id"`
	From             text    `json:"from"`
	FromUserID       text    `json:"from_user_id"`
	FromParentUserID text    `json:"from_parent_user_id"`
	Timestamp        instant `json:"timestamp"`
	Type             string  `json:"type"`
	// System, Text, and Contacts are the contents of messages of those types. Origin is also in the contacts.
	System   json.RawMessage `json:"system"`
	Text     json.RawMessage `json:"text"`
	Contacts json.RawMessage `json:"contacts"`
	Origin   text            `json:"origin"`
	Context  struct {
		ID text `json:"id"`
	} `json:"context"`
}

// ParseWebhook parses the body of a webhook whose signature has been checked. It never fails: WhatsApp repeats a whole
// webhook for days if one part of it is rejected, so parts that cannot be understood are kept in Parked, and the rest
// is processed. Unknown fields become changes, and so do unknown members next to the lists of messages and statuses. A
// member of the wrong type is treated as missing, with the object around it parked as well.
//
// A webhook that is not UTF-8 is parked unchanged, and processed with U+FFFD in place of invalid bytes.
//
// The cost is linear in the size of the body, whatever it contains.
func (t *ErrorTable) ParseWebhook(body []byte) webhook.Delivery {
	var d webhook.Delivery
	var e envelope
	raw := body
	if !utf8.Valid(raw) {
		body = bytes.ToValidUTF8(raw, []byte(string(utf8.RuneError)))
	}
	if err := json.Unmarshal(body, &e); err != nil {
		park(&d, "", "the webhook", err, raw)
	} else if len(e.Entry) == 0 {
		park(&d, "", "the webhook", errors.New("it has no entry"), raw)
	} else if !utf8.Valid(raw) {
		park(&d, "", "the webhook", errors.New("it is not valid UTF-8"), raw)
	}
	incomplete := false
	for _, entry := range e.Entry {
		account := string(entry.ID)
		if len(entry.Changes) == 0 && !incomplete {
			park(&d, account, "an entry", errors.New("it has no changes"), body)
			incomplete = true
		}
		for _, change := range entry.Changes {
			switch {
			case len(change.Value) == 0 || change.Field == "":
				if !incomplete { // once is enough, because the whole body is parked
					park(&d, account, "a change", errors.New("it has no field or no value"), body)
				}
				incomplete = true
			case change.Field == fieldMessages, change.Field == fieldStandby, change.Field == fieldAppEchoes:
				t.parseItems(&d, account, change.Field, change.Value, entry.Time.Time)
			case change.Field == fieldHandovers:
				d.Changes = append(d.Changes, handover(account, change.Value, entry.Time.Time))
			default:
				linkOthers(&d, account, change.Value)
				if change.Field == fieldPreferences {
					parsePreferences(&d, account, change.Value)
				}
				if r, ok := templateReport(account, change.Field, change.Value, entry.Time.Time); ok {
					d.Templates = append(d.Templates, r)
				}
				d.Accounts = append(d.Accounts, accountReports(account, change.Field, change.Value, entry.Time.Time)...)
				d.Changes = append(d.Changes, webhook.Change{
					Origin: webhook.Origin{BusinessAccountID: account, PhoneNumberID: numberIn(change.Value)},
					Field:  line(change.Field), At: entry.Time.Time, Value: change.Value,
				})
			}
		}
	}
	d.Links = distinctLinks(d.Links)
	return d
}

func park(d *webhook.Delivery, account, what string, err error, raw []byte) {
	d.Parked = append(d.Parked, webhook.Parked{BusinessAccountID: account, Reason: what + " cannot be read: " + prose(err.Error()), Raw: raw})
}

// numberIn returns the phone number ID in the metadata of a value, if there is one.
func numberIn(value json.RawMessage) string {
	var v struct {
		Metadata struct {
			ID text `json:"phone_number_id"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(value, &v) // most fields have none
	return string(v.Metadata.ID)
}

// handover returns the change for the field messaging_handovers: another system starts or stops replying to a user. It
// has the number in its recipient. WhatsApp counts it toward the throughput limit of the number, like a message.
// Source: Meta's reference of the webhook messaging_handovers, September 2026.
func handover(account string, value json.RawMessage, at time.Time) webhook.Change {
	var v struct {
		Recipient phoneNumber `json:"recipient"`
		Timestamp instant     `json:"timestamp"`
	}
	_ = json.Unmarshal(value, &v) // what cannot be read is missing; the value is kept
	if !v.Timestamp.IsZero() {
		at = v.Timestamp.Time
	}
	return webhook.Change{
		Origin: v.Recipient.origin(account), Field: fieldHandovers, At: at, Value: value, Traffic: v.Recipient.ID != "",
	}
}

func (n phoneNumber) origin(account string) webhook.Origin {
	return webhook.Origin{BusinessAccountID: account, PhoneNumberID: string(n.ID), DisplayPhoneNumber: string(n.Display)}
}

// parseItems parses the value of a field with messages, statuses, or echoes. Members that it doesn't know become a change
// of their own, and so does a value without any item.
func (t *ErrorTable) parseItems(d *webhook.Delivery, account, field string, value json.RawMessage, at time.Time) {
	var v messagesValue
	malformed := json.Unmarshal(value, &v)
	if malformed != nil {
		park(d, account, field, malformed, value)
	}
	origin := v.Metadata.origin(account)
	list, rest := &v.items, restOf(value, valueMembers, itemMembers)
	if field == fieldStandby {
		list = &v.Standby.items
		rest = append(restOf(value, valueMembers, []string{fieldStandby}), restOf(v.Standby.raw, itemMembers)...)
	}
	linkContacts(d, account, list)
	before := len(d.Statuses) + len(d.Inbound) + len(d.Echoes) + len(d.Changes) + len(d.Parked)
	for _, raw := range list.Statuses {
		t.parseStatus(d, origin, field, raw)
	}
	if len(list.Messages) > 0 {
		names := namesIn(list)
		for _, raw := range list.Messages {
			parseInbound(d, origin, field, raw, names)
		}
	}
	for _, raw := range list.Echoes {
		parseEcho(d, origin, field, raw)
	}
	if failures := t.failuresIn(list.Errors, origin.PhoneNumberID); len(failures) > 0 {
		d.Changes = append(d.Changes, webhook.Change{Origin: origin, Field: webhook.FieldErrors, Value: value, Failures: failures})
		return // with the whole value
	}
	if len(list.Errors) > 0 && string(list.Errors) != "null" {
		rest = append(rest, member{[]byte(`"errors"`), list.Errors})
	}
	switch {
	case len(d.Statuses)+len(d.Inbound)+len(d.Echoes)+len(d.Changes)+len(d.Parked) == before:
		d.Changes = append(d.Changes, webhook.Change{Origin: origin, Field: field, At: at, Value: value})
	case len(rest) > 0:
		d.Changes = append(d.Changes, webhook.Change{Origin: origin, Field: field, At: at, Value: objectOf(rest), Around: value})
	}
}

// parseStatus parses one status. If a member has the wrong type, it parks the status in addition to using what it could
// parse.
func (t *ErrorTable) parseStatus(d *webhook.Delivery, origin webhook.Origin, field string, raw json.RawMessage) {
	var o statusObject
	malformed := errors.Join(json.Unmarshal(raw, &o), o.Pricing.problem("pricing"), o.Conversation.problem("conversation"))
	s, ok := t.status(origin, &o, raw)
	switch {
	case malformed != nil:
		park(d, origin.BusinessAccountID, "a status", malformed, raw)
	case !ok:
		park(d, origin.BusinessAccountID, "a status", errors.New("it has no ID or an unknown status"), raw)
	}
	if ok {
		linkStatus(d, origin.BusinessAccountID, &o)
		// On standby, WhatsApp reports the messages of the system that is to reply to the user.
		s.Foreign = s.Foreign || field == fieldStandby && s.Call == 0
		d.Statuses = append(d.Statuses, s)
	}
}

// maxWord limits the words of WhatsApp that an event contains in plain text.
const maxWord = 64

// isWord reports whether text is a word of the kind that WhatsApp uses for types and statuses.
func isWord(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return text != "" && len(text) <= maxWord
}

// typeMessage is the type of statuses about the delivery of a message. Most of them have no type.
const typeMessage = "message"

// statusKind returns the kind of a status, and its type for message.ReportOther. It returns false if the status cannot
// be understood.
func statusKind(o *statusObject) (message.StatusKind, string, bool) {
	kind := typeMessage
	if len(o.Type) > 0 && string(o.Type) != "null" && json.Unmarshal(o.Type, &kind) != nil {
		return "", "", false
	}
	if kind == typeMessage || kind == "" {
		k, known := statusKinds[o.Status]
		return k, "", known
	}
	return message.ReportOther, kind, isWord(kind) && isWord(o.Status) && !o.Timestamp.IsZero()
}

func (t *ErrorTable) status(origin webhook.Origin, o *statusObject, raw json.RawMessage) (webhook.Status, bool) {
	kind, about, known := statusKind(o)
	if o.ID == "" || !known {
		return webhook.Status{}, false
	}
	s := webhook.Status{
		Origin: origin, Kind: kind, WhatsAppID: string(o.ID), At: o.Timestamp.Time,
		RecipientID: string(o.RecipientID), Pricing: o.Pricing.raw, Conversation: o.Conversation.raw,
	}
	id, call, ours := ParseCallbackData(string(o.CallbackData))
	if ours {
		s.MessageID, s.Call = uuid.MustParse(id), call
	}
	s.Foreign = o.CallbackData != "" && !ours
	if s.RecipientID == "" {
		s.RecipientID = string(o.RecipientUserID)
	}
	switch kind {
	case message.ReportFailed:
		s.Failure, s.Personal = t.statusFailure(o.Errors, origin.PhoneNumberID)
	case message.ReportOther:
		s.About = message.About{Type: about, Status: o.Status, Raw: rawText(raw)}
	case message.ReportSent, message.ReportDelivered, message.ReportRead:
	}
	return s, true
}

// statusFailure returns the first error with a code in a failed status.
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
	_ = json.Unmarshal(raw, &list) // a value in another format has no code
	return list
}

// namesIn returns the profile names in a value by the IDs of their users.
func namesIn(v *items) map[text]string {
	names := make(map[text]string)
	for _, c := range v.Contacts {
		for _, id := range []text{c.WaID, c.UserID} {
			if _, known := names[id]; !known && id != "" {
				names[id] = c.Profile.Name
			}
		}
	}
	return names
}

func parseInbound(d *webhook.Delivery, origin webhook.Origin, field string, raw json.RawMessage, names map[text]string) {
	var o messageObject
	err := json.Unmarshal(raw, &o)
	if err == nil && o.ID == "" {
		err = errors.New("it has no ID")
	}
	if err != nil {
		park(d, origin.BusinessAccountID, "an inbound message", err, raw)
	}
	if o.ID == "" {
		return
	}
	linkMessage(d, origin.BusinessAccountID, &o)
	in := webhook.Inbound{
		Origin: origin, WhatsAppID: string(o.ID), At: o.Timestamp.Time, From: string(o.From), Type: line(o.Type),
		ContextID: string(o.Context.ID), Raw: raw,
	}
	if field != fieldMessages {
		in.Field = field
	}
	if in.From == "" {
		in.From = string(o.FromUserID)
	}
	in.UserID = userIDOf(o.FromUserID)
	if o.Type == "text" {
		in.Text = bodyOf(o.Text)
	}
	for _, id := range []text{o.From, o.FromUserID} {
		if name, ok := names[id]; ok {
			in.Name = line(name)
			break
		}
	}
	d.Inbound = append(d.Inbound, in)
}

// maxKeywordText is the size of a text that can be a keyword, as JSON, in bytes.
const maxKeywordText = 1 << 10

// bodyOf returns the text of a short text message, or "" for any other.
func bodyOf(raw json.RawMessage) string {
	if len(raw) > maxKeywordText {
		return ""
	}
	var t struct {
		Body text `json:"body"`
	}
	_ = json.Unmarshal(raw, &t) // the message is kept as received
	return string(t.Body)
}

// parsePreferences adds the choices about marketing messages in a value of the field user_preferences. Meta documents no
// other category; the value itself becomes a change in any case.
// Source: Meta's reference of the webhook user_preferences, September 2026.
func parsePreferences(d *webhook.Delivery, account string, value json.RawMessage) {
	var v struct {
		Metadata    phoneNumber       `json:"metadata"`
		Preferences []json.RawMessage `json:"user_preferences"`
	}
	if json.Unmarshal(value, &v) != nil {
		return
	}
	for _, raw := range v.Preferences {
		var p struct {
			person
			Category  string  `json:"category"`
			Value     string  `json:"value"`
			Timestamp instant `json:"timestamp"`
		}
		if json.Unmarshal(raw, &p) != nil || p.Category != "marketing_messages" || p.Value != "stop" && p.Value != "resume" {
			continue
		}
		who := conversation.Person{Number: numberOf(p.WaID), UserID: userIDOf(p.UserID)}
		if len(who.IDs()) > 0 {
			d.Preferences = append(d.Preferences, webhook.Preference{
				Origin: v.Metadata.origin(account), Person: who, OptedOut: p.Value == "stop", At: p.Timestamp.Time, Raw: raw,
			})
		}
	}
}

func parseEcho(d *webhook.Delivery, origin webhook.Origin, field string, raw json.RawMessage) {
	var o echoObject
	err := json.Unmarshal(raw, &o)
	if err == nil && o.ID == "" {
		err = errors.New("it has no ID")
	}
	if err != nil {
		park(d, origin.BusinessAccountID, "an echo", err, raw)
	}
	if o.ID == "" {
		return
	}
	d.Echoes = append(d.Echoes, webhook.Echo{
		Origin: origin, Field: field, WhatsAppID: string(o.ID), At: o.Timestamp.Time,
		To: string(cmp.Or(o.To, o.Message.To)), ToUserID: string(cmp.Or(o.ToUserID, o.Message.Recipient)),
		Type: line(cmp.Or(o.Type, o.Message.Type)), Raw: raw,
	})
}
