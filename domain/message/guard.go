package message

import (
	"encoding/json"
	"time"

	"github.com/waypost/waypost/domain"
)

// OutsideWindow is what to do with a message that is due while the recipient's 24-hour window
// is closed. Then, WhatsApp accepts only templates. The values are those of the GraphQL
// schema.
type OutsideWindow string

// The ways to handle a closed window.
const (
	// OutsideSend sends the message anyway. WhatsApp decides.
	OutsideSend OutsideWindow = "SEND"
	// OutsideFallback sends a template instead.
	OutsideFallback OutsideWindow = "FALLBACK"
	// OutsideFail fails the message permanently, without a call.
	OutsideFail OutsideWindow = "FAIL"
)

// recorded returns the value as events have it: empty for OutsideSend.
func (o OutsideWindow) recorded() OutsideWindow {
	if o == OutsideSend {
		return ""
	}
	return o
}

// encodeFallback checks the request's OutsideWindow and Fallback, and returns the JSON of the
// latter, nil if there is none.
func (r *Request) encodeFallback() (json.RawMessage, error) {
	switch r.OutsideWindow {
	case "", OutsideSend, OutsideFallback, OutsideFail:
	default:
		return nil, domain.Invalid("outsideWindow", "must be SEND, FALLBACK, or FAIL, got %.64q", string(r.OutsideWindow))
	}
	switch {
	case r.OutsideWindow.recorded() != "" && r.Content.Kind() == KindTemplate:
		return nil, domain.Invalid("outsideWindow", "must be SEND for a template, because WhatsApp accepts templates at any time")
	case r.OutsideWindow == OutsideFallback && r.Fallback == nil:
		return nil, domain.Invalid("fallback", "is required with outsideWindow FALLBACK; give the template to send instead")
	case r.Fallback == nil:
		return nil, nil
	case r.OutsideWindow != OutsideFallback:
		return nil, domain.Invalid("fallback", "is given, but outsideWindow is not FALLBACK; set it to FALLBACK, or omit fallback")
	}
	if err := r.Fallback.validate(); err != nil {
		return nil, domain.PrefixField("fallback", err)
	}
	if r.ToUserID != "" {
		if err := checkForUserID(*r.Fallback, r.Priority); err != nil {
			return nil, err
		}
	}
	body, err := Encode(*r.Fallback)
	if err != nil {
		return nil, domain.PrefixField("fallback", err)
	}
	return body, domain.CheckJSON("fallback", body, maxContent)
}

// GuardsWindow reports whether the message must not be called as it is while the recipient's
// window is closed.
func (m Message) GuardsWindow() bool {
	return m.OutsideWindow.recorded() != "" && m.SubstitutedAt.IsZero()
}

// Circumstances are what is known about the recipient when a call is due. The zero value
// forbids no call.
type Circumstances struct {
	// WindowClosed is set if it is certain that the recipient's window is closed. ClosedAt is
	// when it closed, or zero if no message of theirs is known.
	WindowClosed bool
	ClosedAt     time.Time
	// OptedOut is set if the recipient opted out of marketing messages, at OptedOutAt, and
	// the message is one.
	OptedOut   bool
	OptedOutAt time.Time
}

// Withhold decides whether a due call must not be made, and returns the events to record
// instead of it. It returns none if the call can be made.
func Withhold(m Message, c Circumstances, now time.Time) []Event {
	switch {
	case c.OptedOut:
		return []Event{Suppressed{OptedOutAt: c.OptedOutAt}}
	case !c.WindowClosed || !m.GuardsWindow():
		return nil
	case m.OutsideWindow == OutsideFallback:
		return []Event{m.substitute(Substituted{ClosedAt: c.ClosedAt})}
	}
	return []Event{Failed{Attempt: m.Attempts, Failure: windowFailure(), Final: true, At: now}}
}

// AwaitCertainty returns the events of a message whose call is due, but waits until then to
// learn whether the recipient's window is closed.
func AwaitCertainty(m Message, until time.Time) []Event {
	return []Event{Deferred{Attempt: m.Attempts, Reason: DeferWindowUncertain, DueAt: until}}
}

// AwaitLimit returns the events of a message whose call is due, but waits because the messaging
// limit is reached. It can be called before until, as soon as the limit allows it.
func AwaitLimit(m Message, until time.Time) []Event {
	return []Event{Deferred{Attempt: m.Attempts, Reason: DeferMessagingLimit, DueAt: until}}
}

// substitute completes the event that sends the fallback.
func (m Message) substitute(e Substituted) Substituted {
	e.Template, e.Language = m.FallbackTemplate, m.FallbackLanguage
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Number != e.Call && c.Outcome == CallUnderWay {
			e.DueAt = later(e.DueAt, c.AnswerBy)
		}
	}
	return e
}

// windowFailure is the failure of a message that was not sent because the recipient's window
// was closed.
func windowFailure() Failure {
	return Failure{
		Category: CategoryWindow, Class: ClassPermanent, Message: "the recipient's 24-hour window is closed; no call was made",
		Advice: "Send a template instead, or wait until the recipient writes.",
	}
}
