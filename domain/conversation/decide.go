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

// Set decides on a request to record a person's choice. It returns no event if that is the
// choice already, whatever the source. at is the time of the request; the choice is at least as
// late as the present one, because the clocks of WhatsApp and of Waypost can differ.
func Set(present Conversation, sender string, p Person, optedOut bool, reason string, at time.Time) ([]domain.Event, error) {
	reason = strings.TrimSpace(reason)
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return nil, err
	}
	if present.Marketing.OptedOut == optedOut {
		return nil, nil
	}
	return []domain.Event{Of(Choice{
		Sender: sender, Source: FromAPI, At: later(at, present.Marketing.At), Personal: ChoicePersonal{Person: p, Reason: reason},
	}, optedOut)}, nil
}
