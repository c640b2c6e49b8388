package whatsapp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// maxRetryAfter limits the delay that a response can request, in seconds: a mistake in a header must not stop a sender
// for a day. When the hour is over, one call checks.
const maxRetryAfter = 3600

// retryAfter returns the number of seconds that the response asks to wait, or 0: from Retry-After in seconds or as a
// date, relative to the response's own Date, and for the scopes account and app also from the minutes in
// X-Business-Use-Case-Usage.
func retryAfter(h http.Header, scope message.ThrottleScope) int {
	if given := h.Get("Retry-After"); given != "" {
		if seconds, err := strconv.Atoi(given); err == nil {
			return max(0, min(seconds, maxRetryAfter))
		}
		until, err1 := http.ParseTime(given)
		from, err2 := http.ParseTime(h.Get("Date"))
		if err1 == nil && err2 == nil {
			return max(0, min(int(until.Sub(from)/time.Second), maxRetryAfter))
		}
	}
	if scope != message.ScopeAccount && scope != message.ScopeApp {
		return 0
	}
	var usage map[string][]struct {
		Minutes int `json:"estimated_time_to_regain_access"`
	}
	if json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &usage) != nil {
		return 0
	}
	seconds := 0
	for _, account := range usage {
		for _, use := range account {
			seconds = max(seconds, min(use.Minutes, maxRetryAfter/60)*60)
		}
	}
	return seconds
}
