package whatsapp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain/message"
)

// apiError is the error member of a response, or an entry of errors in a webhook. Any part of it can be missing.
type apiError struct {
	Code        number          `json:"code"`
	Subcode     number          `json:"error_subcode"`
	Title       string          `json:"title"`
	Message     string          `json:"message"`
	Data        json.RawMessage `json:"error_data"` // an object with details, or a string
	UserTitle   string          `json:"error_user_title"`
	UserMessage string          `json:"error_user_msg"`
	Transient   *bool           `json:"is_transient"`
	TraceID     string          `json:"fbtrace_id"`
}

// details returns what WhatsApp reports in addition to the code.
func (e *apiError) details() string { return prose(e.said()) }

func (e *apiError) said() string {
	var data struct {
		Details string `json:"details"`
	}
	if json.Unmarshal(e.Data, &data) == nil && data.Details != "" {
		return data.Details
	}
	var plain string
	if json.Unmarshal(e.Data, &plain) == nil && plain != "" {
		return plain
	}
	if e.UserMessage != "" {
		return e.UserMessage
	}
	return e.Message
}

// lacksNumber reports whether the error means that the requested object, a phone number, does not exist or is not
// accessible with the token: code 100, usually with subcode 33. WhatsApp returns the same code for media and templates,
// then with their ID.
func (e *apiError) lacksNumber(phoneNumberID string) bool {
	if !e.Code.known || e.Code.value != 100 {
		return false
	}
	_, rest, named := strings.Cut(e.Message, "Object with ID '")
	if !named {
		return e.Subcode.known && e.Subcode.value == 33
	}
	id, _, _ := strings.Cut(rest, "'")
	return id == phoneNumberID
}

// failure converts an error with a code to the domain's terms. httpStatus is 0 for an error from a webhook.
func (t *ErrorTable) failure(e *apiError, httpStatus int, phoneNumberID string) (message.Failure, ErrorRow) {
	code, subcode := e.Code.value, e.Subcode.pointer()
	row, known := t.Lookup(code, subcode)
	if code == 100 {
		if e.lacksNumber(phoneNumberID) {
			missing := 33
			row, known = t.Lookup(code, &missing)
		} else {
			row, known = t.Lookup(code, nil)
		}
	}
	text := row.Title
	if !known {
		row = t.without(keyUnknownCode)
		row.Class = unknownClass(e.Transient, httpStatus)
		text = "unknown error code " + strconv.Itoa(code)
	}
	return message.Failure{
		Code: &code, Subcode: subcode, Category: row.Category, Class: row.Class, Message: text, Advice: row.Advice,
		FBTraceID: line(e.TraceID), HTTPStatus: httpStatus,
	}, row
}

// unknownClass returns the class of a code that is not in the table: the class that WhatsApp reports itself, or else
// the class by the status. An error from a webhook is transient, so that its message becomes a dead letter, which an
// operator can send again.
func unknownClass(transient *bool, httpStatus int) message.Class {
	switch {
	case transient != nil && *transient:
		return message.ClassTransient
	case transient != nil:
		return message.ClassPermanent
	case httpStatus >= 400 && httpStatus < 500:
		return message.ClassPermanent
	}
	return message.ClassTransient
}

// refusal returns the failure of a response without a readable code. ok is false if such a response leaves open whether
// WhatsApp accepted the message.
func (t *ErrorTable) refusal(httpStatus int) (f message.Failure, row ErrorRow, ok bool) {
	key := "none:http" + strconv.Itoa(httpStatus)
	switch {
	case httpStatus < 300 || httpStatus >= 500:
		return message.Failure{}, ErrorRow{}, false
	case httpStatus < 400:
		key = keyRedirect
	case t.byKey[key] == nil:
		key = keyOther4xx
	}
	row = t.without(key)
	return message.Failure{
		Category: row.Category, Class: row.Class, Message: row.Title, Advice: row.Advice, HTTPStatus: httpStatus,
	}, row, true
}

// result returns the outcome of a call with this response status and body.
func (t *ErrorTable) result(httpStatus int, header http.Header, body []byte, phoneNumberID string) message.CallResult {
	var answer struct {
		Messages []struct {
			ID     string `json:"id"`
			Status string `json:"message_status"`
		} `json:"messages"`
		Contacts []struct {
			WaID   text `json:"wa_id"`
			UserID text `json:"user_id"`
		} `json:"contacts"`
		Error apiError `json:"error"`
	}
	// A body that is not JSON or has another format leaves members empty, which is sufficient here.
	_ = json.Unmarshal(body, &answer)

	if answer.Error.Code.known {
		f, row := t.failure(&answer.Error, httpStatus, phoneNumberID)
		if f.FBTraceID == "" {
			f.FBTraceID = line(header.Get("X-Fb-Trace-Id"))
		}
		return message.Refused{
			Failure:           f,
			Personal:          message.FailurePersonal{Details: answer.Error.details(), Raw: rawText(body)},
			Scope:             row.Scope,
			RetryAfterSeconds: retryAfter(header, row.Scope),
			Unreachable:       httpStatus >= 500 && f.Class == message.ClassTransient,
		}
	}
	if httpStatus >= 200 && httpStatus < 300 {
		if len(answer.Messages) == 0 || answer.Messages[0].ID == "" {
			return message.Lost{Cause: CauseUnreadable, HTTPStatus: httpStatus}
		}
		accepted := message.Accepted{WhatsAppID: line(answer.Messages[0].ID)}
		if held := line(answer.Messages[0].Status); held != "accepted" {
			accepted.Held = held
		}
		if len(answer.Contacts) > 0 {
			accepted.RecipientID = string(answer.Contacts[0].WaID)
			if accepted.RecipientID == "" {
				accepted.RecipientID = string(answer.Contacts[0].UserID)
			}
		}
		return accepted
	}
	f, row, ok := t.refusal(httpStatus)
	if !ok {
		return message.Lost{Cause: CauseServer, HTTPStatus: httpStatus}
	}
	f.FBTraceID = line(header.Get("X-Fb-Trace-Id"))
	return message.Refused{
		Failure: f, Personal: message.FailurePersonal{Raw: rawText(body)},
		Scope: row.Scope, RetryAfterSeconds: retryAfter(header, row.Scope),
	}
}

// rawText returns the part of a body that an event keeps: its beginning, as UTF-8.
func rawText(body []byte) string {
	const few = 4 << 10 // as in message.TruncateRaw; truncated first, so that a large body is not copied
	return message.TruncateRaw(string(bytes.ToValidUTF8(body[:min(len(body), few)], []byte("\uFFFD"))))
}
