package work

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/event"
)

// LimitPeriod is how long a person counts toward the messaging limit of a portfolio after a call.
// For WhatsApp, the 24 hours can begin a little later than the call does for Waypost.
const LimitPeriod = 24*time.Hour + time.Minute

// A Portfolio is a business portfolio with a messaging limit, which its senders share.
type Portfolio struct {
	ID string
	// People is the limit: to how many people conversations can be started in any 24 hours.
	People int
	// Senders are the IDs of its senders, sorted.
	Senders []string
}

// A Contact is a person to whom a portfolio is about to send a message outside their window.
type Contact struct {
	Portfolio string
	// People is the portfolio's limit.
	People int
	// Person is as Item.Recipient.
	Person string
}

// An Admission is the decision about a Contact.
type Admission struct {
	// Admitted is set if the message can be sent. The person is counted then.
	Admitted bool
	// Unknown is set if the portfolio is not counted yet. Then no one is admitted.
	Unknown bool
	// Used is the number of people who count now.
	Used int
}

// LimitUsage is the state of a portfolio's count.
type LimitUsage struct {
	Portfolio
	// Used is the number of people who count.
	Used int
	// ResetsAt is when the first of them no longer counts; zero if there are none.
	ResetsAt time.Time
	// RefusedUntil is set while no further people are admitted, because WhatsApp refused a call
	// near the limit with RefusedCode.
	RefusedUntil time.Time
	RefusedCode  *int
}

// Limits counts the people to whom portfolios send messages outside a window. All processes share
// it: it never admits more people than the limit, whichever of them asks.
type Limits interface {
	// Reserve decides about contacts, in their order, and counts those that it admits.
	Reserve(ctx context.Context, now time.Time, of []Contact) ([]Admission, error)
	// Return reverses the admission of a contact whose message WhatsApp did not accept, unless
	// others of the portfolio's messages to that person were admitted too.
	Return(ctx context.Context, c Contact) error
	// Refused stops the admission of further people until a time.
	Refused(ctx context.Context, portfolio string, code *int, until time.Time) error
	// Usage returns the state of all portfolios that are counted.
	Usage(ctx context.Context, now time.Time) ([]LimitUsage, error)
	// Begin starts to count a portfolio, with the people to whom its senders sent templates in the
	// last LimitPeriod, as the read model of messages has them. It does nothing and returns false
	// until the read model has reached the position. If the portfolio is counted already, its
	// limit and senders are updated.
	Begin(ctx context.Context, now time.Time, p Portfolio, reached event.Position) (counted bool, err error)
	// Forget ends the count of a portfolio.
	Forget(ctx context.Context, portfolio string) error
}
