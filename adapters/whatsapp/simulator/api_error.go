package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// apiError is an error in the Cloud API's format.
type apiError struct {
	status    int
	code      int
	subcode   int // 0 means none
	title     string
	message   string // if empty, "(#code) title"
	details   string // error_data.details; if empty, there is no error_data
	kind      string // the type member; if empty, OAuthException
	transient bool   // whether the response contains is_transient: true; otherwise the member is omitted
}

// known contains the errors that a sender is likely to meet, in the words of Meta's documentation of error codes (as of
// September 2026; HTTP statuses from November 2025, the last edition that contained them).
var known = map[int]apiError{
	0:      {status: 401, title: "AuthException", details: "We were unable to authenticate the app user."},
	1:      {status: 400, title: "API Unknown", details: "Invalid request or possible server error."},
	2:      {status: 503, title: "Service temporarily unavailable", transient: true},
	3:      {status: 500, title: "API Method", details: "Capability or permissions issue."},
	4:      {status: 400, title: "Application request limit reached", transient: true},
	10:     {status: 403, title: "Application does not have permission for this action"},
	33:     {status: 400, title: "Parameter value is not valid", details: "The business phone number has been deleted."},
	100:    {status: 400, title: "Invalid parameter", details: "The request is invalid."},
	190:    {status: 401, subcode: 463, message: "Error validating access token: The session has been invalidated."},
	200:    {status: 403, title: "API Permission", details: "Permission is either not granted or has been removed."},
	368:    {status: 403, title: "Temporarily blocked for policies violations", details: "The WhatsApp Business Account associated with the app has been restricted or disabled for violating a platform policy."},
	80007:  {status: 400, title: "Rate limit issues", details: "The WhatsApp Business Account has reached its rate limit."},
	130429: {status: 400, title: "Rate limit hit", details: "Cloud API message throughput has been reached."},
	130472: {status: 400, title: "User's number is part of an experiment", details: "Message was not sent as part of an experiment."},
	130497: {status: 403, title: "Business account is restricted from messaging users in this country.", details: "The WhatsApp Business Account is restricted from messaging to users in certain countries."},
	131000: {status: 500, title: "Something went wrong", details: "Message failed to send due to an unknown error."},
	131005: {status: 403, title: "Access denied", details: "Permission is either not granted or has been removed."},
	131008: {status: 400, title: "Required parameter is missing"},
	131009: {status: 400, title: "Parameter value is not valid"},
	131016: {status: 500, title: "Service unavailable", details: "A service is temporarily unavailable."},
	131021: {status: 400, title: "Recipient cannot be sender", details: "Sender and recipient phone number is the same."},
	131026: {status: 400, title: "Message undeliverable", details: "Message undeliverable."},
	131030: {status: 400, title: "Recipient phone number not in allowed list", details: "Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again."},
	131031: {status: 403, title: "Account has been locked", details: "Business account has been locked."},
	131042: {status: 400, title: "Business eligibility payment issue", details: "Message failed to send because there were one or more errors related to your payment method."},
	131045: {status: 500, title: "Incorrect certificate", details: "Message failed to send due to a phone number registration error."},
	131047: {status: 400, title: "Re-engagement message", details: "Message failed to send because more than 24 hours have passed since the customer last replied to this number."},
	131048: {status: 400, title: "Spam rate limit hit", details: "Message failed to send because there are restrictions on how many messages can be sent from this phone number."},
	131049: {status: 400, title: "This message was not delivered to maintain healthy ecosystem engagement.", details: "In order to maintain a healthy ecosystem engagement, the message failed to be delivered."},
	131050: {status: 400, title: "User has stopped receiving marketing messages from this business", details: "The user has chosen to stop receiving marketing messages from your business."},
	131051: {status: 400, title: "Unsupported message type"},
	131053: {status: 400, title: "Media upload error", details: "Downloading media from weblink failed with http code 404"},
	131056: {status: 400, title: "(Business Account, Consumer Account) pair rate limit hit", details: "Too many messages sent from this phone number to the same phone number in a short period of time."},
	131057: {status: 500, title: "Account in maintenance mode", details: "Business Account is in maintenance mode"},
	132000: {status: 400, title: "Number of parameters does not match the expected number of params", details: "body: number of localizable_params (1) does not match the expected number of params (2)"},
	132001: {status: 404, title: "Template name does not exist in the translation", details: "The template does not exist in the specified language or the template has not been approved."},
	132015: {status: 400, title: "Template is Paused", details: "Template is paused due to low quality."},
	132016: {status: 400, title: "Template is Disabled", details: "Template is disabled."},
	133010: {status: 400, title: "The account is not registered"},
}

// errorOf returns the error with a code. For a code that is not in the table, the response is 400 without a title of
// Meta's, like a code that Meta may add in the future.
func errorOf(code int) *apiError {
	e, ok := known[code]
	if !ok {
		e = apiError{status: http.StatusBadRequest, title: "Some future error", details: "Undocumented."}
	}
	e.code = code
	return &e
}

// detailed returns the error with a code and its own details.
func detailed(code int, format string, args ...any) *apiError {
	e := errorOf(code)
	e.details = fmt.Sprintf(format, args...)
	return e
}

// missingObject returns the error for an ID that does not exist or is not accessible with the token.
func missingObject(id, method string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, code: 100, subcode: 33, kind: "GraphMethodException",
		message: fmt.Sprintf("Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation", method, id),
	}
}

// missingToken returns the error for a request without an access token.
func missingToken() *apiError {
	return &apiError{status: http.StatusUnauthorized, code: 104, message: "An access token is required to request this resource."}
}

func (e *apiError) text() string {
	if e.message != "" {
		return e.message
	}
	return fmt.Sprintf("(#%d) %s", e.code, e.title)
}

// throttles reports whether the error asks the caller to slow down.
func (e *apiError) throttles() bool {
	switch e.code {
	case 4, 80007, 130429, 131056:
		return true
	}
	return false
}

func (e *apiError) body(trace string) []byte {
	type data struct {
		Product string `json:"messaging_product"`
		Details string `json:"details"`
	}
	inner := struct {
		Message   string `json:"message"`
		Type      string `json:"type"`
		Code      int    `json:"code"`
		Data      *data  `json:"error_data,omitempty"`
		Subcode   int    `json:"error_subcode,omitempty"`
		Transient bool   `json:"is_transient,omitempty"`
		Trace     string `json:"fbtrace_id"`
	}{e.text(), e.kind, e.code, nil, e.subcode, e.transient, trace}
	if inner.Type == "" {
		inner.Type = "OAuthException"
	}
	if e.details != "" {
		inner.Data = &data{"whatsapp", e.details}
	}
	body, err := json.Marshal(map[string]any{"error": inner})
	if err != nil { // impossible: only strings and numbers
		return []byte(`{"error":{"message":"(#131000) Something went wrong","code":131000}}`)
	}
	return body
}
