package simulation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

const (
	// window is the period of the rate that dispatch guarantees.
	window = 1005 * time.Millisecond
	// noticed is the time within which a hold, a pause, or a lower rate must affect all
	// calls of a lane, noticedLate the same if Postgres or its projector stalled.
	noticed     = 3 * time.Second
	noticedLate = 12 * time.Second
	// campaignNoticed is how long after its append a pause of a campaign can be unknown to another
	// process: a transit of the subscription, a read, and the time until a call is written.
	campaignNoticed = 25 * time.Millisecond
	// overdueWithin is the time within which an overdue delivery is recorded once the work list
	// can have it.
	overdueWithin = 500 * time.Millisecond
)

// watch checks everything at the time it happens. world.mu guards all of it.
type watch struct {
	seen   map[callKey]bool
	by     map[string]int // the process of a stream's last event
	paused map[string]map[string]time.Duration
	held   map[string]time.Duration
	rates  map[string][]rateSince
	// optedOut is when people opted out, by sender and number.
	optedOut map[[2]string]time.Duration
	// campaigns is when campaigns were paused, by the label.
	campaigns map[message.Label]time.Duration
	pauses    campaign.Pauses
}

type rateSince struct {
	at   time.Duration
	rate int
}

func newWatch() watch {
	return watch{
		seen: map[callKey]bool{}, by: map[string]int{}, paused: map[string]map[string]time.Duration{},
		held: map[string]time.Duration{}, rates: map[string][]rateSince{}, optedOut: map[[2]string]time.Duration{},
		campaigns: map[message.Label]time.Duration{},
	}
}

// recorded checks an event that is about to be appended to s.
func (c *watch) recorded(w *world, p *process, s *stream, r event.Recorded) {
	if id, ok := event.ParseMessageStream(r.Stream); ok {
		if e, ok := r.Event.(message.Event); ok {
			c.advances(w, s.message, id, e)
		}
		if e, ok := r.Event.(message.SendAttempted); ok {
			c.attempted(w, p, s, r, id, e)
		}
		if _, ok := r.Event.(message.DeliveryOverdue); ok {
			c.overdue(w, s, r, id)
		}
		switch e := r.Event.(type) {
		case message.Queued:
			w.stats.Paused += count(slices.ContainsFunc(e.Personal.Labels, func(l message.Label) bool {
				_, paused := c.campaigns[l]
				return paused
			}))
		case message.Suppressed:
			w.stats.Suppressed++
		case message.Substituted:
			w.stats.Substituted++
		}
		c.by[r.Stream] = p.number
		return
	}
	if r.Stream == event.CampaignsStream {
		c.pauses = c.pauses.Apply(campaign.Record{Event: r.Event, At: r.Meta.RecordedAt})
		for _, l := range campaigns() {
			_, is := c.pauses.Of(l)
			if _, was := c.campaigns[l]; is && !was {
				c.campaigns[l] = w.now()
			} else if !is {
				delete(c.campaigns, l)
			}
		}
	}
	if e, ok := r.Event.(conversation.OptedOut); ok {
		who := [2]string{e.Sender, e.Personal.Number}
		if _, already := c.optedOut[who]; !already {
			c.optedOut[who] = w.now()
		}
	}
	id, ok := strings.CutPrefix(r.Stream, event.SenderStreams)
	if !ok {
		return
	}
	switch e := r.Event.(type) {
	case sender.SenderRegistered:
		c.rates[id] = append(c.rates[id], rateSince{w.now(), e.MessagesPerSecond})
		c.paused[id] = map[string]time.Duration{}
	case sender.RateChanged:
		c.rates[id] = append(c.rates[id], rateSince{w.now(), e.MessagesPerSecond})
	case sender.SenderPaused:
		for _, priority := range e.Priorities {
			if _, already := c.paused[id][priority]; !already {
				c.paused[id][priority] = w.now()
			}
		}
	case sender.SenderResumed:
		clear(c.paused[id])
	case sender.SenderHeld:
		if _, already := c.held[id]; !already {
			c.held[id] = w.now()
		}
	case sender.SenderReleased:
		delete(c.held, id)
	}
}

// advances checks that a message that has ended changes only because of WhatsApp or an
// operator.
func (c *watch) advances(w *world, m message.Message, id uuid.UUID, e message.Event) {
	was, is := m.Status, message.Next(m.Status, e)
	if was == is || was.Open() {
		return
	}
	var may []message.Status
	switch was {
	case message.StatusRead:
	case message.StatusDelivered:
		may = []message.Status{message.StatusRead}
	case message.StatusSent:
		may = []message.Status{message.StatusDelivered, message.StatusRead, message.StatusFailed, message.StatusDeadLettered}
		if s, ok := e.(message.Substituted); ok && s.AfterAcceptance {
			return
		}
	case message.StatusDeadLettered:
		may = []message.Status{
			message.StatusQueued, message.StatusDiscarded, message.StatusSent, message.StatusDelivered, message.StatusRead,
		}
	case "":
		may = []message.Status{message.StatusQueued}
	default: // a status of a call whose response was lost can still arrive
		may = []message.Status{message.StatusSent, message.StatusDelivered, message.StatusRead}
	}
	if !slices.Contains(may, is) {
		w.violatedf("message %s moves backward from %s to %s by %s", id, was, is, e.EventType())
	}
}

// attempted checks a SendAttempted.
func (c *watch) attempted(w *world, p *process, s *stream, r event.Recorded, id uuid.UUID, e message.SendAttempted) {
	m := s.message
	at := r.Meta.RecordedAt
	switch m.Status {
	case message.StatusQueued, message.StatusRetrying, message.StatusAmbiguous:
	default:
		w.violatedf("call %d of message %s begins while it is %s", e.Call, id, m.Status)
	}
	if at.Before(m.DueAt) && !m.DueAt.Equal(m.QueuedAt) { // what is sent immediately depends on no clock
		w.violatedf("call %d of message %s begins %s before it is due", e.Call, id, m.DueAt.Sub(at))
	}
	if !m.ExpiresAt.IsZero() && !at.Before(m.ExpiresAt) {
		w.violatedf("call %d of message %s begins although it has expired", e.Call, id)
	}
	last := len(s.events) - 1
	if retry, ok := s.events[last].Event.(message.RetryScheduled); ok && c.by[r.Stream] == p.number && w.plan.faults.slow == 0 {
		delay := w.plan.policy.RetryDelays[retry.Attempt-1]
		if took := w.now() - s.at[last]; took < delay*99/100-10*time.Millisecond {
			w.violatedf("message %s is retried after %s, its delay is %s", id, took, delay)
		}
	}
	if s.requeued() {
		return // an operator decided to send it again
	}
	for n := range m.Calls {
		call := w.api.calls[callKey{id, n + 1}]
		switch {
		case call == nil:
		case call.echoed:
			w.violatedf("call %d of message %s begins although a status of call %d was acknowledged", e.Call, id, n+1)
		case w.plan.spares():
			w.violatedf("call %d of message %s begins, and the status of call %d would have come in time", e.Call, id, n+1)
		}
	}
}

// overdue checks a DeliveryOverdue.
func (c *watch) overdue(w *world, s *stream, r event.Recorded, id uuid.UUID) {
	m := s.message
	// A status can reveal after that time that a call was accepted. While the call waits for
	// its answer, the message is not looked at.
	known := m.DueAt
	if ended := w.api.ended[id]; ended.After(known) {
		known = ended
	}
	for _, r := range s.events {
		if _, ok := r.Event.(message.Sent); ok && r.Meta.RecordedAt.After(known) {
			known = r.Meta.RecordedAt
		}
	}
	late := r.Meta.RecordedAt.Sub(known)
	switch {
	case !awaitsDelivery(m):
		w.violatedf("the delivery of message %s is overdue although it is %s, overdue since %s", id, m.Status, m.OverdueSince)
	case r.Meta.RecordedAt.Before(m.DueAt):
		w.violatedf("the delivery of message %s is reported overdue %s too early", id, m.DueAt.Sub(r.Meta.RecordedAt))
	case late > overdueWithin+w.plan.faults.lag && w.plan.prompt():
		w.violatedf("the delivery of message %s is reported overdue %s late", id, late)
	}
}

// requeued reports whether an operator requeued the message.
func (s *stream) requeued() bool {
	return slices.ContainsFunc(s.events, func(r event.Recorded) bool { _, is := r.Event.(message.Requeued); return is })
}

// lookedUp is how long before a request is written its message is read from the event
// log. In between, a connection is opened.
const lookedUp = 5 * time.Millisecond

// optOutNoticed is how long after its append an opt-out can be unknown to another process: a
// transit of the subscription, and the time until a call is written.
const optOutNoticed = 15 * time.Millisecond

// written checks a request that is being written.
func (c *watch) written(w *world, key callKey, r dispatch.CallRequest) {
	s := w.messageStream(key.message)
	if s == nil || len(s.message.Calls) < key.number {
		w.violatedf("call %d of message %s is written, but no SendAttempted is recorded", key.number, key.message)
		return
	}
	if c.seen[key] {
		w.violatedf("call %d of message %s is written twice", key.number, key.message)
	}
	c.seen[key] = true
	if other, open := w.api.open[key.message]; open {
		w.violatedf("call %d of message %s is written while call %d is in flight", key.number, key.message, other.number)
	}
	c.guarded(w, key, r, s.message)
	c.campaign(w, key, s.message)
	over := []message.Status{message.StatusCancelled, message.StatusExpired, message.StatusDiscarded, message.StatusSuppressed}
	if slices.Contains(over, s.message.Status) {
		w.violatedf("call %d of message %s is written although it is %s", key.number, key.message, s.message.Status)
	}
	for n := 1; n < key.number && w.plan.faults.slow == 0 && !s.requeued(); n++ {
		if call := w.api.calls[callKey{key.message, n}]; call != nil && call.echoed && w.now()-call.echoedAt > lookedUp {
			w.violatedf("call %d of message %s is written %s after a status of call %d was acknowledged",
				key.number, key.message, w.now()-call.echoedAt, n)
		}
	}
	grace := w.grace()
	if since, held := c.held[r.SenderID]; held && w.now()-since > grace {
		w.violatedf("call %d of message %s is written %s after its sender was held", key.number, key.message, w.now()-since)
	}
	if since, paused := c.paused[r.SenderID][string(s.message.Priority)]; paused && w.now()-since > grace {
		w.violatedf("call %d of message %s is written %s after its sender was paused", key.number, key.message, w.now()-since)
	}
}

// campaign checks that a request is not of a paused campaign.
func (c *watch) campaign(w *world, key callKey, m message.Message) {
	tolerance := campaignNoticed
	if w.plan.faults.slow > 0 {
		tolerance = noticedLate
	}
	for _, l := range m.Labels {
		if since, paused := c.campaigns[l]; paused && w.now()-since > tolerance {
			w.violatedf("call %d of message %s is written %s after its campaign was paused", key.number, key.message, w.now()-since)
		}
	}
}

// guarded checks that a request is not forbidden by its recipient's choice or window. Another
// process can record the choice, which the subscription delivers.
func (c *watch) guarded(w *world, key callKey, r dispatch.CallRequest, m message.Message) {
	f := &w.plan.faults
	since, out := c.optedOut[[2]string{r.SenderID, r.To}]
	if late := w.now() - since; out && m.Priority == message.PriorityBulk && late > optOutNoticed && f.slow == 0 {
		w.violatedf("call %d of message %s is written %s after its recipient opted out", key.number, key.message, late)
	}
	if m.OutsideWindow == "" {
		return
	}
	// The process decides by its own clock.
	tolerance := f.offset + time.Duration(f.drift*float64(w.now())) + lookedUp
	if late := w.closedFor(r.To); r.Kind != message.KindTemplate && late > tolerance && w.defect == NoDefect {
		w.violatedf("call %d of message %s is written %s after the window closed", key.number, key.message, late)
	}
}

// grace returns the time within which a change of a sender must affect its lane.
func (w *world) grace() time.Duration {
	f := &w.plan.faults
	late := len(f.stalls) > 0 || f.slow > 0
	for _, spans := range f.separated {
		late = late || len(spans) > 0
	}
	if late {
		return noticedLate
	}
	return noticed
}

// checkList compares the work list with the fold of the event log, if the list has
// projected all of it.
func (w *world) checkList() {
	if w.list.next < len(w.events) {
		return
	}
	open := 0
	for name, s := range w.streams {
		id, ok := event.ParseMessageStream(name)
		if !ok || !s.message.Status.Open() {
			continue
		}
		open++
		i := w.list.items[id]
		if i == nil {
			w.violatedf("message %s is %s and not in the work list", id, s.message.Status)
			continue
		}
		want := map[message.Status]work.State{
			message.StatusQueued: work.Ready, message.StatusRetrying: work.Ready,
			message.StatusSending: work.Calling, message.StatusAmbiguous: work.Unsettled,
		}[s.message.Status]
		if i.State != want || !i.DueAt.Equal(s.message.DueAt) {
			w.violatedf("message %s is %s, due %s, and in the work list %s, due %s", id, s.message.Status, s.message.DueAt, i.State, i.DueAt)
		}
	}
	if open != len(w.list.items) {
		w.violatedf("%d messages are open, and %d are in the work list", open, len(w.list.items))
	}
}

// checkEnd checks what must hold once everything has ended.
func (w *world) checkEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkList()
	columns, queued := 0, 0
	for _, name := range slices.Sorted(maps.Keys(w.streams)) {
		s := w.streams[name]
		id, ok := event.ParseMessageStream(name)
		if !ok {
			continue
		}
		queued++
		m := s.message
		columns += count(m.Status.Column() != "")
		if m.Status.Open() {
			w.violatedf("message %s has not ended: it is %s, due %s, now %s", id, m.Status, m.DueAt.Sub(w.start), w.now())
		}
		if awaitsDelivery(m) {
			w.violatedf("message %s is %s, and its delivery, wanted by %s, is not overdue, now %s", id, m.Status, m.DueAt.Sub(w.start), w.now())
		}
		w.checkCalls(id, m)
	}
	if columns != queued {
		w.violatedf("%d messages, and %d in the columns of the ledger", queued, columns)
	}
	for id := range w.accepted {
		if w.messageStream(id) == nil {
			w.violatedf("message %s was accepted and is lost", id)
		}
	}
	w.checkRates()
}

func (w *world) checkCalls(id uuid.UUID, m message.Message) {
	taken, known, lost := 0, 0, false
	for n, c := range m.Calls {
		key := callKey{id, n + 1}
		if w.watch.seen[key] && c.Outcome == message.CallUnderWay && !acceptedBeside(m, n) {
			w.violatedf("call %d of message %s has no outcome", n+1, id)
		}
		if w.api.calls[key] != nil {
			taken++
		}
		if c.Outcome == message.CallAccepted {
			known++
			lost = lost || c.Lost
		}
	}
	w.stats.Messages++
	w.stats.TakenTwice += count(taken > 1)
	w.stats.SentTwice += count(m.SentTwice)
	if m.SentTwice && known < 2 {
		w.violatedf("message %s is counted as sent twice, but %d of its calls were accepted", id, known)
	}
	if known > 1 && lost && !m.SentTwice && !w.earlierKept(m) {
		w.violatedf("message %s was sent twice and is not counted", id)
	}
}

// acceptedBeside reports whether another call than the n-th was accepted.
func acceptedBeside(m message.Message, n int) bool {
	for other, c := range m.Calls {
		if other != n && c.Outcome == message.CallAccepted {
			return true
		}
	}
	return false
}

// earlierKept reports whether the response of no accepted call but the last was ever
// lost: then the second copy has another reason than a lost response.
func (w *world) earlierKept(m message.Message) bool {
	last := 0
	for _, c := range m.Calls {
		if c.Outcome == message.CallAccepted {
			last = c.Number
		}
	}
	for _, c := range m.Calls {
		if c.Outcome == message.CallAccepted && c.Lost && c.Number != last {
			return false
		}
	}
	return true
}

// checkRates checks the number of requests of each sender in every window.
func (w *world) checkRates() {
	bySender := make(map[string][]time.Duration)
	for _, r := range w.api.writes {
		bySender[r.sender] = append(bySender[r.sender], r.at)
	}
	for _, id := range slices.Sorted(maps.Keys(bySender)) {
		writes, first := bySender[id], 0
		slices.Sort(writes)
		for i, at := range writes {
			for at-writes[first] >= window {
				first++
			}
			if n, most := i-first+1, w.rateUntil(id, at); n > most {
				w.violatedf("%d requests of %s within %s before %s, its rate is %d", n, id, window, at, most)
				break
			}
		}
	}
}

// rateUntil returns the highest rate that can have applied in the window before at.
func (w *world) rateUntil(id string, at time.Duration) int {
	most := 0
	rates := w.watch.rates[id]
	for i, r := range rates {
		over := i+1 < len(rates) && rates[i+1].at+w.grace()+window < at
		if r.at <= at && !over {
			most = max(most, r.rate)
		}
	}
	return most
}
