package conversation

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// A Call is a call that opens the window: one by the person, answered or not, or one to the
// person that was accepted.
type Call struct {
	Person

	At time.Time
}

// FieldCalls is WhatsApp's field of webhooks about calls.
const FieldCalls = "calls"

// CallsIn returns the calls in the value of a webhook of the field FieldCalls.
// Source: Meta's reference of the webhook calls.
func CallsIn(value json.RawMessage) []Call {
	var v struct {
		Calls []struct {
			From       string          `json:"from"`
			FromUserID string          `json:"from_user_id"`
			Direction  string          `json:"direction"`
			Timestamp  json.RawMessage `json:"timestamp"`
		} `json:"calls"`
		Statuses []struct {
			RecipientID     string          `json:"recipient_id"`
			RecipientUserID string          `json:"recipient_user_id"`
			Type            string          `json:"type"`
			Status          string          `json:"status"`
			Timestamp       json.RawMessage `json:"timestamp"`
		} `json:"statuses"`
	}
	if json.Unmarshal(value, &v) != nil {
		return nil // the value is kept as received
	}
	var calls []Call
	add := func(id, userID string, timestamp json.RawMessage) {
		c := Call{Person: PersonOf(id), At: timeOf(timestamp)}
		if user := PersonOf(userID); user.UserID != "" {
			c.UserID = user.UserID
		}
		if len(c.IDs()) > 0 && !c.At.IsZero() {
			calls = append(calls, c)
		}
	}
	for _, c := range v.Calls {
		if c.Direction == "USER_INITIATED" {
			add(c.From, c.FromUserID, c.Timestamp)
		}
	}
	for _, s := range v.Statuses {
		if s.Type == "call" && s.Status == "ACCEPTED" {
			add(s.RecipientID, s.RecipientUserID, s.Timestamp)
		}
	}
	return calls
}

// FreeUntil returns the end of the free entry point that a status reports, or zero if the
// message belongs to none. object is WhatsApp's object about the conversation.
// Source: Meta's reference of status webhooks, conversation.
func FreeUntil(object json.RawMessage) time.Time {
	var v struct {
		Expiration json.RawMessage `json:"expiration_timestamp"`
		Origin     struct {
			Type string `json:"type"`
		} `json:"origin"`
	}
	if len(object) == 0 || json.Unmarshal(object, &v) != nil || v.Origin.Type != "referral_conversion" {
		return time.Time{}
	}
	return timeOf(v.Expiration)
}

// lastSecond is the last second of the year 9999.
const lastSecond = 253_402_300_799

// timeOf returns a Unix time in seconds that is encoded as a number or as a string, or zero.
func timeOf(raw json.RawMessage) time.Time {
	n, err := strconv.ParseInt(string(bytes.Trim(raw, `"`)), 10, 64)
	if err != nil || n <= 0 || n > lastSecond {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
