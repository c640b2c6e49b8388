package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/domain"
)

// Priority is the lane of its sender in which a message waits. The values are
// those of the GraphQL schema.
type Priority string

// The priorities, the most urgent first.
const (
	PriorityOTP           Priority = "OTP"
	PriorityTransactional Priority = "TRANSACTIONAL"
	PriorityBulk          Priority = "BULK"
)

// Priorities lists every priority, the most urgent first.
func Priorities() []Priority {
	return []Priority{PriorityOTP, PriorityTransactional, PriorityBulk}
}

// Rank orders priorities: 0 is the most urgent, 2 the least. A value that is no
// priority ranks last, so that it never goes before one that is.
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

// AmbiguityPolicy says what becomes of a message when a call's answer was lost
// and no status settles it in time.
type AmbiguityPolicy string

// The policies, as the GraphQL schema names them.
const (
	// AmbiguityResend sends again, at the risk of a second copy.
	AmbiguityResend AmbiguityPolicy = "RESEND"
	// AmbiguityDeadLetter leaves it to people, at the risk of none.
	AmbiguityDeadLetter AmbiguityPolicy = "DEAD_LETTER"
)

// Valid reports whether a is one of the two policies.
func (a AmbiguityPolicy) Valid() bool { return a == AmbiguityResend || a == AmbiguityDeadLetter }

// Bounds of labels. They are Waypost's own: labels are kept in an index.
const (
	MaxLabels     = 20
	maxLabelName  = 64
	maxLabelValue = 256
)

// Label is a word of the business on a message, by which it is found again.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ValidateLabels checks that there are at most MaxLabels, each with a name of
// its own of 1 to 64 characters and a value of at most 256. The error names the
// label's place, such as "labels.0.name".
func ValidateLabels(labels []Label) error {
	if n := len(labels); n > MaxLabels {
		return domain.Invalid("labels", "has %d labels, at most %d are allowed", n, MaxLabels)
	}
	for i, l := range labels {
		if err := checkLength(fmt.Sprintf("labels.%d.name", i), l.Name, 1, maxLabelName); err != nil {
			return err
		}
		if err := checkLength(fmt.Sprintf("labels.%d.value", i), l.Value, 0, maxLabelValue); err != nil {
			return err
		}
		for _, before := range labels[:i] {
			if before.Name == l.Name {
				return domain.Invalid(fmt.Sprintf("labels.%d.name", i), "%q is given twice, a name may be used once a message", l.Name)
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
	const field = "idempotencyKey"
	if err := checkLength(field, key, 1, maxIdempotencyKey); err != nil {
		return err
	}
	if i := strings.IndexFunc(key, unicode.IsControl); i >= 0 {
		return domain.Invalid(field, "has a control character at byte %d, use printable characters only", i)
	}
	return nil
}

// checkLength checks that s is UTF-8 of least to most characters. A character
// is a Unicode code point: what Meta counts is not documented, and code points
// never reject what a count of UTF-16 units would let pass.
func checkLength(field, s string, least, most int) error {
	if !utf8.ValidString(s) {
		return domain.Invalid(field, "is not valid UTF-8")
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n == 0 && least > 0:
		return domain.Invalid(field, "is empty, %d to %d characters are needed", least, most)
	case n < least || n > most:
		return domain.Invalid(field, "has %d characters, %d to %d are allowed", n, least, most)
	}
	return nil
}
