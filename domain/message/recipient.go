package message

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/waypost/waypost/domain"
)

// fieldTo is the input field of a recipient's number.
const fieldTo = "to"

// Bounds of a phone number.
const (
	// maxDigits is E.164's: country code and national number together.
	maxDigits = 15
	// maxTyped is how long a number with its punctuation may be, in bytes.
	maxTyped = 64
)

// ParseNumber reads a phone number with country code and answers it in E.164,
// with the "+" without which WhatsApp would put the sender's own country code
// before it. Besides ASCII digits it takes a leading "+" or "00", spaces, "-",
// "(", ")" and "."; without "+" and "00" the digits still begin with the
// country code.
//
// It checks that the country code exists and that the length is one in use
// there; the old Mexican form +521 becomes the present +52. It does not check number ranges: those are assigned faster than any
// table of them is updated. The error names the field "to".
func ParseNumber(s string) (string, error) {
	digits, err := digitsOf(s)
	if err != nil {
		return "", domain.Invalid(fieldTo, "%s; give the number with its country code, such as +14155550101", err)
	}
	typed := "+" + digits
	e164, err := normalise(typed)
	if err != nil || e164 == typed {
		return e164, err
	}
	// A trunk prefix was dropped, as in +44 (0)20. What is left must stand by
	// itself, or the next reader would make another number of it.
	if again, err := normalise(e164); err != nil || again != e164 {
		return "", domain.Invalid(fieldTo, "can be read as several numbers; give it without its national prefix, such as +14155550101")
	}
	return e164, nil
}

// normalise answers a number of "+" and digits in E.164.
func normalise(typed string) (string, error) {
	number, err := phonenumbers.Parse(withoutMexicanOne(typed), "")
	if errors.Is(err, phonenumbers.ErrInvalidCountryCode) {
		return "", domain.Invalid(fieldTo, "does not begin with a country code in use; give the number as +14155550101")
	}
	if err != nil {
		return "", domain.Invalid(fieldTo, "is not a phone number: %s", err)
	}
	given, country := len(typed)-1, number.GetCountryCode()
	switch phonenumbers.IsPossibleNumberWithReason(number) {
	case phonenumbers.IS_POSSIBLE:
	case phonenumbers.TOO_SHORT:
		return "", domain.Invalid(fieldTo, "has %d digits, too few for a number of country code %d", given, country)
	case phonenumbers.TOO_LONG:
		return "", domain.Invalid(fieldTo, "has %d digits, too many for a number of country code %d", given, country)
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "", domain.Invalid(fieldTo, "lacks its area code: it can only be dialled from within country code %d", country)
	default:
		return "", domain.Invalid(fieldTo, "has %d digits, no number of country code %d has as many", given, country)
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	if n := len(e164) - 1; n > maxDigits {
		return "", domain.Invalid(fieldTo, "has %d digits, at most %d are allowed", n, maxDigits)
	}
	return e164, nil
}

// digitsOf strips a typed number of its punctuation and its international prefix.
func digitsOf(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errors.New("is empty")
	}
	if len(s) > maxTyped {
		return "", errors.New("is longer than a phone number can be")
	}
	rest, plus := strings.CutPrefix(s, "+")
	digits := make([]byte, 0, len(rest))
	for _, r := range rest {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case strings.ContainsRune(" -().", r):
		case r == '+':
			return "", errors.New(`has a "+" that is not at its beginning`)
		default:
			return "", errors.New(`has a character that is none of digits, spaces and "+-()."`)
		}
	}
	number := string(digits)
	if !plus {
		number = strings.TrimPrefix(number, "00")
	}
	switch {
	case number == "":
		return "", errors.New("has no digits")
	case number[0] == '0':
		return "", errors.New("begins with 0, as no country code does")
	}
	return number, nil
}

// withoutMexicanOne drops the 1 that Mexico put before mobile numbers until 2019.
// WhatsApp still writes it in a wa_id and takes both forms; one of them has to
// stand for the person, to whom limits and erasure apply.
func withoutMexicanOne(typed string) string {
	const national = 10
	if rest, old := strings.CutPrefix(typed, "+521"); old && len(rest) == national {
		return "+52" + rest
	}
	return typed
}

// MaskNumber shortens a number in E.164 to what people without the right to
// personal data may see: "+1415•••0101". Short numbers keep less, so that at
// least three digits are always hidden, and what is no number keeps nothing.
func MaskNumber(e164 string) string {
	const hidden = "•••"
	digits, ok := strings.CutPrefix(e164, "+")
	if !ok || !isDigits(digits) {
		return hidden
	}
	n := len(digits)
	switch {
	case n >= 11:
		return "+" + digits[:4] + hidden + digits[n-4:]
	case n >= 7:
		return "+" + digits[:2] + hidden + digits[n-2:]
	}
	return "+" + hidden
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
