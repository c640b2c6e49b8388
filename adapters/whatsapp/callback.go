package whatsapp

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// callbackPrefix marks callback data as this platform's, in its first form.
const callbackPrefix = "wp1:"

// CallbackData returns the string that a call carries and that every status of it echoes:
// wp1:{message id}:{call}. It is ASCII and far below WhatsApp's 512 characters.
func CallbackData(messageID string, call int) string {
	return callbackPrefix + messageID + ":" + strconv.Itoa(call)
}

// ParseCallbackData reads what CallbackData made. It is not ok for anything else: other systems may send
// through the same number with callback data of their own. Whether that message exists, and whether its
// sender has the number the status came for, is for the caller to see.
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
