package message

import (
	"fmt"
	"strings"

	"github.com/waypost/waypost/domain"
)

// Priority is the lane of its sender that a message waits in. The values are those of the
// GraphQL schema.
type Priority string

// The priorities, the most urgent first.
const (
	PriorityOTP           Priority = domain.PriorityOTP
	PriorityTransactional Priority = domain.PriorityTransactional
	PriorityBulk          Priority = domain.PriorityBulk
)

// Priorities lists every priority, the most urgent first.
func Priorities() []Priority {
	return []Priority{PriorityOTP, PriorityTransactional, PriorityBulk}
}

// Rank returns the order of priorities: 0 is the most urgent, 2 the least. An invalid value
// ranks last, so that it never precedes a valid one.
func (p Priority) Rank() int {
	switch p {
	case PriorityOTP:
		return 0
	case PriorityTransactional:
		return 1
	case PriorityBulk:
	}
	return 2
}

// Valid reports whether p is one of Priorities.
func (p Priority) Valid() bool {
	return p == PriorityOTP || p == PriorityTransactional || p == PriorityBulk
}

// IsBulk reports whether p is PriorityBulk in any case. Older versions recorded priorities
// as the caller wrote them.
func (p Priority) IsBulk() bool { return strings.EqualFold(string(p), domain.PriorityBulk) }

// AmbiguityPolicy is what happens to a message if the response to a call was lost and no
// status settles it in time.
type AmbiguityPolicy string

// The policies, as the GraphQL schema names them.
const (
	// AmbiguityResend sends again, at the risk of a second copy.
	AmbiguityResend AmbiguityPolicy = "RESEND"
	// AmbiguityDeadLetter leaves the decision to an operator, at the risk that no copy
	// arrives.
	AmbiguityDeadLetter AmbiguityPolicy = "DEAD_LETTER"
)

// Valid reports whether a is one of the two policies.
func (a AmbiguityPolicy) Valid() bool { return a == AmbiguityResend || a == AmbiguityDeadLetter }

// deadLetters reports whether a is AmbiguityDeadLetter in any case, because older versions
// recorded policies as the caller wrote them.
func (a AmbiguityPolicy) deadLetters() bool {
	return strings.EqualFold(string(a), string(AmbiguityDeadLetter))
}

// MaxLabels is the maximum number of labels of a message.
const MaxLabels = 20

// Label is domain.Label, of which a message has several.
type Label = domain.Label

// ValidateLabels checks that there are at most MaxLabels, each with a name of
// its own of 1 to 64 characters and a value of at most 256. The error names the
// label's place, such as "labels.0.name".
func ValidateLabels(labels []Label) error {
	if n := len(labels); n > MaxLabels {
		return domain.Invalid("labels", "has %d labels, at most %d are allowed", n, MaxLabels)
	}
	for i, l := range labels {
		if err := l.Validate(fmt.Sprintf("labels.%d", i)); err != nil {
			return err
		}
		for _, before := range labels[:i] {
			if before.Name == l.Name {
				return domain.Invalid(fmt.Sprintf("labels.%d.name", i), "%q is used twice; use each name only once per message", l.Name)
			}
		}
	}
	return nil
}

// maxIdempotencyKey is the limit of the public surface, in characters.
const maxIdempotencyKey = 128

// ValidateIdempotencyKey checks that key has 1 to 128 characters, none of them
// a control character.
func ValidateIdempotencyKey(key string) error {
	return domain.CheckLine("idempotencyKey", key, 1, maxIdempotencyKey)
}

// NamesRecipient reports whether an idempotency key contains the recipient: a run of digits
// that is exactly their number's, in E.164, or their user ID. The message's ID is derived from
// the key and stays when the recipient is erased, so anyone who knows the number could find
// out that they got the message.
func NamesRecipient(key, to string) bool {
	if IsUserID(to) {
		return strings.Contains(key, to)
	}
	digits := strings.TrimPrefix(to, "+")
	isDigit := func(b byte) bool { return '0' <= b && b <= '9' }
	for from := 0; digits != ""; {
		i := strings.Index(key[from:], digits)
		if i < 0 {
			break
		}
		begin, end := from+i, from+i+len(digits)
		if (begin == 0 || !isDigit(key[begin-1])) && (end == len(key) || !isDigit(key[end])) {
			return true
		}
		from = begin + 1
	}
	return false
}

// checkLength checks that s, a text of a message's content, has least to most characters. A character
// is a Unicode code point: what Meta counts is not documented, and code points
// never reject what a count of UTF-16 units would let pass.
func checkLength(field, s string, least, most int) error {
	return domain.CheckLines(field, s, least, most)
}
