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

// KeysStream lists the API keys, in the order in which they were made.
const KeysStream = "keys"

// LogStream is the stream whose one event names the log's identity.
const LogStream = "waypost-log"

// MessageStream is the stream of a message.
func MessageStream(id uuid.UUID) string { return MessageStreams + id.String() }

// MessageOf is the message a stream belongs to; false if it is no message's.
func MessageOf(stream string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(stream, MessageStreams)
	if !ok {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(rest)
	return id, err == nil
}

// SenderStream is the stream of a sender.
func SenderStream(id string) string { return SenderStreams + id }

// KeyStream is the stream of an API key.
func KeyStream(id uuid.UUID) string { return KeyStreams + id.String() }

// NumberStream claims a phone number for one sender.
func NumberStream(phoneNumberID string) string { return "number-" + phoneNumberID }

// InboundStream holds what came in for a phone number.
func InboundStream(phoneNumberID string) string { return "inbound-" + phoneNumberID }

// OrphanStream holds the statuses of a phone number whose message is not known yet.
func OrphanStream(phoneNumberID string) string { return OrphanStreams + phoneNumberID }

// AccountStream holds what WhatsApp said of a business account, raw.
func AccountStream(businessAccountID string) string { return "account-" + businessAccountID }

// ParkedStream holds the deliveries of a day (UTC) that could not be understood.
func ParkedStream(day time.Time) string { return "parked-" + day.UTC().Format("20060102") }

// AccessStream holds who read the log or personal data on a day (UTC).
func AccessStream(day time.Time) string { return "access-" + day.UTC().Format("20060102") }

// OperationsStream names, in the order in which they began, the operations that
// are to be carried on, and those that are over.
const OperationsStream = "operations"

// OperationStream is the stream of a bulk operation.
func OperationStream(id uuid.UUID) string { return "operation-" + id.String() }

// SelectionStream holds the messages that a bulk operation is about.
func SelectionStream(id uuid.UUID) string { return "selection-" + id.String() }
