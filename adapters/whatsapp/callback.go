package whatsapp

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// callbackPrefix marks callback data as Waypost's, in its first format.
const callbackPrefix = "wp1:"

// CallbackData returns the string that a call carries and that every status of the call echoes: wp1:{message
// ID}:{call}. It is ASCII and far shorter than WhatsApp's limit of 512 characters.
func CallbackData(messageID string, call int) string {
	return callbackPrefix + messageID + ":" + strconv.Itoa(call)
}

// ParseCallbackData parses the result of CallbackData. ok is false for anything else, because other systems may send
// through the same number with their own callback data. The caller must check that the message exists, and that its
// sender has the number that the status came for.
func ParseCallbackData(data string) (messageID string, call int, ok bool) {
	rest, found := strings.CutPrefix(data, callbackPrefix)
	if !found {
		return "", 0, false
	}
	messageID, number, found := strings.Cut(rest, ":")
	if !found || len(messageID) != 36 || uuid.Validate(messageID) != nil || strings.ToLower(messageID) != messageID {
		return "", 0, false
	}
	call, err := strconv.Atoi(number)
	if err != nil || call < 1 || strconv.Itoa(call) != number {
		return "", 0, false
	}
	return messageID, call, true
}
