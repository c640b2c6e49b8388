package message

import "unicode/utf8"

// Class is what Waypost does about a failure. The values are those of the GraphQL schema.
type Class string

// The classes of failures.
const (
	// ClassTransient failures are retried.
	ClassTransient Class = "TRANSIENT"
	// ClassPermanent failures are never retried.
	ClassPermanent Class = "PERMANENT"
	// ClassSender failures hold the sender, because of its token, account, or payment. They
	// say nothing about the message, which waits.
	ClassSender Class = "SENDER"
	// ClassThrottled failures slow down a scope. They say nothing about the message.
	ClassThrottled Class = "THROTTLED"
)

// Category groups failures by their subject.
type Category string

// The categories of failures, as the GraphQL schema lists them.
const (
	CategoryRateLimit     Category = "rate_limit"
	CategoryPairRateLimit Category = "pair_rate_limit"
	CategoryCapacity      Category = "capacity"
	CategoryNetwork       Category = "network"
	CategoryServer        Category = "server"
	CategoryRecipient     Category = "recipient"
	CategoryPolicy        Category = "policy"
	CategoryTemplate      Category = "template"
	CategoryParameter     Category = "parameter"
	CategoryMedia         Category = "media"
	CategoryAuth          Category = "auth"
	CategoryAccount       Category = "account"
	CategoryPayment       Category = "payment"
	CategoryUnsettled     Category = "unsettled"
	// CategoryWindow means that the recipient's 24-hour window was closed and the message
	// was not to be sent then.
	CategoryWindow  Category = "window"
	CategoryUnknown Category = "unknown"
)

// ThrottleScope is the scope that a throttle applies to.
type ThrottleScope string

// The scopes of throttles, from the narrowest to the widest.
const (
	// ScopePair is one recipient of one number.
	ScopePair ThrottleScope = "pair"
	// ScopeNumber is one phone number, so one sender.
	ScopeNumber ThrottleScope = "number"
	// ScopeAccount is a business account with all its numbers.
	ScopeAccount ThrottleScope = "account"
	// ScopeApp is everything that uses the same access token.
	ScopeApp ThrottleScope = "app"
)

// Failure is why a call or a message failed, without personal data.
type Failure struct {
	// Code is WhatsApp's error code; nil for network faults. Zero is a code.
	Code     *int     `json:"code,omitempty"`
	Subcode  *int     `json:"subcode,omitempty"`
	Category Category `json:"category"`
	Class    Class    `json:"class"`
	// Message describes the failure in a few words.
	Message string `json:"message"`
	// Advice describes in one sentence what to do about it.
	Advice string `json:"advice,omitempty"`
	// FBTraceID is Meta's trace ID, which its support asks for.
	FBTraceID string `json:"fbtraceId,omitempty"`
	// HTTPStatus is the status of the response, or 0 if there was none.
	HTTPStatus int `json:"httpStatus,omitempty"`
}

// policyCaps are the codes by which WhatsApp declines to deliver, to protect the recipient.
// They are not a fault of the sender's service.
// Source: Meta's error codes page: 131049, a limit per person; 130472, an experiment; 131050,
// the person stopped marketing messages.
var policyCaps = [...]int{131049, 130472, 131050}

// PolicyCap reports whether WhatsApp chose not to deliver, to protect the recipient. Such
// failures are shown, but don't count as errors.
func (f Failure) PolicyCap() bool {
	if f.Code == nil {
		return false
	}
	for _, c := range policyCaps {
		if *f.Code == c {
			return true
		}
	}
	return false
}

// The codes by which WhatsApp refuses a message because of what the person did.
// Source: Meta's error codes page.
const (
	codeWindowClosed    = 131047
	codeMarketingOptOut = 131050
)

// WindowClosed reports whether WhatsApp refused a free-form message because the person did not
// write within the last 24 hours.
func (f Failure) WindowClosed() bool { return f.Code != nil && *f.Code == codeWindowClosed }

// MarketingOptOut reports whether WhatsApp refused a message because the person wants no
// marketing.
func (f Failure) MarketingOptOut() bool { return f.Code != nil && *f.Code == codeMarketingOptOut }

// maxRaw is the maximum length of a stored response body, in bytes.
const maxRaw = 4 << 10

// TruncateRaw shortens a response body to the length that an event stores, without splitting
// a character.
func TruncateRaw(raw string) string {
	if len(raw) <= maxRaw {
		return raw
	}
	end := maxRaw
	for end > maxRaw-utf8.UTFMax && !utf8.RuneStart(raw[end]) {
		end--
	}
	return raw[:end]
}

// CallResult is the outcome of a call: Accepted, Refused, Lost, NotCalled, or Postponed.
type CallResult interface{ callResult() }

// Accepted is a response by which WhatsApp accepted the message.
type Accepted struct {
	WhatsAppID  string
	RecipientID string
	// Held is set for a template that WhatsApp holds back for now.
	Held string
}

// Refused is a response, or a network fault, after which WhatsApp certainly doesn't have the
// message.
type Refused struct {
	Failure  Failure
	Personal FailurePersonal
	// Scope is what a throttle applies to. It is set if the class is THROTTLED.
	Scope ThrottleScope
	// RetryAfterSeconds is the delay that the response asked for, or 0.
	RetryAfterSeconds int
	// Unreachable marks network faults and 5xx. By it, the lane's breaker distinguishes an
	// outage of WhatsApp from a failure of the message.
	Unreachable bool
}

// Lost is a call whose request WhatsApp may have accepted, but to which no readable response
// arrived.
type Lost struct {
	Cause      string
	HTTPStatus int
}

// NotCalled is a call that was begun and never made, because the lease or the slot had
// expired when SendAttempted was recorded.
type NotCalled struct{}

func (Accepted) callResult()  {}
func (Refused) callResult()   {}
func (Lost) callResult()      {}
func (NotCalled) callResult() {}
