package event

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// MessageStreams is the prefix of every message's stream.
const MessageStreams = "message-"

// SenderStreams is the prefix of every sender's stream.
const SenderStreams = "sender-"

// KeyStreams is the prefix of every API key's stream.
const KeyStreams = "key-"

// OrphanStreams is the prefix of the streams of statuses whose message is not known yet.
const OrphanStreams = "orphan-"

// HookStreams is the prefix of every outgoing webhook's stream.
const HookStreams = "hook-"

// KeysStream lists the API keys, in the order in which they were created.
const KeysStream = "keys"

// AlertStreams is the prefix of every alert's stream.
const AlertStreams = "alert-"

// RuleStreams is the prefix of every alert rule's stream.
const RuleStreams = "rule-"

// SilenceStreams is the prefix of every silence's stream.
const SilenceStreams = "silence-"

// CampaignsStream lists which campaigns were paused and resumed.
const CampaignsStream = "campaign-pauses"

// LogEndStream records doubts about the end of the log, and what was lost.
const LogEndStream = "waypost-log-end"

// LogStream contains one event, which records the log's identity.
const LogStream = "waypost-log"

// MessageStream returns the stream of a message.
func MessageStream(id uuid.UUID) string { return MessageStreams + id.String() }

// ParseMessageStream returns the message that a stream belongs to, or false if it is not a
// message's stream.
func ParseMessageStream(stream string) (uuid.UUID, bool) { return parseStream(stream, MessageStreams) }

// AlertStream returns the stream of an alert.
func AlertStream(id uuid.UUID) string { return AlertStreams + id.String() }

// ParseAlertStream returns the alert that a stream belongs to, or false if it is not an
// alert's stream.
func ParseAlertStream(stream string) (uuid.UUID, bool) { return parseStream(stream, AlertStreams) }

func parseStream(stream, prefix string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(stream, prefix)
	if !ok {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(rest)
	return id, err == nil
}

// RuleStream returns the stream of an alert rule.
func RuleStream(id string) string { return RuleStreams + id }

// SilenceStream returns the stream of a silence of alerts.
func SilenceStream(id string) string { return SilenceStreams + id }

// SenderStream returns the stream of a sender.
func SenderStream(id string) string { return SenderStreams + id }

// KeyStream returns the stream of an API key.
func KeyStream(id uuid.UUID) string { return KeyStreams + id.String() }

// HookStream returns the stream of an outgoing webhook.
func HookStream(id string) string { return HookStreams + id }

// NumberStream returns the stream that claims a phone number for one sender.
func NumberStream(phoneNumberID string) string { return "number-" + phoneNumberID }

// InboundStreams is the prefix of the streams of the messages to phone numbers.
const InboundStreams = "inbound-"

// InboundStream returns the stream of the messages to a phone number.
func InboundStream(phoneNumberID string) string { return InboundStreams + phoneNumberID }

// ReceiptStream returns the stream of the read receipts that a phone number sent.
func ReceiptStream(phoneNumberID string) string { return "receipt-" + phoneNumberID }

// EchoStream returns the stream of the messages that a phone number sent without Waypost.
func EchoStream(phoneNumberID string) string { return "echo-" + phoneNumberID }

// MarketingStreams is the prefix of the streams of people's choices about marketing.
const MarketingStreams = "marketing-"

// MarketingStream returns the stream of people's choices about the marketing of a sender.
func MarketingStream(senderID string) string { return MarketingStreams + senderID }

// IdentityStreams is the prefix of the streams of links between the IDs of people.
const IdentityStreams = "identity-"

// IdentityStream returns the stream of the links that WhatsApp revealed to a business account.
func IdentityStream(businessAccountID string) string { return IdentityStreams + businessAccountID }

// OrphanStream returns the stream of a phone number's statuses whose message is not known
// yet.
func OrphanStream(phoneNumberID string) string { return OrphanStreams + phoneNumberID }

// AccountStream returns the stream of what WhatsApp reports about a business account, raw.
func AccountStream(businessAccountID string) string { return "account-" + businessAccountID }

// TemplateStreams is the prefix of every message template's stream, TemplateListStreams that of
// the streams which record that the templates of an account are known.
const (
	TemplateStreams     = "template-"
	TemplateListStreams = "templates-"
)

// TemplateStream returns the stream of a message template of a business account.
func TemplateStream(businessAccountID, name, language string) string {
	return TemplateStreams + businessAccountID + "-" + name + "-" + language
}

// TemplateListStream returns the stream that records that the templates of an account are known.
func TemplateListStream(businessAccountID string) string {
	return TemplateListStreams + businessAccountID
}

// ParkedStream returns the stream of a day's (UTC) deliveries that could not be parsed.
func ParkedStream(day time.Time) string { return "parked-" + day.UTC().Format("20060102") }

// AccessStream returns the stream of the recorded reads of a day (UTC).
func AccessStream(day time.Time) string { return "access-" + day.UTC().Format("20060102") }

// OperationsStream lists the bulk operations in the order in which they were started, and
// which of them are finished.
const OperationsStream = "operations"

// OperationStream returns the stream of a bulk operation.
func OperationStream(id uuid.UUID) string { return "operation-" + id.String() }

// SelectionStream returns the stream of the messages of a bulk operation.
func SelectionStream(id uuid.UUID) string { return "selection-" + id.String() }

// StreamPart returns an ID of WhatsApp as a part of a stream's name, or "unknown" for
// anything that does not have the form of such an ID.
func StreamPart(id string) string {
	const longest = 32
	if id == "" || len(id) > longest {
		return "unknown"
	}
	for _, c := range []byte(id) {
		if c < '0' || c > '9' {
			return "unknown"
		}
	}
	return id
}
