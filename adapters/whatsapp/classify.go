package whatsapp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain/message"
)

// apiError is the error member of an answer, or an entry of errors in a webhook. All of it may be missing.
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

// details is what WhatsApp says beyond the code.
func (e *apiError) details() string {
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

// lacksNumber tells whether the error says that the object called, a phone number, does not exist or is out
// of the token's reach: code 100, mostly with subcode 33. The same is said of media and templates, then
// with their id.
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

// failure turns an error with a code into the domain's terms. httpStatus is 0 for one that came by webhook.
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
		FBTraceID: e.TraceID, HTTPStatus: httpStatus,
	}, row
}

// unknownClass decides what to do about a code that is not in the table: as WhatsApp says itself, else by
// the status. One that came by webhook is taken as transient, so that its message ends among the dead
// letters, where a person can send it again.
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

// refusal is the failure of an answer without a code that can be read; it is not ok where such an answer
// leaves open whether WhatsApp took the message.
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

// result says what came of a call that was answered with this status and body.
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
	// A body that is no JSON or has another form leaves members empty; more need not be known about it.
	_ = json.Unmarshal(body, &answer)

	if answer.Error.Code.known {
		f, row := t.failure(&answer.Error, httpStatus, phoneNumberID)
		if f.FBTraceID == "" {
			f.FBTraceID = header.Get("X-Fb-Trace-Id")
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
		accepted := message.Accepted{WhatsAppID: answer.Messages[0].ID}
		if held := answer.Messages[0].Status; held != "accepted" {
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
	f.FBTraceID = header.Get("X-Fb-Trace-Id")
	return message.Refused{
		Failure: f, Personal: message.FailurePersonal{Raw: rawText(body)},
		Scope: row.Scope, RetryAfterSeconds: retryAfter(header, row.Scope),
	}
}

// rawText is what an event keeps of a body: its first part, as UTF-8.
func rawText(body []byte) string {
	const few = 4 << 10 // as message.Cut; cut first, so that a large body is not copied
	return message.Cut(string(bytes.ToValidUTF8(body[:min(len(body), few)], []byte("\uFFFD"))))
}
