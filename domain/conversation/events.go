package conversation

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Types lists the event types of conversations, for the codec.
func Types() []domain.Type {
	return []domain.Type{domain.TypeOf[OptedOut](), domain.TypeOf[OptedIn]()}
}

// Source is how a person's choice about marketing became known.
type Source string

// The sources of choices.
const (
	// FromPreferences is WhatsApp's webhook user_preferences: the person chose it in the app.
	FromPreferences Source = "user_preferences"
	// FromError is WhatsApp's error 131050: it refused a message because of the choice.
	FromError Source = "error_131050"
	// FromKeyword is a message of the person that is a keyword of the sender.
	FromKeyword Source = "keyword"
	// FromAPI is a request to Waypost. The event's metadata has the actor.
	FromAPI Source = "api"
)

// Choice is what OptedOut and OptedIn record.
type Choice struct {
	Sender string `json:"sender"`
	Source Source `json:"source"`
	// At is WhatsApp's own time, in whole seconds, or the time of the request.
	At time.Time `json:"at"`
	// MessageID is the message that WhatsApp refused, for FromError.
	MessageID string         `json:"messageId,omitempty"`
	Personal  ChoicePersonal `json:"personal"`
}

// ChoicePersonal is the personal part of Choice.
type ChoicePersonal struct {
	Person

	// WhatsAppID is the wamid of the person's message, for FromKeyword.
	WhatsAppID string `json:"whatsappId,omitempty"`
	// Reason is what the caller gave, for FromAPI.
	Reason string `json:"reason,omitempty"`
}

// Person is the IDs by which WhatsApp named a person, of which at least one is set.
type Person struct {
	// Number is in E.164.
	Number string `json:"number,omitempty"`
	// UserID is the business-scoped user ID.
	UserID string `json:"userId,omitempty"`
}

// IDs returns the IDs that are set.
func (p Person) IDs() []string {
	var ids []string
	for _, id := range []string{p.Number, p.UserID} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// PersonOf returns the person whom WhatsApp names by a wa_id or by a user ID. The result is empty
// for an ID of any other form, such as that of a group.
func PersonOf(id string) Person {
	const shortest, longest = 7, 15 // digits of a phone number with its country code
	if domain.IsUserID(id) {
		return Person{UserID: id}
	}
	digits := strings.TrimPrefix(id, "+")
	if len(digits) < shortest || len(digits) > longest || strings.Trim(digits, "0123456789") != "" {
		return Person{}
	}
	return Person{Number: "+" + digits}
}

// OptedOut records that a person wants no marketing from a sender.
type OptedOut struct{ Choice }

// OptedIn records that a person who had opted out wants marketing from a sender again.
type OptedIn struct{ Choice }

// EventType is "OptedOut".
func (OptedOut) EventType() string { return "OptedOut" }

// EventType is "OptedIn".
func (OptedIn) EventType() string { return "OptedIn" }

// OccurredAt returns when the person made the choice.
func (c Choice) OccurredAt() time.Time { return c.At }

// Of returns the event that records a choice.
func Of(c Choice, optedOut bool) domain.Event {
	if optedOut {
		return OptedOut{c}
	}
	return OptedIn{c}
}

// ChoiceIn returns the choice that an event records, or false if it records none.
func ChoiceIn(e domain.Event) (Choice, bool) {
	switch e := e.(type) {
	case OptedOut:
		return e.Choice, true
	case OptedIn:
		return e.Choice, true
	}
	return Choice{}, false
}

// MarketingOf returns what an event at a position of the log says about marketing, or false if it
// records no choice.
func MarketingOf(e domain.Event, position int64) (Marketing, bool) {
	c, ok := ChoiceIn(e)
	_, out := e.(OptedOut)
	return Marketing{OptedOut: out, At: c.At, Source: c.Source, Position: position}, ok
}

// Namespace is the UUID namespace for the IDs of events that are derived from their contents.
var Namespace = uuid.MustParse("0f9b2f0e-6c0b-4d1f-9a53-6a1f5f0f7b0a")

// EventID returns the ID of the event of a choice that these parts distinguish from all others.
// Recording the same choice again then records nothing.
func EventID(source Source, parts ...string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(string(source)+"\n"+strings.Join(parts, "\n")))
}
