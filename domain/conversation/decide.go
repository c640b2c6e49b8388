package conversation

import (
	"strings"
	"time"

	"github.com/waypost/waypost/domain"
)

// IsKeyword reports whether a message is one of the keywords: all of its text, without spaces at
// the ends, and whatever the case.
func IsKeyword(text string, keywords []string) bool {
	text = strings.TrimSpace(text)
	for _, k := range keywords {
		if strings.EqualFold(text, strings.TrimSpace(k)) {
			return true
		}
	}
	return false
}

// Set decides on a request to record a person's choice. Every request is recorded, with its
// reason. at is the time of the request. latest is the time of the person's latest choice, if it is
// known: the new one is not earlier, because the clocks of WhatsApp and of Waypost can differ.
func Set(sender string, p Person, optedOut bool, reason string, at, latest time.Time) (domain.Event, error) {
	reason = strings.TrimSpace(reason)
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return nil, err
	}
	return Of(Choice{
		Sender: sender, Source: FromAPI, At: later(at, latest), Personal: ChoicePersonal{Person: p, Reason: reason},
	}, optedOut), nil
}
