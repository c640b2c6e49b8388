package sender

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/domain"
)

// Quality is WhatsApp's rating of a phone number, by how people react to its messages.
type Quality string

// The ratings of a number.
const (
	QualityGreen   Quality = "GREEN"
	QualityYellow  Quality = "YELLOW"
	QualityRed     Quality = "RED"
	QualityUnknown Quality = "UNKNOWN"
)

// severity orders the ratings, the worst last.
func (q Quality) severity() int {
	return slices.Index([]Quality{QualityUnknown, QualityGreen, QualityYellow, QualityRed}, q)
}

// A Limit is the number of people to whom a business can start conversations in any 24 hours.
type Limit struct {
	// People is 0 if the limit is Unlimited.
	People    int  `json:"people,omitempty"`
	Unlimited bool `json:"unlimited,omitempty"`
}

// less reports whether l allows less than other.
func (l Limit) less(other Limit) bool {
	return !l.Unlimited && (other.Unlimited || l.People < other.People)
}

// upgradePause is how long a number sends nothing after WhatsApp has raised its throughput.
// Source: Meta's page on throughput: an upgrade takes up to one minute.
const upgradePause = time.Minute

// The restrictions that WhatsApp reports without a type of their own. Their names are those of its
// events.
const (
	// RestrictionDisabled is a ban, which has no end until WhatsApp reinstates the account.
	RestrictionDisabled = "ACCOUNT_DISABLED"
	// RestrictionScheduled announces a ban.
	RestrictionScheduled  = "SCHEDULE_FOR_DISABLE"
	RestrictionDeleted    = "ACCOUNT_DELETED"
	RestrictionOffboarded = "ACCOUNT_OFFBOARDED"
)

// Reach is which messages of a sender a restriction stops.
type Reach string

// The reaches of restrictions, the widest last.
const (
	ReachNothing Reach = "NOTHING"
	// ReachCategory is templates of one category, see Restriction.Category.
	ReachCategory  Reach = "CATEGORY"
	ReachTemplates Reach = "TEMPLATES"
	ReachAll       Reach = "ALL"
)

// A Restriction is something that WhatsApp doesn't allow an account or a number for now.
type Restriction struct {
	// Type is WhatsApp's name of it, or one of the constants above.
	Type string `json:"type"`
	// At is WhatsApp's time of its latest report.
	At time.Time `json:"at"`
	// Until is when it ends; zero if WhatsApp gave no end.
	Until time.Time `json:"until,omitzero"`
	// Remedy is what to do about it, in WhatsApp's words.
	Remedy string `json:"remedy,omitempty"`
}

// Reach returns which messages the restriction stops. WhatsApp restricts in steps: at first
// templates, then everything. So one on replies comes with one on templates.
// Source: Meta's page on policy enforcement.
func (r Restriction) Reach() Reach {
	switch r.Type {
	case RestrictionDisabled, RestrictionDeleted, RestrictionOffboarded, "RESTRICTED_CUSTOMER_INITIATED_MESSAGING":
		return ReachAll
	case "RESTRICTED_BIZ_INITIATED_MESSAGING":
		return ReachTemplates
	}
	if r.Category() != "" {
		return ReachCategory
	}
	return ReachNothing
}

// Category returns the only category of templates that the restriction stops, or "" if it stops all
// or none. WhatsApp documents RESTRICTED_UTILITY_TEMPLATES, for templates in the wrong category.
func (r Restriction) Category() string {
	switch r.Type {
	case "RESTRICTED_UTILITY_TEMPLATES", "RESTRICTED_MARKETING_TEMPLATES", "RESTRICTED_AUTHENTICATION_TEMPLATES":
		return strings.TrimSuffix(strings.TrimPrefix(r.Type, "RESTRICTED_"), "_TEMPLATES")
	}
	return ""
}

// Describe returns in words what the restriction forbids, when it ends, and its name in WhatsApp.
func (r Restriction) Describe() string {
	var text string
	switch r.Reach() {
	case ReachAll:
		text = "no messages"
	case ReachTemplates:
		text = "no templates"
	case ReachCategory:
		text = "no templates of the category " + r.Category()
	case ReachNothing:
		text = "no message is affected"
		if r.Type == RestrictionScheduled {
			text = "a ban is announced"
		}
	}
	if !r.Until.IsZero() {
		text += " until " + r.Until.UTC().Format("2 January 2006 15:04 UTC")
	}
	return text + " (" + r.Type + ")"
}

// Ended reports whether the restriction's end has passed.
func (r Restriction) Ended(now time.Time) bool { return !r.Until.IsZero() && !now.Before(r.Until) }

// outlasts reports whether r ends later than other.
func (r Restriction) outlasts(other Restriction) bool {
	return !other.Until.IsZero() && (r.Until.IsZero() || r.Until.After(other.Until))
}

// Reach returns which messages of the sender its restrictions stop: the widest reach of any.
func (s Sender) Reach() Reach {
	reaches := []Reach{ReachNothing, ReachCategory, ReachTemplates, ReachAll}
	widest := 0
	for _, r := range s.Restrictions {
		widest = max(widest, slices.Index(reaches, r.Reach()))
	}
	return reaches[widest]
}

// SameReach reports whether the restrictions of both stop the same messages.
func (s Sender) SameReach(other Sender) bool {
	return s.Reach() == other.Reach() && slices.Equal(s.restrictedCategories(), other.restrictedCategories())
}

// restrictedCategories returns the categories that restrictions of their own stop, in the order of
// the restrictions, which are by type.
func (s Sender) restrictedCategories() []string {
	var categories []string
	for _, r := range s.Restrictions {
		if c := r.Category(); c != "" {
			categories = append(categories, c)
		}
	}
	return categories
}

// Restricts reports whether the restrictions of the sender stop messages with a template. category
// returns that of the template, or "" if it is not known.
func (s Sender) Restricts(category func() string) bool {
	switch s.Reach() {
	case ReachAll, ReachTemplates:
		return true
	case ReachCategory:
		return slices.Contains(s.restrictedCategories(), category())
	case ReachNothing:
	}
	return false
}

// A Report is what a webhook says about a business account or one of its numbers.
type Report struct {
	BusinessAccountID string
	// DisplayPhoneNumber is the number that the report is about, as WhatsApp writes it. If empty,
	// the report is about all numbers of the account.
	DisplayPhoneNumber string
	// At is WhatsApp's time of the report.
	At time.Time
	// Quality is empty if the report is not about it. The same holds for the other members.
	Quality Quality
	Limit   *Limit
	// Throughput is in messages per second.
	Throughput   int
	Restrictions []Restriction
	// Restored are the types of restrictions that ended. AllRestored means every type.
	Restored    []string
	AllRestored bool
	// Listed is set if the report is not from a webhook but from what WhatsApp lists, see
	// RecordListing. Its throughput is in effect already.
	Listed bool
}

// Dated returns the report with a time, for one that WhatsApp gave none.
func (r Report) Dated(at time.Time) Report {
	r.At, r.Restrictions = at, slices.Clone(r.Restrictions)
	for i := range r.Restrictions {
		r.Restrictions[i].At = at
	}
	return r
}

// Affected returns the senders that a report is about. A sender whose display phone number is
// unknown is affected only if it is the account's only sender.
func (r Report) Affected(all []Sender) []Sender {
	var ofAccount, affected []Sender
	for _, s := range all {
		if r.BusinessAccountID != "" && s.BusinessAccountID == r.BusinessAccountID {
			ofAccount = append(ofAccount, s)
		}
	}
	if r.DisplayPhoneNumber == "" {
		return ofAccount
	}
	for _, s := range ofAccount {
		number := digits(s.DisplayPhoneNumber)
		if number == digits(r.DisplayPhoneNumber) || number == "" && len(ofAccount) == 1 {
			affected = append(affected, s)
		}
	}
	return affected
}

func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

// RecordReport decides on a report about the sender at the time now. Reports lead to the same state in
// any order: the latest counts by WhatsApp's time, and of two at the same time the worse one. An
// end of restrictions counts after restrictions of the same time.
func RecordReport(s Sender, r Report, now time.Time) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	var events []domain.Event
	add := func(e Event) {
		events = append(events, e)
		s = s.Apply(Record{Event: e, At: now})
	}
	if r.Quality != "" && supersedes(r.At, s.QualityAt, r.Quality.severity() > s.Quality.severity()) {
		add(QualityChanged{Quality: r.Quality, At: r.At})
	}
	if r.Limit != nil && supersedes(r.At, s.LimitAt, r.Limit.less(s.Limit)) {
		add(MessagingLimitChanged{Limit: *r.Limit, At: r.At})
	}
	if r.Throughput > 0 && r.At.After(s.Throughput.At) {
		allowed, pausedUntil := max(s.Throughput.MessagesPerSecond, DefaultRate), r.At.Add(upgradePause)
		if r.Listed {
			pausedUntil = r.At
		}
		upgraded := !r.Listed || s.Throughput.MessagesPerSecond > 0 // the first listing can be about an upgrade long ago
		add(ThroughputChanged{Throughput{MessagesPerSecond: r.Throughput, At: r.At, PausedUntil: pausedUntil}})
		if rate := min(r.Throughput, MaxRate); upgraded && s.Rate >= allowed && rate > s.Rate { // not if someone chose less than was allowed
			add(RateChanged{MessagesPerSecond: rate})
		}
	}
	for _, n := range r.Restrictions {
		old, known := s.restriction(n.Type)
		switch {
		case !n.At.After(s.restoredAt(n.Type)), known && !supersedes(n.At, old.At, n.outlasts(old)), !known && n.Ended(now):
		default:
			add(AccountRestricted{n})
		}
	}
	if r.AllRestored && r.At.After(s.RestoredAt[""]) {
		add(AccountRestored{At: r.At, Reason: RestoredByWhatsApp})
	}
	for _, t := range r.Restored {
		if r.At.After(s.restoredAt(t)) {
			add(AccountRestored{Type: t, At: r.At, Reason: RestoredByWhatsApp})
		}
	}
	return events, nil
}

// ListingMargin is how much earlier than its request a listing counts as made: a webhook has a time in
// whole seconds and by WhatsApp's clock.
const ListingMargin = 5 * time.Second

// RecordListing decides on what WhatsApp lists about the sender's number: its quality, messaging
// limit, and throughput. It returns no events if that is known, or if a newer report is.
func RecordListing(s Sender, listed Report) ([]domain.Event, error) {
	r := Report{At: listed.At, Listed: true}
	if listed.Quality != s.Quality {
		r.Quality = listed.Quality
	}
	if listed.Limit != nil && (s.LimitAt.IsZero() || *listed.Limit != s.Limit) {
		r.Limit = listed.Limit
	}
	if listed.Throughput != s.Throughput.MessagesPerSecond {
		r.Throughput = listed.Throughput
	}
	return RecordReport(s, r, listed.At)
}

// supersedes reports whether what was reported at a time replaces what was reported at another.
func supersedes(at, known time.Time, worse bool) bool {
	return at.After(known) || at.Equal(known) && worse
}

// The reasons of AccountRestored.
const (
	RestoredByWhatsApp = "WhatsApp reported it"
	RestoredByTime     = "the time that WhatsApp gave has passed"
)

// EndRestrictions ends the restrictions whose time has passed.
func EndRestrictions(s Sender, now time.Time) ([]domain.Event, error) {
	var events []domain.Event
	for _, r := range s.Restrictions {
		if r.Ended(now) {
			events = append(events, AccountRestored{Type: r.Type, At: r.At, Reason: RestoredByTime})
		}
	}
	return events, nil
}

// LiftRestrictions ends all restrictions because of an operator's reason, for example if a webhook
// was lost.
func LiftRestrictions(s Sender, reason string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return nil, err
	}
	var events []domain.Event
	for _, r := range s.Restrictions {
		events = append(events, AccountRestored{Type: r.Type, At: r.At, Reason: reason})
	}
	return events, nil
}

// restriction returns the restriction of a type, if it is in effect.
func (s Sender) restriction(kind string) (Restriction, bool) {
	i := slices.IndexFunc(s.Restrictions, func(r Restriction) bool { return r.Type == kind })
	if i < 0 {
		return Restriction{}, false
	}
	return s.Restrictions[i], true
}

// restoredAt returns WhatsApp's time up to which restrictions of a type have ended.
func (s Sender) restoredAt(kind string) time.Time {
	if all := s.RestoredAt[""]; all.After(s.RestoredAt[kind]) {
		return all
	}
	return s.RestoredAt[kind]
}

// Portfolio returns the ID under which the sender's messaging limit is counted if its business
// portfolio is not known: its business account, or else the sender, as if it were alone.
func (s Sender) Portfolio() string { return cmp.Or(s.BusinessAccountID, s.ID) }
