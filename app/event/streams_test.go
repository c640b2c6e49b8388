package event_test

import (
	"testing"

	"github.com/waypost/waypost/app/event"
)

// Names of streams contain only IDs in WhatsApp's form.
func TestStreamPart(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"910200300400500": "910200300400500", "": "unknown", "../x": "unknown", "+49151": "unknown",
		"012345678901234567890123456789012": "unknown",
	} {
		if got := event.StreamPart(id); got != want {
			t.Errorf("%q became %q", id, got)
		}
	}
}
