package message

import "unicode/utf8"

// Class says what the platform does about a failure. The values are those of
// the GraphQL schema.
type Class string

// The classes of failures.
const (
	// ClassTransient failures are retried.
	ClassTransient Class = "TRANSIENT"
	// ClassPermanent failures are never retried.
	ClassPermanent Class = "PERMANENT"
	// ClassSender failures hold the sender: its token, account or payment. They
	// say nothing of the message, which waits.
	ClassSender Class = "SENDER"
	// ClassThrottled failures slow a scope down. They say nothing of the message.
	ClassThrottled Class = "THROTTLED"
)

// Category groups failures by what they are about.
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
	CategoryUnknown       Category = "unknown"
)

// ThrottleScope is how far a throttle reaches.
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

// Failure is why a call or a message failed, without what may be personal.
type Failure struct {
	// Code is WhatsApp's error code; nil for network faults. Zero is a code.
	Code     *int     `json:"code,omitempty"`
	Subcode  *int     `json:"subcode,omitempty"`
	Category Category `json:"category"`
	Class    Class    `json:"class"`
	// Message says in a few words what failed.
	Message string `json:"message"`
	// Advice says in a sentence what to do about it.
	Advice string `json:"advice,omitempty"`
	// FBTraceID is Meta's trace id, asked for by its support.
	FBTraceID string `json:"fbtraceId,omitempty"`
	// HTTPStatus is that of the answer; 0 if none came.
	HTTPStatus int `json:"httpStatus,omitempty"`
}

// policyCaps are the codes by which WhatsApp declines to deliver for the
// recipient's sake. They are no fault of the sender's service.
// Source: Meta's error codes page, 131049 and 130472.
var policyCaps = [...]int{131049, 130472}

// PolicyCap reports whether WhatsApp chose not to deliver, for the recipient's
// sake: such failures are shown, but count as no errors.
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

// maxRaw is how much of an answer's body is kept, in bytes.
const maxRaw = 4 << 10

// Cut shortens a raw body to what an event keeps of it, without splitting a
// character.
func Cut(raw string) string {
	if len(raw) <= maxRaw {
		return raw
	}
	end := maxRaw
	for end > maxRaw-utf8.UTFMax && !utf8.RuneStart(raw[end]) {
		end--
	}
	return raw[:end]
}

// CallResult is what came of a call: Accepted, Refused, Lost or NotCalled.
type CallResult interface{ callResult() }

// Accepted is an answer by which WhatsApp took the message.
type Accepted struct {
	WhatsAppID  string
	RecipientID string
	// Held is set for a template that WhatsApp holds back for now.
	Held string
}

// Refused is an answer, or a fault on the way, after which the message is
// surely not with WhatsApp.
type Refused struct {
	Failure  Failure
	Personal FailurePersonal
	// Scope is how far a throttle reaches; set when the class is THROTTLED.
	Scope ThrottleScope
	// RetryAfterSeconds is what the answer asked for, 0 if nothing.
	RetryAfterSeconds int
	// Unreachable marks network faults and 5xx, by which the lane's breaker
	// tells an outage of WhatsApp from a fault of the message.
	Unreachable bool
}

// Lost is a call whose request may have been taken though no readable answer came.
type Lost struct {
	Cause      string
	HTTPStatus int
}

// NotCalled is a call that was begun and never made: the lease or the slot had
// passed when SendAttempted stood in the log.
type NotCalled struct{}

func (Accepted) callResult()  {}
func (Refused) callResult()   {}
func (Lost) callResult()      {}
func (NotCalled) callResult() {}
