package message

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

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

// ParseNumber reads a phone number with country code and returns it in E.164,
// with the "+" without which WhatsApp would put the sender's own country code
// before it. In addition to the digits 0 to 9 it accepts a leading "+" or "00",
// which both stand for the international prefix, and spaces, "-", "(", ")", and
// "." between digits. Without "+" and "00" the digits still begin with the
// country code.
//
// The result has the digits that were typed, in their order. There are two
// exceptions: a 0 after the country code that is not dialed from abroad, as in
// +44 (0)20, is dropped, and the old Mexican form +521 becomes the present +52.
// A notation that could mean another number is refused: a decimal fraction
// such as 491512345678.0, scientific notation, and a national prefix other than
// that 0.
//
// ParseNumber checks that the country code exists and that the length is one in
// use there. It does not check number ranges: those are assigned faster than any
// table of them is updated. The error names the field "to".
func ParseNumber(s string) (string, error) {
	if IsUserID(strings.Trim(s, " \t\r\n")) {
		return "", domain.Invalid(fieldTo, "is a user ID of WhatsApp; give it as toUserId")
	}
	digits, err := digitsOf(s)
	if err != nil {
		return "", domain.Invalid(fieldTo, "%s; give the number with its country code, such as +14155550101", err)
	}
	e164, err := normalize(digits)
	if err != nil {
		return "", err
	}
	if err := checkFraction(s); err != nil {
		return "", err
	}
	if err := checkTrunkZero(s, e164); err != nil {
		return "", err
	}
	return e164, nil
}

// normalize returns a number of digits in E.164.
func normalize(digits string) (string, error) {
	typed := withoutMexicanOne("+" + digits)
	number, err := phonenumbers.Parse(typed, "")
	if errors.Is(err, phonenumbers.ErrInvalidCountryCode) {
		return "", domain.Invalid(fieldTo, "does not begin with a country code in use; give the number as +14155550101")
	}
	if err != nil {
		return "", domain.Invalid(fieldTo, "is not a phone number: %s", err)
	}
	given, country := len(digits), number.GetCountryCode()
	switch phonenumbers.IsPossibleNumberWithReason(number) {
	case phonenumbers.IS_POSSIBLE:
	case phonenumbers.TOO_SHORT:
		return "", domain.Invalid(fieldTo, "has %d digits, which is too short for country code %d", given, country)
	case phonenumbers.TOO_LONG:
		return "", domain.Invalid(fieldTo, "has %d digits, which is too long for country code %d", given, country)
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "", domain.Invalid(fieldTo, "lacks its area code: it can only be dialed from within country code %d", country)
	default:
		return "", domain.Invalid(fieldTo, "has %d digits, no number of country code %d has as many", given, country)
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	if n := len(e164) - 1; n > maxDigits {
		return "", domain.Invalid(fieldTo, "has %d digits, at most %d are allowed", n, maxDigits)
	}
	// The library drops and replaces national prefixes and carrier codes.
	if e164 == typed {
		return e164, nil
	}
	code := fmt.Sprintf("+%d", country)
	rest := strings.TrimPrefix(e164, code)
	if code+"0"+rest == typed && !strings.HasPrefix(rest, "0") {
		return e164, nil
	}
	return "", domain.Invalid(fieldTo, "has a national prefix after its country code, such as 0 or 15; give the digits that are dialed from abroad, as in +14155550101")
}

// checkFraction refuses a number that a program wrote as a decimal fraction:
// 491512345678.0 is +491512345678, but without its point it would be another
// number. A point is a separator if the number before it could not be dialed, or
// if what follows it is no fraction of a whole number, as in 1.415.555.0101.
func checkFraction(s string) error {
	point := strings.LastIndexByte(s, '.')
	if point < 0 {
		return nil
	}
	fraction := asciiDigits(s[point:])
	if len(fraction) > 2 && strings.Trim(fraction, "0") != "" {
		return nil
	}
	whole, err := digitsOf(strings.TrimRight(s[:point], separators))
	if err != nil {
		return nil //nolint:nilerr // then it cannot be meant
	}
	if _, err := normalize(whole); err != nil {
		return nil //nolint:nilerr // then it cannot be meant
	}
	return domain.Invalid(fieldTo, "can be read as two numbers, with and without the digits after its last point: "+
		"a spreadsheet wrote it as a decimal number; format the column as text and export it again, or write +14155550101")
}

// checkTrunkZero refuses a zero in parentheses that could belong to the number.
// "(0)" marks a digit that is not dialed from abroad, but in some countries, such
// as Italy, numbers begin with a zero that is.
func checkTrunkZero(s, e164 string) error {
	before, after, marked := strings.Cut(strings.ReplaceAll(s, " ", ""), "(0)")
	if !marked {
		return nil
	}
	digits, err := digitsOf(before + after)
	if err != nil {
		return domain.Invalid(fieldTo, "has a (0) that no number follows or precedes; give it without, such as +14155550101")
	}
	if without, err := normalize(digits); err == nil && without != e164 {
		return domain.Invalid(fieldTo, "can be read as two numbers, with and without its (0); give the digits that are dialed from abroad, such as +14155550101")
	}
	return nil
}

// separators may be between the digits of a number.
const separators = " -()."

// digitsOf strips a typed number of its punctuation and its international prefix.
func digitsOf(s string) (string, error) {
	s = strings.Trim(s, " \t\r\n")
	if s == "" {
		return "", errors.New("is empty")
	}
	if len(s) > maxTyped {
		return "", errors.New("is longer than a phone number can be")
	}
	if err := checkNotation(s); err != nil {
		return "", err
	}
	number, plus := asciiDigits(s), s[0] == '+'
	if !plus {
		number = strings.TrimPrefix(number, "00")
	}
	switch {
	case number == "":
		return "", errors.New("has no digits")
	case number[0] == '0':
		return "", errors.New("begins with 0, as no country code does")
	case s[0] == '-' || s[0] == '.':
		return "", fmt.Errorf("begins with %q, as no phone number does", s[0])
	case strings.ContainsRune("-.(", rune(s[len(s)-1])):
		return "", fmt.Errorf("ends with %q, so that digits could be missing", s[len(s)-1])
	}
	return number, nil
}

// scientific matches what spreadsheets make of a long number.
var scientific = regexp.MustCompile(`^-?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+$`)

// checkNotation refuses a number for a character that does not belong in it, and
// says which.
func checkNotation(s string) error {
	if scientific.MatchString(s) {
		return errors.New("is in scientific notation, in which a spreadsheet drops digits; format the column as text and export it again")
	}
	for i, r := range s {
		if r >= '0' && r <= '9' || strings.ContainsRune(separators, r) || r == '+' && i == 0 {
			continue
		}
		place := utf8.RuneCountInString(s[:i]) + 1
		switch {
		case r == utf8.RuneError:
			return fmt.Errorf("has no readable character at position %d: a conversion lost it; export the file again as UTF-8", place)
		case r == '+':
			return errors.New(`has a "+" that is not at its beginning, as if it were two numbers; a message has one recipient`)
		case r == ',':
			return errors.New(`has a ",": it is a decimal number that a spreadsheet wrote, or several numbers; a message has one recipient`)
		case strings.ContainsRune("/;|&\n\r", r):
			return fmt.Errorf("has a %q, as if it were two numbers; a message has one recipient", r)
		case r == '\'' || r == '"' || r == '=':
			return fmt.Errorf("has a %q, with which spreadsheets mark text; remove it", r)
		case r < utf8.RuneSelf && unicode.IsLetter(r):
			return fmt.Errorf("has the letter %q: words, extensions, and prefixes such as tel: do not belong in it; give digits", r)
		case !unicode.IsGraphic(r) || unicode.IsSpace(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return fmt.Errorf("has the invisible character %U at position %d; remove it, or type the number again", r, place)
		case unicode.IsDigit(r):
			return fmt.Errorf("has the digit %U, which is not one of 0 to 9", r)
		}
		return fmt.Errorf(`has the character %q (%U), which is not a digit, a space, or one of "+-()."`, r, r)
	}
	return nil
}

// asciiDigits returns the digits of s without all else.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
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
