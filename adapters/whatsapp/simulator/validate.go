package simulator

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Maximum lengths of texts, in characters, from Meta's pages on the message types.
const (
	maxBody          = 4096
	maxCaption       = 1024
	maxCallback      = 512
	maxContacts      = 257
	maxLink          = 2000
	minPhoneDigits   = 7
	maxPhoneDigits   = 15  // E.164
	maxUserID        = 128 // after the country
	kindText         = "text"
	kindTemplate     = "template"
	kindReaction     = "reaction"
	recipientGroup   = "group"
	recipientPerson  = "individual"
	messagingProduct = "whatsapp"
)

// recipient is a person: by a WhatsApp ID (digits), a business-scoped user ID, or both.
type recipient struct {
	waID string
	user string
}

// key returns the recipient's name in the pair limit and the call log.
func (r recipient) key() string {
	if r.waID != "" {
		return r.waID
	}
	return r.user
}

// isReceipt reports whether the request marks an inbound message as read instead of sending one.
func (r *request) isReceipt() bool { return r.Status != "" }

// validateReceipt checks a read receipt.
func (r *request) validateReceipt() *apiError {
	switch {
	case r.MessagingProduct != messagingProduct:
		return detailed(100, "The parameter messaging_product is required.")
	case r.Status != "read":
		return detailed(131009, "status must be 'read'")
	case !strings.HasPrefix(r.MessageID, "wamid."):
		return detailed(131009, "message_id is not a WhatsApp message id")
	case r.TypingIndicator != nil && r.TypingIndicator.Type != kindText:
		return detailed(131009, "typing_indicator type must be 'text'")
	}
	return nil
}

// validate checks a message as Meta documents it and returns its recipient.
func (r *request) validate(from *number) (recipient, *apiError) {
	if r.MessagingProduct != messagingProduct {
		return recipient{}, detailed(100, "The parameter messaging_product is required.")
	}
	to, err := r.recipient()
	if err != nil {
		return recipient{}, err
	}
	if to.waID == from.display {
		return recipient{}, errorOf(131021)
	}
	if utf8.RuneCountInString(r.Callback) > maxCallback {
		return recipient{}, detailed(100, "Param biz_opaque_callback_data must be at most %d characters long.", maxCallback)
	}
	if r.Context != nil {
		if !strings.HasPrefix(r.Context.MessageID, "wamid.") {
			return recipient{}, detailed(131009, "context.message_id is not a WhatsApp message id")
		}
		if r.Type == kindReaction {
			return recipient{}, detailed(131009, "context cannot be used with reaction messages")
		}
	}
	return to, r.validateContent()
}

func (r *request) recipient() (recipient, *apiError) {
	switch r.RecipientType {
	case "", recipientPerson:
	case recipientGroup:
		if r.To == "" {
			return recipient{}, detailed(131008, "The parameter to is required.")
		}
		return recipient{waID: r.To}, nil
	default:
		return recipient{}, detailed(131009, "recipient_type must be one of individual, group")
	}
	if r.To == "" && r.Recipient == "" {
		return recipient{}, detailed(131008, "The parameter to is required.")
	}
	if r.To == "" {
		if !isUserID(r.Recipient) {
			return recipient{}, detailed(131009, "recipient is not a business-scoped user id")
		}
		return recipient{user: r.Recipient}, nil
	}
	if isUserID(r.To) {
		return recipient{}, detailed(100, "Param to must be a phone number. Use the param recipient for a business-scoped user id.")
	}
	waID, ok := whatsAppID(r.To)
	if !ok {
		return recipient{}, detailed(131009, "to is not a valid phone number")
	}
	return recipient{waID: waID}, nil
}

// isUserID reports whether s is a business-scoped user ID or a parent one.
func isUserID(s string) bool {
	country, id, ok := strings.Cut(s, ".")
	id = strings.TrimPrefix(id, "ENT.")
	return ok && len(country) == 2 && country == strings.ToUpper(country) && id != "" && len(id) <= maxUserID &&
		strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// UserID returns the business-scoped user ID of the person with a WhatsApp ID, the digits of their phone number.
func UserID(waID string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte("user " + waID)) // a hash's Write never fails
	return fmt.Sprintf("US.%020d", h.Sum64())
}

// digitsIn returns the digits of s, at most as many as a phone number has.
func digitsIn(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	return digits[:min(len(digits), maxPhoneDigits)]
}

// whatsAppID converts a phone number to the ID of its owner: the digits, without the ninth digit that was later added
// to Brazilian mobile numbers.
func whatsAppID(phone string) (string, bool) {
	var digits [maxPhoneDigits]byte
	n := 0
	for i := range len(phone) {
		switch c := phone[i]; {
		case c >= '0' && c <= '9':
			if n == maxPhoneDigits {
				return "", false
			}
			digits[n] = c
			n++
		case c == '+' && i == 0, c == ' ', c == '-', c == '(', c == ')':
		default:
			return "", false
		}
	}
	if n < minPhoneDigits || digits[0] == '0' {
		return "", false
	}
	id := string(digits[:n])
	if n == 13 && strings.HasPrefix(id, "55") && id[4] == '9' {
		id = id[:4] + id[5:]
	}
	return id, true
}

func (r *request) validateContent() *apiError {
	missing := func(name string) *apiError { return detailed(131008, "The parameter %s is required.", name) }
	switch r.Type {
	case "", kindText:
		if r.Text == nil {
			return missing("text")
		}
		if r.Text.Body == "" {
			return detailed(100, "The parameter text['body'] is required.")
		}
		if utf8.RuneCountInString(r.Text.Body) > maxBody {
			return detailed(100, "Param text['body'] must be at most %d characters long.", maxBody)
		}
	case "image", "video", "audio", "document", "sticker":
		of := map[string]*media{"image": r.Image, "video": r.Video, "audio": r.Audio, "document": r.Document, "sticker": r.Sticker}[r.Type]
		if of == nil {
			return missing(r.Type)
		}
		return of.validate(r.Type)
	case "location":
		if r.Location == nil {
			return missing("location")
		}
		return r.Location.validate()
	case "contacts":
		return validateContacts(r.Contacts)
	case kindReaction:
		if r.Reaction == nil {
			return missing("reaction")
		}
		if !strings.HasPrefix(r.Reaction.MessageID, "wamid.") {
			return detailed(131009, "reaction.message_id is not a WhatsApp message id")
		}
		if r.Reaction.Emoji == nil {
			return missing("reaction['emoji']")
		}
	case kindTemplate:
		if r.Template == nil {
			return missing("template")
		}
		return r.Template.validate()
	case "interactive":
		if r.Interactive == nil {
			return missing("interactive")
		}
		return r.Interactive.validate()
	default:
		return detailed(100, "Param type must be one of {AUDIO, CONTACTS, DOCUMENT, IMAGE, INTERACTIVE, LOCATION, REACTION, STICKER, TEMPLATE, TEXT, VIDEO} - got \"%s\".", r.Type)
	}
	return nil
}

func (m *media) validate(kind string) *apiError {
	switch {
	case (m.ID == "") == (m.Link == ""):
		return detailed(100, "Param %s must have exactly one of id and link.", kind)
	case m.Link != "" && (len(m.Link) > maxLink || !isWebLink(m.Link)):
		return detailed(100, "Param %s['link'] is not a valid URL.", kind)
	case m.Caption != "" && (kind == "audio" || kind == "sticker"):
		return detailed(100, "Unexpected key \"caption\" on param \"%s\".", kind)
	case m.Filename != "" && kind != "document":
		return detailed(100, "Unexpected key \"filename\" on param \"%s\".", kind)
	case m.Voice && kind != "audio":
		return detailed(100, "Unexpected key \"voice\" on param \"%s\".", kind)
	case utf8.RuneCountInString(m.Caption) > maxCaption:
		return detailed(100, "Param %s['caption'] must be at most %d characters long.", kind, maxCaption)
	}
	return nil
}

func isWebLink(link string) bool {
	rest, ok := strings.CutPrefix(link, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(link, "http://")
	}
	return ok && rest != "" && !strings.ContainsAny(rest, " \t\n")
}

func (l *location) validate() *apiError {
	if !l.Latitude.within(90) {
		return detailed(131009, "latitude must be from -90 to 90")
	}
	if !l.Longitude.within(180) {
		return detailed(131009, "longitude must be from -180 to 180")
	}
	return nil
}

func (c coordinate) within(limit float64) bool {
	degrees, err := strconv.ParseFloat(c.text, 64)
	return err == nil && degrees >= -limit && degrees <= limit
}

func validateContacts(contacts []contact) *apiError {
	if len(contacts) == 0 {
		return detailed(131008, "The parameter contacts is required.")
	}
	if len(contacts) > maxContacts {
		return detailed(131009, "contacts count invalid. Min: 1, Max: %d", maxContacts)
	}
	for i, c := range contacts {
		if c.Name == nil || c.Name.FormattedName == "" {
			return detailed(131008, "The parameter contacts[%d]['name']['formatted_name'] is required.", i)
		}
		if c.Name.FirstName+c.Name.LastName+c.Name.MiddleName+c.Name.Suffix+c.Name.Prefix == "" {
			return detailed(131009, "contacts[%d]: at least one name other than formatted_name is required", i)
		}
	}
	return nil
}

// lengthError returns Meta's error for a text that is empty or too long.
func lengthError(what string, longest int) *apiError {
	return detailed(131009, "%s length invalid. Min length: 1, Max length: %d", what, longest)
}

// fits reports whether s has 1 to longest characters.
func fits(s string, longest int) bool {
	return s != "" && utf8.RuneCountInString(s) <= longest
}
