package alert

import "time"

// Facts are what rules are held against: the installation in one instant.
type Facts struct {
	// Senders are the registered senders by id. All are the figures of all together.
	Senders map[string]SenderFacts
	All     SenderFacts
	// Unread is set if nothing could be read: then Behind is for how long that has been
	// so, and nothing else is known.
	Unread bool
	// Behind is how far the read models are behind, Parked how many streams they leave
	// out.
	Behind time.Duration
	Parked int
	// Unbalanced is set if the ledger was found not to balance.
	Unbalanced bool
	// Rejected counts webhooks with wrong signatures, by window.
	Rejected map[time.Duration]int64
	// DiskUsed is the share of the disk that is in use; 0 if it is not known.
	DiskUsed float64
	// GivenUp are the outgoing webhooks that the platform has disabled.
	GivenUp []GivenUpHook
}

// GivenUpHook is an outgoing webhook whose receiver failed for too long.
type GivenUpHook struct{ ID, Host, Reason string }

// SenderFacts are those of one sender.
type SenderFacts struct {
	// Windows are its figures by the length of the window.
	Windows map[time.Duration]Figures
	// Minutes are, for a window, the flows of each of its minutes, the oldest first.
	// They may be left out where less is due than a rule asks for.
	Minutes map[time.Duration][]Flow
	// Due is what is due and not accepted, OldestDue the age of the oldest of it,
	// OldestUnpaused of what no person has paused. 0: none.
	Due            int64
	OldestDue      time.Duration
	OldestUnpaused time.Duration
	// Rate is how many calls a second it may make.
	Rate int
	// Held is what it is held for; empty if it is not.
	Held string
	// Unanswered counts the messages sent since the last status, UnansweredFor is how
	// long ago the first of them was sent.
	Unanswered    int64
	UnansweredFor time.Duration
}

// Figures are those of a window.
type Figures struct {
	Sent      int64
	Faults    int64
	Delivered int64
	// Left counts what ended being due other than by its time running out.
	Left    int64
	Average time.Duration
	P50     time.Duration
	P95     time.Duration
	// Failures tell of the most frequent failures, in a few words each.
	Failures []string
}

// Flow is what became due and what ended being due in a minute.
type Flow struct{ Arrived, Drained int64 }

// Needs are the figures that rules go by, beyond those of the instant.
type Needs struct {
	// Windows are lengths that Figures are needed for, Minutes such that flows are.
	Windows, Minutes map[time.Duration]bool
	// Rejected are the windows of rejections.
	Rejected map[time.Duration]bool
}

// NeedsOf answers what the rules go by.
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
		case SenderHeld, WebhookSilence, ReadModelStale, LedgerUnbalanced, DiskSpace, HookDisabled:
		}
	}
	return n
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
