package sender

import "github.com/waypost/waypost/domain"

// NumberOwner returns the sender that owns a number according to the number's stream, or an
// empty string if none claimed it.
func NumberOwner(events []domain.Event) string {
	for _, e := range events {
		if c, ok := e.(NumberClaimed); ok {
			return c.Sender // the first claim counts
		}
	}
	return ""
}
