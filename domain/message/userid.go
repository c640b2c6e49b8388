package message

import (
	"encoding/json"
	"strings"

	"github.com/waypost/waypost/domain"
)

// fieldToUserID is the input field of a recipient's user ID.
const fieldToUserID = "toUserId"

// IsUserID reports whether s has the form of a business-scoped user ID of WhatsApp, see
// domain.IsUserID.
func IsUserID(s string) bool { return domain.IsUserID(s) }

// ParseUserID returns a user ID without the white space around it. WhatsApp compares the rest
// exactly, so nothing else is changed. The error names the field "toUserId".
func ParseUserID(s string) (string, error) {
	id := strings.Trim(s, " \t\r\n")
	switch {
	case IsUserID(id):
		return id, nil
	case id == "":
		return "", domain.Invalid(fieldToUserID, "is empty; give the user ID as WhatsApp reports it, such as US.13491208655302741918")
	}
	return "", domain.Invalid(fieldToUserID, "is not a user ID of WhatsApp: two capital letters, a point, and up to 128 letters and digits, such as US.13491208655302741918")
}

// ParseRecipient returns the normalized number or user ID of a recipient, of which exactly one
// must be given. A user ID as to is refused, because WhatsApp accepts some such messages and
// drops them without a status.
func ParseRecipient(to, toUserID string) (number, user string, err error) {
	switch {
	case to != "" && toUserID != "":
		return "", "", domain.Invalid(fieldTo, "and toUserId are both given; give exactly one of them")
	case toUserID != "":
		user, err = ParseUserID(toUserID)
	case to == "":
		err = domain.Invalid(fieldTo, "and toUserId are both missing; give exactly one of them")
	default:
		number, err = ParseNumber(to)
	}
	return number, user, err
}

// MaskUserID shortens a user ID to what people without the right to personal data may see:
// "US.•••1918". It keeps nothing of an ID whose end would be most of it.
func MaskUserID(id string) string {
	const hidden, shown = "•••", 4
	country, rest, ok := strings.Cut(id, ".")
	if !ok || !IsUserID(id) {
		return hidden
	}
	if len(rest) < 3*shown {
		return country + "." + hidden
	}
	return country + "." + hidden + rest[len(rest)-shown:]
}

// maxCodeDigits is the longest run of digits that counts as a one-time code, and
// minCodeDigits the shortest.
const (
	minCodeDigits = 4
	maxCodeDigits = 8
	// maxCode is the longest code of an authentication template. Source: Meta's page on
	// authentication templates.
	maxCode = 15
)

// checkForUserID refuses content that WhatsApp doesn't deliver to a user ID: templates of the
// category authentication with a one-tap, zero-tap, or copy-code button (error 131062).
// WhatsApp alone knows a template's category, so they are recognized by their parameters.
func checkForUserID(c Content, p Priority) error {
	if t, ok := c.(Template); ok && t.sendsCode(p) {
		return domain.Invalid(fieldToUserID, "cannot receive a one-time code: WhatsApp refuses authentication templates with a button for user IDs (error 131062); send it to the person's phone number")
	}
	return nil
}

// sendsCode reports whether the parameters are those of an authentication template: the same
// code, and nothing else, in the body and in the one button. A short number in both that is no
// code, in a message that isn't OTP, is not distinguishable.
func (t Template) sendsCode(p Priority) bool {
	if len(t.Components) != 2 {
		return false
	}
	var body, button string
	for _, c := range t.Components {
		text, ok := c.onlyText()
		switch {
		case !ok:
			return false
		case c.Type == ComponentBody:
			body = text
		case c.Type == ComponentButton && (c.SubType == "url" || c.SubType == "copy_code"):
			button = text
		}
	}
	if body == "" || body != button || len(body) > maxCode {
		return false
	}
	return p == PriorityOTP || isDigits(body) && minCodeDigits <= len(body) && len(body) <= maxCodeDigits
}

// onlyText returns the text of a component's one parameter.
func (c Component) onlyText() (string, bool) {
	if len(c.Parameters) != 1 {
		return "", false
	}
	var p parameter
	switch err := json.Unmarshal(c.Parameters[0], &p); {
	case err != nil:
		return "", false
	case p.Text != nil:
		return *p.Text, true
	case p.CouponCode != nil:
		return *p.CouponCode, true
	}
	return "", false
}
