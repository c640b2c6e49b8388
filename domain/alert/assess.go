package alert

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// staleAfter is the lag of the read models after which metrics from them count as unknown.
// Missing data would look like a standstill.
const staleAfter = 5 * time.Second

// hysteresis is the fraction of a threshold that a metric must fall below to count as
// resolved.
const hysteresis = 0.8

// fullRate is the fraction of a lane's rate from which it counts as sending at its full
// rate.
const fullRate = 0.9

// explainedHooks is the number of outgoing webhooks that an alert names.
const explainedHooks = 5

// Level is the relation of a metric to a rule.
type Level int

// The levels. Between the threshold and the resolved level, nothing changes.
const (
	Clear Level = iota
	Between
	Breach
)

// A Finding is the result of a rule for one sender, or for all.
type Finding struct {
	Sender      string // empty if over all
	Level       Level
	Severity    Severity
	Value       float64
	Summary     string
	Explanation []string
}

// Assess evaluates a rule on the facts. Senders without a finding are clear. It returns
// false if the facts are not sufficient; then nothing changes. own has the senders with a
// rule of the same kind of their own.
func Assess(r Rule, f Facts, own map[string]bool) ([]Finding, bool) {
	if f.Behind > staleAfter && r.Kind.traits().ofReadModels {
		return nil, false
	}
	if f.Unread && (r.Kind != ReadModelStale || f.Behind.Seconds() <= r.Threshold) {
		return nil, false // unread facts resolve nothing
	}
	switch r.Kind {
	case WebhookRejected:
		n := f.Rejected[r.Window]
		return []Finding{r.judge("", float64(n), float64(n) >= max(r.Threshold, 1), float64(n) <= hysteresis*r.Threshold,
			fmt.Sprintf("%d webhooks came with a wrong signature within %s", n, Spell(r.Window)),
			"Check that WAYPOST_WHATSAPP_APP_SECRET is the secret of the Meta app; otherwise, someone else is calling.")}, true
	case ReadModelStale:
		behind := f.Behind.Seconds()
		return []Finding{r.judge("", behind, behind > r.Threshold || f.Parked > 0, behind <= hysteresis*r.Threshold,
			fmt.Sprintf("the read models are %s behind the log and leave out %d streams", Spell(f.Behind), f.Parked),
			"Lists, counts, metrics, and other alerts can be late. Check that a process with the role project is running.")}, true
	case LedgerUnbalanced:
		return []Finding{r.judge("", 1, f.Unbalanced, true, "the ledger does not balance",
			"A message is in no column, or has a work item that it should not have. Run waypost verify.")}, true
	case DiskSpace:
		return []Finding{r.judge("", f.DiskUsed, f.DiskUsed > r.Threshold, f.DiskUsed < r.Threshold-0.02,
			fmt.Sprintf("%.0f%% of the disk is in use", 100*f.DiskUsed), "Free some space or enlarge the disk. If it is full, messages are no longer accepted.")}, true
	case HookDisabled:
		return []Finding{r.assessHooks(f.GivenUp)}, true
	case LogShortened:
		return []Finding{r.assessLog(f.Shortened)}, true
	case TemplatePaused:
		return []Finding{r.assessPaused(f.Paused)}, true
	case CategoryChanged:
		return []Finding{r.assessCategories(f.Recategorized)}, true
	case ErrorRate, DeliveryLatency, QueueGrowth, QueueStalled, SenderHeld, BreakerOpen, QualityLow, Restricted, LimitReached, WebhookSilence: // about senders, see below
	}
	var findings []Finding
	contributing := 0
	for _, id := range slices.Sorted(maps.Keys(f.Senders)) {
		if r.Sender != "" && id != r.Sender || r.Sender == "" && own[id] {
			continue
		}
		s := f.Senders[id]
		if r.volume(s) > 0 {
			contributing++
		}
		findings = append(findings, r.assess(id, s))
	}
	// The finding over all is only useful if more than one sender has metrics.
	if r.Sender == "" && contributing > 1 && r.Kind.traits().overAll {
		findings = append(findings, r.assess("", f.All))
	}
	return findings, true
}

// assessHooks finds outgoing webhooks that no longer deliver.
func (r Rule) assessHooks(givenUp []GivenUpHook) Finding {
	n := len(givenUp)
	summary := fmt.Sprintf("%d outgoing webhooks are disabled: their receivers failed for too long", n)
	if n == 1 {
		summary = fmt.Sprintf("the outgoing webhook to %s is disabled: its receiver failed for too long", givenUp[0].Host)
	}
	explanation := []string{"New events wait for them. Fix the receiver, then call enableOutgoingWebhook; or call removeOutgoingWebhook if it is no longer needed."}
	for _, h := range givenUp[:min(n, explainedHooks)] {
		explanation = append(explanation, fmt.Sprintf("%s to %s: %s", h.ID, h.Host, h.Reason))
	}
	return r.judge("", float64(n), n > 0, true, summary, explanation...)
}

// explainedTemplates is the number of templates that an alert names.
const explainedTemplates = 5

// assessPaused finds templates whose messages wait.
func (r Rule) assessPaused(paused []PausedTemplate) Finding {
	n := len(paused)
	summary := fmt.Sprintf("WhatsApp has paused or disabled %d templates", n)
	if n == 1 {
		summary = fmt.Sprintf("WhatsApp has paused or disabled the template %s in %s", paused[0].Name, paused[0].Language)
	}
	explanation := []string{"Their messages wait, and other messages are sent. WhatsApp ends most pauses after 3 or 6 hours; after a pause by pacing, someone must unpause the template in Meta's template manager."}
	for _, t := range paused[:min(n, explainedTemplates)] {
		line := fmt.Sprintf("%s in %s of account %s is %s", t.Name, t.Language, t.Account, strings.ToLower(t.Status))
		// WhatsApp gives NONE as the reason of a status that needs none.
		if t.Reason != "" && t.Reason != "NONE" {
			line += ": " + t.Reason
		}
		explanation = append(explanation, line)
	}
	return r.judge("", float64(n), n > 0, true, summary, explanation...)
}

// assessCategories finds templates whose price and rules change.
func (r Rule) assessCategories(changed []RecategorizedTemplate) Finding {
	n := len(changed)
	summary := fmt.Sprintf("WhatsApp changes the category of %d templates", n)
	if n == 1 {
		summary = fmt.Sprintf("WhatsApp changes the category of the template %s in %s from %s to %s", changed[0].Name, changed[0].Language, changed[0].From, changed[0].To)
	}
	explanation := []string{"The category determines the price, and people can opt out of MARKETING. Appeal in Meta's template manager if it is wrong, or use another template."}
	for _, t := range changed[:min(n, explainedTemplates)] {
		verb := "was changed"
		if t.Announced {
			verb = "will be changed"
		}
		explanation = append(explanation, fmt.Sprintf("%s in %s of account %s %s from %s to %s", t.Name, t.Language, t.Account, verb, t.From, t.To))
	}
	return r.judge("", float64(n), n > 0, true, summary, explanation...)
}

// assessLog finds that the event log has become shorter.
func (r Rule) assessLog(s *Shortened) Finding {
	if s == nil {
		return r.judge("", 0, false, true, "the event log is as long as it was")
	}
	return r.judge("", float64(s.Position-s.End), true, false,
		fmt.Sprintf("the event log is shorter than it was: %s reached position %d, but the log ends at position %d", s.Consumer, s.Position, s.End),
		"Nothing is sent and the read models are not updated, because they show events that are not in the log.",
		"Stop every process, then restore the missing part of the log, or accept the loss with waypost rebuild --accept-shorter-log.")
}

// volume returns the number of messages or calls that a finding is based on.
func (r Rule) volume(s SenderFacts) int64 {
	w := s.Windows[r.Window]
	switch r.Kind {
	case ErrorRate:
		return w.Sent + w.Faults
	case DeliveryLatency:
		return w.Delivered
	case QueueGrowth, QueueStalled:
		return s.Due
	case WebhookSilence:
		return s.Unanswered
	default:
		return 0
	}
}

// judge returns a finding, given whether a metric breaks the rule and whether it counts as
// resolved.
func (r Rule) judge(sender string, value float64, breach, resolved bool, summary string, explanation ...string) Finding {
	level := Between
	switch {
	case breach:
		level = Breach
	case resolved:
		level = Clear
	}
	if sender != "" {
		summary = sender + ": " + summary
	}
	return Finding{Sender: sender, Level: level, Severity: r.Severity, Value: value, Summary: summary, Explanation: explanation}
}

func (r Rule) assess(id string, s SenderFacts) Finding {
	switch r.Kind {
	case ErrorRate:
		return r.assessErrors(id, s.Windows[r.Window])
	case DeliveryLatency:
		return r.assessLatency(id, s.Windows[r.Window])
	case QueueGrowth:
		return r.assessGrowth(id, s)
	case QueueStalled:
		return r.assessStall(id, s)
	case SenderHeld:
		return r.judge(id, 1, s.Held != "", true, "held: "+s.Held,
			"Its messages wait and keep their attempts. Waypost checks with WhatsApp automatically, and tries a new token immediately.")
	case BreakerOpen:
		return r.assessOutage(id, s.Outage)
	case QualityLow:
		return r.judge(id, 1, s.QualityLow, true, "WhatsApp rates the number as low quality",
			"People block or report its messages. If this continues, WhatsApp lowers the messaging limit or restricts the number.",
			"Send less marketing, and only to people who asked for it. The WhatsApp Manager shows the reasons under Phone numbers.")
	case Restricted:
		return r.judge(id, float64(len(s.Restrictions)), len(s.Restrictions) > 0, true,
			"WhatsApp restricts the number or its account: "+strings.Join(s.Restrictions, "; "),
			"Messages that WhatsApp would refuse wait and keep their attempts. They are sent when the restriction ends.",
			"Business Support Home at Meta shows the reason and lets you request a review.")
	case LimitReached:
		return r.assessLimit(id, s.Limit)
	case WebhookSilence:
		age := s.UnansweredFor.Seconds()
		return r.judge(id, age, s.Unanswered >= int64(r.MinimumVolume) && s.Unanswered > 0 && age >= r.Threshold, s.Unanswered == 0 || age < hysteresis*r.Threshold,
			fmt.Sprintf("%d messages were sent and no status has arrived for %s", s.Unanswered, Spell(s.UnansweredFor)),
			"Check the webhook subscription of the Meta app and that WhatsApp can reach Waypost.")
	default: // not about senders
		return Finding{Sender: id}
	}
}

// assessLimit finds a portfolio that can start no further conversations for now.
func (r Rule) assessLimit(id string, l *Limit) Finding {
	if l == nil {
		return r.judge(id, 0, false, true, "")
	}
	summary := fmt.Sprintf("the messaging limit is reached: templates went to %d of %d people in 24 hours", l.Used, l.People)
	if l.Refused != "" {
		summary = fmt.Sprintf("WhatsApp refused a template with error %s near the messaging limit: templates went to %d of %d people in 24 hours", l.Refused, l.Used, l.People)
	}
	return r.judge(id, float64(l.Used), l.Used >= l.People || l.Refused != "", float64(l.Used) < hysteresis*float64(l.People), summary,
		"Templates to further people wait and keep their attempts. They are sent as soon as others no longer count.",
		"WhatsApp raises the limit automatically if half of it is used within 7 days and the quality is good.")
}

// assessOutage finds a lane that has stopped because WhatsApp does not respond.
func (r Rule) assessOutage(id string, o *Outage) Finding {
	if o == nil {
		return r.judge(id, 0, false, true, "WhatsApp responds")
	}
	return r.judge(id, o.For.Seconds(), true, false,
		fmt.Sprintf("WhatsApp has not responded to %d calls in a row", o.Failures),
		"The last failure: "+o.LastFailure,
		"Messages wait and keep their attempts. Waypost makes one call at a time, at least one per minute, and resumes when WhatsApp responds.",
		"If WhatsApp works elsewhere, check this machine's way to it: DNS, proxy, firewall.")
}

func (r Rule) assessErrors(id string, w Figures) Finding {
	total := w.Sent + w.Faults
	rate := 0.0
	if total > 0 {
		rate = float64(w.Faults) / float64(total)
	}
	least := int64(r.MinimumVolume)
	return r.judge(id, rate, rate > r.Threshold && total >= least, rate <= hysteresis*r.Threshold || 2*total < least,
		fmt.Sprintf("error rate %.1f%% over %s", 100*rate, Spell(r.Window)),
		append([]string{
			fmt.Sprintf("%d messages failed finally or became dead letters, %d were accepted", w.Faults, w.Sent),
			fmt.Sprintf("the limit is %.1f%%", 100*r.Threshold),
		}, w.Failures...)...)
}

func (r Rule) assessLatency(id string, w Figures) Finding {
	value, name := w.Average, "average"
	switch r.Statistic {
	case P50:
		value, name = w.P50, "median"
	case P95:
		value, name = w.P95, "95th percentile"
	case Average:
	}
	least := int64(r.MinimumVolume)
	v := value.Seconds()
	return r.judge(id, v, v > r.Threshold && w.Delivered >= least && w.Delivered > 0, v <= hysteresis*r.Threshold || 2*w.Delivered < least,
		fmt.Sprintf("delivery takes %s (%s) over %s, median %s", Spell(value), name, Spell(r.Window), Spell(w.P50)),
		fmt.Sprintf("%d deliveries; average %s, median %s, 95th percentile %s", w.Delivered, Spell(w.Average), Spell(w.P50), Spell(w.P95)),
		fmt.Sprintf("the limit is %s", Spell(seconds(r.Threshold))))
}

// assessGrowth finds a queue that grew in each minute of the window. Messages that become
// due all at once, such as a scheduled campaign, make it grow in only one.
func (r Rule) assessGrowth(id string, s SenderFacts) Finding {
	minutes := s.Minutes[r.Window]
	grows := len(minutes) > 0
	var arrived, drained int64
	for _, m := range minutes {
		grows = grows && float64(m.Arrived-m.Drained) > r.Threshold
		arrived += m.Arrived
		drained += m.Drained
	}
	old := s.OldestDue > time.Minute
	rate := 0.0
	if n := len(minutes); n > 0 {
		rate = float64(arrived-drained) / float64(n)
	}
	f := r.judge(id, rate, grows && old && s.Due >= int64(r.MinimumVolume), !old || rate <= 0,
		fmt.Sprintf("the queue has grown by %.0f messages per minute for %s; %d are due", rate, Spell(r.Window), s.Due),
		fmt.Sprintf("%d became due and %d left", arrived, drained),
		fmt.Sprintf("the oldest has been due for %s", Spell(s.OldestDue)))
	if n := len(minutes); n > 0 && float64(minutes[n-1].Drained) >= fullRate*60*float64(s.Rate) {
		f.Severity = Warning
		f.Explanation = append(f.Explanation, fmt.Sprintf("the lane sends at its full rate of %d per second", s.Rate))
	}
	return f
}

func (r Rule) assessStall(id string, s SenderFacts) Finding {
	left := s.Windows[seconds(r.Threshold)].Left
	stalled := s.Due >= int64(max(r.MinimumVolume, 1)) && left == 0 && s.OldestDue.Seconds() >= r.Threshold
	f := r.judge(id, s.OldestDue.Seconds(), stalled, true,
		fmt.Sprintf("%d messages are due, the oldest for %s, and none is sent", s.Due, Spell(s.OldestDue)),
		"Check whether a process with the role dispatch is running, whether the sender is held or throttled, and whether WhatsApp responds.")
	if stalled && s.OldestUnpaused.Seconds() < r.Threshold {
		f.Severity = Warning
		f.Explanation = []string{"An operator has paused the due messages."}
	}
	return f
}

// Spell returns a duration in its two largest units: 5 min, 1 h 30 min, 2.5 s, or 340 ms.
func Spell(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	if d < 10*time.Second {
		return strconv.FormatFloat(d.Round(10*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	}
	d = d.Round(time.Second)
	for _, u := range []struct {
		unit, rest         time.Duration
		unitName, restName string
	}{
		{24 * time.Hour, time.Hour, "d", "h"}, {time.Hour, time.Minute, "h", "min"}, {time.Minute, time.Second, "min", "s"},
	} {
		if d < u.unit {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.unit, u.unitName)
		if rest := d % u.unit / u.rest; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, u.restName)
		}
		return text
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
