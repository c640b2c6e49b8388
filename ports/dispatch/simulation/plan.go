package simulation

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// A plan is everything that a seed decides in advance.
type plan struct {
	processes int
	senders   []senderPlan
	messages  []messagePlan
	acts      []act
	// windows are when the windows of people close, by number. Those of others don't.
	windows map[string]time.Duration
	policy  message.Policy
	// settleAfterOutage is that option of dispatch.Options.
	settleAfterOutage time.Duration
	faults            faults
}

type senderPlan struct {
	id, number, account string
	rate                int
}

type messagePlan struct {
	at          time.Duration
	key         string
	sender      int
	to          string
	priority    message.Priority
	onAmbiguous message.AmbiguityPolicy
	sendAfter   time.Duration // zero for immediately
	expireAfter time.Duration // zero for never
	// deliverWithin is zero if the delivery is never overdue.
	deliverWithin time.Duration
	twice         bool // the caller repeats the request
	// outside is what to do if the recipient's window is closed; empty means to send.
	outside message.OutsideWindow
	// labels are those of its campaigns.
	labels []message.Label
}

type actKind uint8

const (
	actCancel actKind = iota
	actPause
	actResume
	actRate
	actToken
	actOptOut
	actPauseCampaign
	actResumeCampaign
)

// act is an action of an operator.
type act struct {
	at      time.Duration
	kind    actKind
	sender  int
	message int
	rate    int
	label   message.Label
}

// span is a period of virtual time, relative to the start of the run.
type span struct{ from, to time.Duration }

func (s span) has(at time.Duration) bool { return s.from <= at && at < s.to }

func within(spans []span, at time.Duration) bool {
	for _, s := range spans {
		if s.has(at) {
			return true
		}
	}
	return false
}

// faults are the failures of a run. Shares are from 0 to 1. At end, all of them are over.
type faults struct {
	end time.Duration

	// Event store: refused appends, stored appends whose response is lost, requests that
	// take seconds, and outages.
	appendRefused, appendUnknown, slow float64
	storeAway                          []span

	// Postgres: the lag of the work list behind the log, stalls of its projector, and
	// processes that cannot reach it, by place.
	lag       time.Duration
	stalls    []span
	separated map[int][]span

	// Processes, by place.
	crashes []crash
	// offset is the maximum difference of a process's clock from the true time, drift the
	// maximum share by which it runs faster or slower.
	offset time.Duration
	drift  float64

	// WhatsApp.
	refused, transient, noBody, cut, garbled, hang, permanent float64
	throttled, accountThrottled, pairThrottled                float64
	// taken is the share of calls without a response that were accepted anyway.
	taken float64
	// whatsappAway are outages during which every connection is refused, badToken the times
	// during which the senders' first tokens are invalid.
	whatsappAway []span
	badToken     map[int]span

	// Webhooks.
	statusDelay        time.Duration
	statusDropped      float64
	statusTwice        float64
	statusOutOfOrder   float64
	failedAfterwards   float64
	withoutCallback    float64
	acknowledgedInVain float64 // the response to a recorded webhook is lost
	// repeatGap is the longest wait before WhatsApp repeats a webhook.
	repeatGap time.Duration
}

// crash ends a process, gracefully or not, and starts a new one in its place.
type crash struct {
	place    int
	at, back time.Duration
	graceful bool
}

// draw returns the plan of a seed.
func draw(seed uint64) plan {
	d := &dice{state: mix(seed + 1)}
	p := plan{
		processes: pick(d, 1, 1, 1, 2, 2, 3),
		policy: message.Policy{
			RetryDelays:   []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
			CallTimeout:   d.between(time.Second, 3*time.Second),
			SettleAfter:   d.between(5*time.Second, 9*time.Second),
			ThrottleLimit: pick(d, 3, 20, 20),
		},
		settleAfterOutage: d.between(5*time.Second, 8*time.Second),
	}
	for i := range pick(d, 1, 1, 2, 3) {
		p.senders = append(p.senders, senderPlan{
			id: fmt.Sprintf("sender-%d", i), number: fmt.Sprintf("10000%d", i),
			account: pick(d, "500", "500", fmt.Sprintf("50%d", i)), rate: pick(d, 1, 2, 4, 8, 20, 80),
		})
	}
	p.drawMessages(d)
	p.drawFaults(d)
	p.drawActs(d)
	p.drawDeliveries(seed)
	p.drawPeople(seed)
	p.drawCampaigns(seed)
	return p
}

// drawPeople draws whose windows close, who opts out, and which messages are guarded. It has dice
// of its own.
func (p *plan) drawPeople(seed uint64) {
	d := &dice{state: mix(seed + 3)}
	p.windows = make(map[string]time.Duration)
	for i := range p.messages {
		m := &p.messages[i]
		if d.chance(0.5) {
			p.windows[m.to] = d.between(-time.Second, p.faults.end)
		}
		if d.chance(0.3) {
			m.outside = pick(d, message.OutsideFallback, message.OutsideFail)
		}
		if d.chance(0.1) {
			p.acts = append(p.acts, act{at: d.between(0, p.faults.end), kind: actOptOut, message: i})
		}
	}
}

// campaigns are the labels that messages can have.
func campaigns() []message.Label {
	return []message.Label{{Name: "campaign", Value: "spring"}, {Name: "campaign", Value: "autumn"}, {Name: "region", Value: "north"}}
}

// drawCampaigns draws which campaigns messages belong to, and when these are paused and resumed. It
// has dice of its own.
func (p *plan) drawCampaigns(seed uint64) {
	d := &dice{state: mix(seed + 4)}
	for i := range p.messages {
		for _, l := range campaigns() {
			if d.chance(0.3) {
				p.messages[i].labels = append(p.messages[i].labels, l)
			}
		}
	}
	for range d.below(4) {
		p.acts = append(p.acts, act{
			at: d.between(0, p.faults.end), kind: pick(d, actPauseCampaign, actPauseCampaign, actResumeCampaign), label: pick(d, campaigns()...),
		})
	}
}

// drawDeliveries draws which messages must be delivered in time. It has dice of its own, so
// that the rest of a seed's plan doesn't depend on it.
func (p *plan) drawDeliveries(seed uint64) {
	d := &dice{state: mix(seed + 2)}
	for i := range p.messages {
		if d.chance(0.3) {
			p.messages[i].deliverWithin = d.between(time.Second, 8*time.Second)
		}
	}
}

func (p *plan) drawMessages(d *dice) {
	spread := pick(d, 0, time.Second, 5*time.Second)
	for i := range 3 + d.below(14) {
		m := messagePlan{
			at: d.between(0, spread) + time.Duration(d.below(1_000_000)), key: fmt.Sprintf("key-%d", i), sender: d.below(len(p.senders)),
			to:          fmt.Sprintf("+1202555%04d", d.below(20)),
			priority:    pick(d, message.PriorityOTP, message.PriorityTransactional, message.PriorityBulk),
			onAmbiguous: pick(d, message.AmbiguityResend, message.AmbiguityResend, message.AmbiguityDeadLetter),
			twice:       d.chance(0.1),
		}
		if d.chance(0.15) {
			m.sendAfter = d.between(0, 4*time.Second)
		}
		if d.chance(0.15) {
			m.expireAfter = m.sendAfter + d.between(100*time.Millisecond, 8*time.Second)
		}
		p.messages = append(p.messages, m)
	}
}

func (p *plan) drawFaults(d *dice) {
	f := &p.faults
	f.end = d.between(4*time.Second, 9*time.Second)
	// share returns a fault's share in a run: zero in most runs.
	share := func(most float64) float64 {
		if !d.chance(0.3) {
			return 0
		}
		return most * float64(1+d.below(10)) / 10
	}
	spans := func(p float64, least, most time.Duration) []span {
		if !d.chance(p) {
			return nil
		}
		from := d.between(0, f.end)
		return []span{{from, from + d.between(least, most)}}
	}
	f.appendRefused, f.appendUnknown, f.slow = share(0.3), share(0.3), share(0.1)
	f.storeAway = spans(0.15, 500*time.Millisecond, 6*time.Second)
	f.lag = pick(d, 5*time.Millisecond, 20*time.Millisecond, 300*time.Millisecond)
	f.stalls = spans(0.2, 500*time.Millisecond, 5*time.Second)
	f.separated = map[int][]span{}
	for place := range p.processes {
		f.separated[place] = spans(0.15, time.Second, 7*time.Second)
		for at := d.between(0, f.end); d.chance(0.35) && at < f.end; at += d.between(time.Second, 5*time.Second) {
			back := at + d.between(50*time.Millisecond, 6*time.Second)
			f.crashes = append(f.crashes, crash{place: place, at: at, back: back, graceful: d.chance(0.3)})
			at = back
		}
	}
	f.offset = pick(d, 0, 20*time.Millisecond, 500*time.Millisecond, 10*time.Second)
	f.drift = pick(d, 0, 0, 0.005)
	f.refused, f.transient, f.noBody = share(0.5), share(0.6), share(0.4)
	f.cut, f.garbled, f.hang, f.permanent = share(0.5), share(0.3), share(0.2), share(0.3)
	f.throttled, f.accountThrottled, f.pairThrottled = share(0.3), share(0.1), share(0.2)
	f.taken = pick(d, 0, 0.5, 1)
	f.whatsappAway = spans(0.15, time.Second, 8*time.Second)
	f.badToken = map[int]span{}
	for i := range p.senders {
		if d.chance(0.12) {
			from := d.between(0, f.end)
			f.badToken[i] = span{from, from + d.between(time.Second, 8*time.Second)}
		}
	}
	f.repeatGap = 3 * time.Second // shorter than every wait for a webhook after an outage
	f.statusDelay = pick(d, 20*time.Millisecond, 300*time.Millisecond, time.Second, time.Second, 20*time.Second)
	f.statusDropped, f.statusTwice, f.statusOutOfOrder = share(0.3), share(0.5), share(1)
	f.failedAfterwards, f.withoutCallback, f.acknowledgedInVain = share(0.2), share(0.3), share(0.3)
}

func (p *plan) drawActs(d *dice) {
	for range d.below(4) {
		a := act{
			at: d.between(0, p.faults.end), kind: pick(d, actCancel, actCancel, actPause, actResume, actRate, actToken),
			sender: d.below(len(p.senders)), message: d.below(len(p.messages)), rate: pick(d, 1, 4, 20, 80),
		}
		p.acts = append(p.acts, a)
	}
}

// spares reports whether every status arrives in time to settle its call. Then no lost
// response may lead to a second copy.
func (p *plan) spares() bool {
	f := &p.faults
	return f.statusDropped == 0 && f.withoutCallback == 0 && f.statusDelay <= time.Second && f.offset < time.Second && p.processes == 1
}

// prompt reports whether nothing but WhatsApp can delay what dispatch does.
func (p *plan) prompt() bool {
	f := &p.faults
	separated := 0
	for _, spans := range f.separated {
		separated += len(spans)
	}
	return p.processes == 1 && len(f.crashes)+len(f.storeAway)+len(f.stalls)+separated == 0 &&
		f.appendRefused == 0 && f.appendUnknown == 0 && f.slow == 0
}
