package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/waypost/waypost/domain"
)

// What Meta calls objects (contacts, interactive messages, parameters) is accepted as JSON
// and passed on unchanged, including members that this version does not know: Meta adds some
// every few months. Members with a documented limit are parsed and checked.

// readObject reads the known members of an object of the Cloud API. The error is about the
// member whose value has another type.
func readObject(raw json.RawMessage, into any) error {
	if !isObject(raw) {
		return domain.Invalid("", "is no object of the Cloud API")
	}
	err := json.Unmarshal(raw, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return domain.Invalid(wrong.Field, "is a JSON %s, which is not what the Cloud API takes there", wrong.Value)
	}
	return domain.Invalid("", "is no object of the Cloud API: %s", err)
}

func isObject(raw json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) && json.Valid(raw)
}

// checkObject checks that a member which the type of its object names is there.
func checkObject(name string, raw json.RawMessage) error {
	if !isObject(raw) {
		return domain.Invalid(name, "is missing or no object, the type names it")
	}
	return nil
}

func checkGiven(name string, s *string) error {
	if s == nil || *s == "" {
		return domain.Invalid(name, "is missing or empty, the type names it")
	}
	return nil
}

// wamidPrefix is how every message id of WhatsApp begins.
const (
	wamidPrefix = "wamid."
	// maxWamid is Waypost's own limit; ids have some sixty bytes.
	maxWamid = 512
)

func checkWamid(field, id string) error {
	if rest, ok := strings.CutPrefix(id, wamidPrefix); !ok || rest == "" || strings.ContainsFunc(id, notGraphic) {
		return domain.Invalid(field, "is no message id of WhatsApp, which begin with %q", wamidPrefix)
	}
	return domain.CheckLine(field, id, 1, maxWamid)
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

// checkReply checks the message that a message replies to. A reaction names its own message.
func checkReply(replyTo string, kind Kind) error {
	switch {
	case replyTo == "":
		return nil
	case kind == KindReaction:
		return domain.Invalid("replyTo", "is given, but a reaction cannot be a reply; it names its message in reaction.messageId")
	}
	return checkWamid("replyTo", replyTo)
}
