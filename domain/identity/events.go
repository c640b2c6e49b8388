package identity

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// Types lists the event types of links, for the codec.
func Types() []domain.Type { return []domain.Type{domain.TypeOf[IdentityLinked]()} }

// Source is what revealed a link.
type Source string

// The sources of links.
const (
	// FromWebhook is an object of a webhook that has several IDs of one person.
	FromWebhook Source = "webhook"
	// FromChange is WhatsApp's notice that a person's number or user ID changed.
	FromChange Source = "change"
	// FromContactRequest is a number that a person shared when the business asked for it.
	FromContactRequest Source = "contact_request"
)

// IdentityLinked records that several IDs belong to one person.
type IdentityLinked struct {
	// BusinessAccountID is the account whose webhook revealed it. A person has one user ID for
	// each portfolio of accounts.
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	Source            Source `json:"source"`
	// At is WhatsApp's own time, in whole seconds, or the time of recording.
	At       time.Time `json:"at,omitzero"`
	Personal Names     `json:"personal"`
}

// Names are the IDs of one person.
type Names struct {
	// Number is the phone number, in E.164.
	Number string `json:"number,omitempty"`
	// UserID is the business-scoped user ID, and ParentUserID the one that is common to
	// several portfolios of a business.
	UserID       string `json:"userId,omitempty"`
	ParentUserID string `json:"parentUserId,omitempty"`
	// The previous IDs are no longer the person's.
	PreviousNumber       string `json:"previousNumber,omitempty"`
	PreviousUserID       string `json:"previousUserId,omitempty"`
	PreviousParentUserID string `json:"previousParentUserId,omitempty"`
}

// EventType returns the name of IdentityLinked in the event log.
func (IdentityLinked) EventType() string { return "IdentityLinked" }

// OccurredAt returns WhatsApp's time of the link.
func (e IdentityLinked) OccurredAt() time.Time { return e.At }

// All returns the IDs that are not empty, each once.
func (n Names) All() []string {
	return distinct([]string{n.Number, n.PreviousNumber, n.UserID, n.ParentUserID, n.PreviousUserID, n.PreviousParentUserID})
}

func (n Names) numbers() []string { return distinct([]string{n.Number, n.PreviousNumber}) }

func (n Names) users() []string {
	return distinct([]string{n.UserID, n.ParentUserID, n.PreviousUserID, n.PreviousParentUserID})
}

func distinct(ids []string) []string {
	var out []string
	for _, id := range ids {
		if id != "" && !slices.Contains(out, id) {
			if out == nil {
				out = make([]string, 0, len(ids))
			}
			out = append(out, id)
		}
	}
	return out
}
