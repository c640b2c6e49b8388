package message

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/domain"
)

// maxEmoji bounds one emoji, in code points. Unicode's longest, families and
// flags of regions, are built of fewer than a dozen.
const maxEmoji = 20

// Reaction puts an emoji on a message that the recipient sent or got.
type Reaction struct {
	// MessageID is WhatsApp's id of that message. One that is older than 30 days,
	// or a reaction itself, WhatsApp refuses later, by a status (131009).
	MessageID string `json:"message_id"`
	// Emoji is the emoji; the empty string takes an earlier one back.
	Emoji string `json:"emoji"`
}

// Kind is KindReaction.
func (Reaction) Kind() Kind { return KindReaction }

func (Reaction) content() {}

// Validate checks the message's id and that the emoji is none or one.
func (r Reaction) Validate() error {
	if err := checkWamid("reaction.messageId", r.MessageID); err != nil {
		return err
	}
	const field = "reaction.emoji"
	if err := checkLength(field, r.Emoji, 0, maxEmoji); err != nil {
		return err
	}
	if strings.ContainsFunc(r.Emoji, notEmoji) || (r.Emoji != "" && utf8.RuneCountInString(r.Emoji) == len(r.Emoji)) {
		return domain.Invalid(field, "is no emoji, give one such as 👍, or the empty string to take a reaction back")
	}
	return nil
}

// notEmoji finds what no emoji has. ASCII's digits, # and * are in some: 1️⃣.
func notEmoji(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsSpace(r) || unicode.IsControl(r) ||
		(r < utf8.RuneSelf && !unicode.IsDigit(r) && r != '#' && r != '*')
}
