package whatsapp

import (
	"encoding/json"
	"time"

	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/message"
)

// originRequested marks a contact that a user shared because the business asked for their number. Any other contact can
// be another person's.
const originRequested = "contact_request"

// The types of system messages about a change of a user's IDs.
const (
	systemNumber = "user_changed_number"
	systemUserID = "user_changed_user_id"
)

// person is one person in a contact, with the IDs that WhatsApp reports.
type person struct {
	WaID         text `json:"wa_id"`
	UserID       text `json:"user_id"`
	ParentUserID text `json:"parent_user_id"`
}

// system is the object of a system message.
type system struct {
	person
	Type                 string `json:"type"`
	PreviousUserID       text   `json:"previous_user_id"`
	PreviousParentUserID text   `json:"previous_parent_user_id"`
}

// sharedContact is a contact in a message of type contacts.
type sharedContact struct {
	Origin string `json:"origin"`
	Phones []struct {
		Phone text `json:"phone"`
		WaID  text `json:"wa_id"`
	} `json:"phones"`
}

// link adds a link to a delivery if it has two IDs or more.
func link(d *webhook.Delivery, account string, source identity.Source, at time.Time, names identity.Names) {
	if len(names.All()) < 2 {
		return
	}
	d.Links = append(d.Links, webhook.Link{BusinessAccountID: account, Source: source, At: at, Names: names})
}

// distinctLinks returns the first of several equal links.
func distinctLinks(links []webhook.Link) []webhook.Link {
	type key struct {
		account string
		names   identity.Names
	}
	seen := make(map[key]bool, len(links))
	out := links[:0]
	for _, l := range links {
		if k := (key{l.BusinessAccountID, l.Names}); !seen[k] {
			seen[k] = true
			out = append(out, l)
		}
	}
	return out
}

func (p person) names() identity.Names {
	return identity.Names{Number: numberOf(p.WaID), UserID: userIDOf(p.UserID), ParentUserID: userIDOf(p.ParentUserID)}
}

// numberOf returns a wa_id as a phone number in E.164, or "" if it is none, such as the ID of a group.
func numberOf(id text) string {
	const shortest, longest = 7, 15
	digits := 0
	for i, c := range []byte(id) {
		switch {
		case c == '+' && i == 0:
		case c < '0' || c > '9':
			return ""
		default:
			digits++
		}
	}
	if digits < shortest || digits > longest {
		return ""
	}
	if id[0] == '+' {
		return string(id)
	}
	return "+" + string(id)
}

// userIDOf returns a user ID, or "" if it has another form.
func userIDOf(id text) string {
	if !message.IsUserID(string(id)) {
		return ""
	}
	return string(id)
}

// linkContacts adds the links in the contacts of a value.
func linkContacts(d *webhook.Delivery, account string, v *items) {
	for _, c := range v.Contacts {
		link(d, account, identity.FromWebhook, time.Time{}, c.names())
	}
}

// linkStatus adds the links in a status. The recipient of a message to a group is the group, and the participant a person.
func linkStatus(d *webhook.Delivery, account string, o *statusObject) {
	p := person{o.RecipientID, o.RecipientUserID, o.RecipientParentUserID}
	if o.RecipientType == "group" {
		p = person{o.ParticipantID, o.ParticipantUserID, o.ParticipantParentUserID}
	}
	link(d, account, identity.FromWebhook, o.Timestamp.Time, p.names())
}

// linkMessage adds the links in an inbound message.
func linkMessage(d *webhook.Delivery, account string, o *messageObject) {
	from := person{o.From, o.FromUserID, o.FromParentUserID}.names()
	link(d, account, identity.FromWebhook, o.Timestamp.Time, from)
	switch o.Type {
	case "system":
		linkChange(d, account, o, from)
	case "contacts":
		var contacts []sharedContact
		_ = json.Unmarshal(o.Contacts, &contacts) // what cannot be read links nothing; the message is kept
		for _, c := range contacts {
			if (c.Origin == originRequested || o.Origin == originRequested) && len(c.Phones) > 0 {
				shared := from
				if shared.Number = numberOf(c.Phones[0].WaID); shared.Number == "" {
					shared.Number, _ = message.ParseNumber(string(c.Phones[0].Phone)) // "" if it is none
				}
				link(d, account, identity.FromContactRequest, o.Timestamp.Time, shared)
			}
		}
	}
}

// linkChange adds the link of a system message: the IDs of the message are those before the change.
func linkChange(d *webhook.Delivery, account string, o *messageObject, before identity.Names) {
	var s system
	if json.Unmarshal(o.System, &s) != nil || s.Type != systemNumber && s.Type != systemUserID {
		return // the message is kept
	}
	names := s.names()
	names.PreviousUserID, names.PreviousParentUserID = userIDOf(s.PreviousUserID), userIDOf(s.PreviousParentUserID)
	if names.PreviousUserID == "" {
		names.PreviousUserID = before.UserID
	}
	if names.PreviousParentUserID == "" {
		names.PreviousParentUserID = before.ParentUserID
	}
	names.PreviousNumber = before.Number
	for previous, current := range map[*string]string{
		&names.PreviousNumber: names.Number, &names.PreviousUserID: names.UserID, &names.PreviousParentUserID: names.ParentUserID,
	} {
		if *previous == current {
			*previous = "" // unchanged
		}
	}
	link(d, account, identity.FromChange, o.Timestamp.Time, names)
}

// linkOthers adds the links in the value of another field: choices about marketing messages, and changes of user IDs as
// resellers relay them.
func linkOthers(d *webhook.Delivery, account string, value json.RawMessage) {
	type change struct {
		Previous text `json:"previous"`
		Current  text `json:"current"`
	}
	var v struct {
		Contacts    []person `json:"contacts"`
		Preferences []person `json:"user_preferences"`
		Updates     []struct {
			WaID         text    `json:"wa_id"`
			UserID       change  `json:"user_id"`
			ParentUserID change  `json:"parent_user_id"`
			Timestamp    instant `json:"timestamp"`
		} `json:"user_id_update"`
	}
	if json.Unmarshal(value, &v) != nil {
		return // the value is kept
	}
	for _, p := range append(v.Contacts, v.Preferences...) {
		link(d, account, identity.FromWebhook, time.Time{}, p.names())
	}
	for _, u := range v.Updates {
		names := person{u.WaID, u.UserID.Current, u.ParentUserID.Current}.names()
		names.PreviousUserID, names.PreviousParentUserID = userIDOf(u.UserID.Previous), userIDOf(u.ParentUserID.Previous)
		link(d, account, identity.FromChange, u.Timestamp.Time, names)
	}
}
