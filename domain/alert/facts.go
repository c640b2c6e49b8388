package alert

import "time"

// Facts are what rules are evaluated on: the state of the installation at one instant.
type Facts struct {
	// Senders are the registered senders by ID. All has the metrics of all together.
	Senders map[string]SenderFacts
	All     SenderFacts
	// Unread is set if the facts could not be read. Behind is then how long that has
	// lasted, and everything else is unknown.
	Unread bool
	// Behind is the lag of the read models, and Parked the number of streams that they
	// leave out.
	Behind time.Duration
	Parked int
	// Unbalanced is set if the ledger does not balance.
	Unbalanced bool
	// Rejected counts webhooks with invalid signatures, by window.
	Rejected map[time.Duration]int64
	// DiskUsed is the fraction of the disk that is in use, or 0 if it is not known.
	DiskUsed float64
	// GivenUp are the outgoing webhooks that Waypost has disabled.
	GivenUp []GivenUpHook
	// Paused are the templates that WhatsApp has paused, or disabled in the last days.
	// Recategorized are those whose category it has changed in the last day, or is about to
	// change.
	Paused        []PausedTemplate
	Recategorized []RecategorizedTemplate
	// Shortened is set if the event log has become shorter.
	Shortened *Shortened
}

// Shortened describes a consumer of the event log with a position after the log's last
// event.
type Shortened struct {
	Consumer      string
	Position, End uint64
}

// GivenUpHook is an outgoing webhook whose receiver failed for too long.
type GivenUpHook struct{ ID, Host, Reason string }

// PausedTemplate is a template that WhatsApp accepts no messages of. Status and Reason are
// WhatsApp's words.
type PausedTemplate struct{ Account, Name, Language, Status, Reason string }

// RecategorizedTemplate is a template that has, or will have, another category.
type RecategorizedTemplate struct {
	Account, Name, Language string
	From, To                string
	// Announced is set if the change is still to come.
	Announced bool
}

// SenderFacts are the facts about one sender.
type SenderFacts struct {
	// Windows has its metrics by the length of the window.
	Windows map[time.Duration]Figures
	// Minutes has, for a window, the flows of each of its minutes, oldest first. They can
	// be omitted if fewer messages are due than a rule requires.
	Minutes map[time.Duration][]Flow
	// Due is the number of messages that are due and not accepted, OldestDue the age of the
	// oldest, and OldestUnpaused of the oldest that no operator has paused. 0 if there is
	// none.
	Due            int64
	OldestDue      time.Duration
	OldestUnpaused time.Duration
	// Rate is the maximum number of calls per second.
	Rate int
	// Held is why it is held, or empty if it is not.
	Held string
	// QualityLow is set while WhatsApp rates its number as low quality.
	QualityLow bool
	// Restrictions describe what WhatsApp doesn't allow it for now.
	Restrictions []string
	// Limit is the messaging limit, or nil if it is not counted.
	Limit *Limit
	// Outage is set while messages wait because WhatsApp does not respond to the sender's calls.
	Outage *Outage
	// Unanswered counts the messages sent since the last status. UnansweredFor is the time
	// since the first of them was sent.
	Unanswered    int64
	UnansweredFor time.Duration
}

// Limit is the use of a messaging limit.
type Limit struct {
	Used, People int
	// Refused is the error code with which WhatsApp refused a template near the limit, or empty.
	Refused string
}

// Outage describes a lane whose circuit breaker is open.
type Outage struct {
	// For is how long it has been open.
	For time.Duration
	// Failures is the number of calls in a row without a response, and LastFailure how the last of them ended.
	Failures    int
	LastFailure string
}

// Figures are the metrics of a window.
type Figures struct {
	Sent      int64
	Faults    int64
	Delivered int64
	// Left counts messages that stopped being due other than by expiry.
	Left    int64
	Average time.Duration
	P50     time.Duration
	P95     time.Duration
	// Failures describe the most frequent failures, in a few words each.
	Failures []string
}

// A Flow is how many messages became due and how many stopped being due in a minute.
type Flow struct{ Arrived, Drained int64 }

// Needs are the metrics that rules depend on, other than those of the instant.
type Needs struct {
	// Windows are the lengths that Figures are needed for, and Minutes those that flows are
	// needed for.
	Windows, Minutes map[time.Duration]bool
	// Rejected are the windows that rejections are needed for.
	Rejected map[time.Duration]bool
}

// NeedsOf returns what the rules depend on.
func NeedsOf(rules []Rule) Needs {
	n := Needs{Windows: map[time.Duration]bool{}, Minutes: map[time.Duration]bool{}, Rejected: map[time.Duration]bool{}}
	for _, r := range rules {
		if !r.Enabled {
			continue
		}
		switch r.Kind {
		case ErrorRate, DeliveryLatency:
			n.Windows[r.Window] = true
		case QueueStalled:
			n.Windows[seconds(r.Threshold)] = true
		case QueueGrowth:
			n.Minutes[r.Window] = true
		case WebhookRejected:
			n.Rejected[r.Window] = true
		default: // needs only facts of the instant
		}
	}
	return n
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
