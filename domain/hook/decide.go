package hook

import "github.com/waypost/waypost/domain"

// Disable stops deliveries. If they are already stopped, nothing changes.
func Disable(h Hook, reason string) []domain.Event {
	return disable(h, Disabled{Reason: reason})
}

// AutoDisable stops deliveries because the receiver failed for too long. reason can be any
// text; it is shortened to what an event records. If deliveries are already stopped, nothing
// changes.
func AutoDisable(h Hook, reason string) []domain.Event {
	return disable(h, Disabled{Reason: domain.CleanLines(reason, domain.MaxReason), GivenUp: true})
}

func disable(h Hook, e Disabled) []domain.Event {
	if h.Disabled() {
		return nil
	}
	return []domain.Event{e}
}

// Enable resumes deliveries. If they are not stopped, nothing changes.
func Enable(h Hook) []domain.Event {
	if !h.Disabled() {
		return nil
	}
	return []domain.Event{Enabled{}}
}
