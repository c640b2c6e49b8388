package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// WhatsApp error codes that the model returns.
const (
	codeAuth       = 190
	codeAccountCap = 80007
	codeNumberCap  = 130429
	codePairCap    = 131056
	codeTransient  = 131000
	codeRecipient  = 131026
	codeWindow     = 131047
)

// cloud is the Cloud API on WhatsApp's side.
type cloud struct {
	calls map[callKey]*cloudCall
	// open are the requests in flight by message: at most one each.
	open map[uuid.UUID]callKey
	// ended is when the last request of a message ended.
	ended   map[uuid.UUID]time.Time
	writes  []write
	pending int               // webhooks that are not acknowledged
	token   map[string]string // the valid token of each sender; if missing, the first one
}

type callKey struct {
	message uuid.UUID
	number  int
}

// cloudCall is a request as WhatsApp received it.
type cloudCall struct {
	accepted bool
	wamid    string
	// echoed is set once a status of it was acknowledged; echoedAt is the first time.
	echoed   bool
	echoedAt time.Duration
}

// write is a request that was written.
type write struct {
	at     time.Duration
	sender string
	key    callKey
}

// client is the Cloud API as one process uses it.
type client struct{ p *process }

// fate is the outcome of a request.
type fate uint8

const (
	fateAccepted fate = iota
	fateRefused       // the connection is refused
	fateTransient
	fateNoBody
	fateCut
	fateGarbled
	fateHang
	fatePermanent
	fateThrottled
	fateAccountThrottled
	fatePairThrottled
)

func (w *world) fate(d *dice) fate {
	f := &w.plan.faults
	if !w.faulty() {
		return fateAccepted
	}
	if within(f.whatsappAway, w.now()) {
		return fateRefused
	}
	for _, c := range []struct {
		share float64
		fate  fate
	}{
		{f.refused, fateRefused},
		{f.transient, fateTransient},
		{f.noBody, fateNoBody},
		{f.cut, fateCut},
		{f.garbled, fateGarbled},
		{f.hang, fateHang},
		{f.permanent, fatePermanent},
		{f.throttled, fateThrottled},
		{f.accountThrottled, fateAccountThrottled},
		{f.pairThrottled, fatePairThrottled},
	} {
		if d.chance(c.share) {
			return c.fate
		}
	}
	return fateAccepted
}

// Send makes a call.
func (c client) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	p, w := c.p, c.p.w
	if p.alive(ctx) != nil {
		return message.NotCalled{}
	}
	key := callKey{r.MessageID, r.Call}
	d := w.dice("call", idOf(r.MessageID)^uint64(r.Call))
	fate := w.fate(d)
	connecting := d.between(100*time.Microsecond, 3*time.Millisecond)
	if w.defect == DefectEarlyStamps {
		r.Written(time.Now())
		connecting += d.between(0, time.Second)
	}
	if w.stepWith(ctx, connecting) != nil || p.alive(ctx) != nil {
		return message.NotCalled{}
	}
	if fate == fateRefused {
		return refused(0, 0, message.ClassTransient, message.CategoryNetwork)
	}
	ctx, cancel := context.WithTimeout(ctx, w.plan.policy.CallTimeout-connecting)
	defer cancel()
	r.Written(time.Now())
	w.mu.Lock()
	w.write(key, r)
	w.mu.Unlock()
	taken := fate == fateCut || fate == fateGarbled || (fate == fateNoBody || fate == fateHang) && d.chance(w.plan.faults.taken)
	result, err := w.serve(ctx, d, key, r, fate, taken)
	if w.defect == DefectRepeatingTransport && err != nil && p.alive(ctx) == nil {
		w.mu.Lock()
		w.write(key, r)
		w.mu.Unlock()
	}
	w.mu.Lock()
	delete(w.api.open, r.MessageID)
	w.api.ended[r.MessageID] = time.Now()
	w.mu.Unlock()
	if err != nil {
		return message.Lost{Cause: err.Error()}
	}
	return result
}

var errCut = errors.New("the connection was cut")

// serve processes a request that was written, on WhatsApp's side.
func (w *world) serve(
	ctx context.Context, d *dice, key callKey, r dispatch.CallRequest, fate fate, taken bool,
) (message.CallResult, error) {
	latency := d.between(5*time.Millisecond, 80*time.Millisecond)
	if d.chance(0.05) {
		latency = d.between(100*time.Millisecond, 700*time.Millisecond)
	}
	// A request that arrived is processed whether or not its caller still waits.
	w.step(latency / 2)
	w.mu.Lock()
	if !w.validToken(r.SenderID, r.TokenID) {
		w.mu.Unlock()
		return refused(401, codeAuth, message.ClassSender, message.CategoryAuth), w.stepWith(ctx, latency/2)
	}
	if r.Kind != message.KindTemplate && w.closedFor(r.To) > 0 && w.messageStream(r.MessageID).message.OutsideWindow != "" {
		w.mu.Unlock()
		return refused(400, codeWindow, message.ClassPermanent, message.CategoryPolicy), w.stepWith(ctx, latency/2)
	}
	wamid := ""
	if fate == fateAccepted || taken {
		wamid = w.accept(key, r, d)
	}
	w.mu.Unlock()
	if fate == fateHang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := w.stepWith(ctx, latency/2); err != nil {
		return nil, err
	}
	switch fate {
	case fateCut:
		return nil, errCut
	case fateNoBody:
		return message.Lost{Cause: "no body", HTTPStatus: 502}, nil
	case fateGarbled:
		return message.Lost{Cause: "half a body", HTTPStatus: 200}, nil
	case fateTransient:
		return refused(500, codeTransient, message.ClassTransient, message.CategoryServer), nil
	case fatePermanent:
		return refused(400, codeRecipient, message.ClassPermanent, message.CategoryRecipient), nil
	case fateThrottled:
		return throttled(codeNumberCap, message.ScopeNumber, d), nil
	case fateAccountThrottled:
		return throttled(codeAccountCap, message.ScopeAccount, d), nil
	case fatePairThrottled:
		return throttled(codePairCap, message.ScopePair, d), nil
	case fateAccepted, fateRefused, fateHang:
	}
	return message.Accepted{WhatsAppID: wamid}, nil
}

func refused(status, code int, class message.Class, category message.Category) message.Refused {
	f := message.Failure{Class: class, Category: category, HTTPStatus: status, Message: "refused"}
	if code != 0 {
		f.Code = &code
	}
	return message.Refused{Failure: f, Unreachable: class == message.ClassTransient && (status == 0 || status >= 500)}
}

func throttled(code int, scope message.ThrottleScope, d *dice) message.Refused {
	r := refused(400, code, message.ClassThrottled, message.CategoryRateLimit)
	r.Scope, r.RetryAfterSeconds = scope, pick(d, 0, 0, 2)
	return r
}

// validToken reports whether WhatsApp accepts a token. The caller must hold w.mu.
func (w *world) validToken(senderID, tokenID string) bool {
	for i, s := range w.plan.senders {
		if s.id != senderID {
			continue
		}
		bad, has := w.plan.faults.badToken[i]
		return !has || tokenID != w.api.token[senderID] || !bad.has(w.now())
	}
	return false
}

// write records a request that was written. The caller must hold w.mu.
func (w *world) write(key callKey, r dispatch.CallRequest) {
	w.watch.written(w, key, r)
	w.api.writes = append(w.api.writes, write{w.now(), r.SenderID, key})
	w.api.open[r.MessageID] = key
	w.stats.Calls++
	w.note("write", idOf(r.MessageID), uint64(r.Call))
}

// accept accepts a message and schedules its statuses. The caller must hold w.mu.
func (w *world) accept(key callKey, r dispatch.CallRequest, d *dice) string {
	c := &cloudCall{accepted: true, wamid: fmt.Sprintf("wamid.%s.%d", key.message, key.number)}
	w.api.calls[key] = c
	w.stats.Accepted++
	kinds := []message.StatusKind{message.ReportSent, message.ReportDelivered, message.ReportRead}
	f := &w.plan.faults
	if w.faulty() && d.chance(f.failedAfterwards) {
		kinds = []message.StatusKind{message.ReportFailed}
	} else {
		kinds = kinds[:1+d.below(3)]
	}
	outOfOrder := d.chance(f.statusOutOfOrder)
	var delay time.Duration
	for _, k := range kinds {
		if outOfOrder {
			delay = 0
		}
		delay += d.between(time.Millisecond, f.statusDelay)
		if d.chance(f.statusDropped) {
			continue
		}
		s := webhook.Status{
			Origin: webhook.Origin{PhoneNumberID: r.PhoneNumberID}, Kind: k, WhatsAppID: c.wamid,
			MessageID: key.message, Call: key.number, At: time.Now().Add(delay).Truncate(time.Second),
		}
		if d.chance(f.withoutCallback) {
			s.MessageID, s.Call = uuid.Nil, 0
		}
		if k == message.ReportFailed {
			failure := refused(0, pick(d, codeTransient, codeRecipient), message.ClassTransient, message.CategoryServer).Failure
			if *failure.Code == codeRecipient {
				failure.Class = message.ClassPermanent
			}
			s.Failure = &failure
		}
		for range 1 + count(d.chance(f.statusTwice)) {
			after := delay + d.between(0, 200*time.Millisecond)
			id := uint64(w.stats.Webhooks)
			w.stats.Webhooks++
			w.api.pending++
			w.tasks.Go(func() { w.deliver(key, s, after, idOf(key.message)^hash(string(k))^id) })
		}
	}
	return c.wamid
}

// deliver sends a webhook to one of the living processes, again and again until it is
// acknowledged.
func (w *world) deliver(key callKey, s webhook.Status, after time.Duration, id uint64) {
	d := w.dice("webhook", id)
	w.step(after)
	raw, err := json.Marshal([]webhook.Status{s})
	if err != nil {
		w.mu.Lock()
		w.violatedf("webhook: %v", err)
		w.mu.Unlock()
		return
	}
	for gap := 100 * time.Millisecond; ; gap = min(2*gap, w.plan.faults.repeatGap) {
		if p := w.someone(d); p != nil {
			var err error
			if w.defect != DefectIgnoredEchoes || d.chance(0.5) {
				recording := p.gate.Begin(time.Now())
				err = p.recorder.Handle(p.ctx, raw, "delivery")
				p.gate.End(recording, time.Now())
			}
			w.mu.Lock()
			acknowledged := err == nil && !p.dead
			if acknowledged {
				w.stats.Acknowledged++
				if c := w.api.calls[key]; s.Call != 0 && !c.echoed {
					c.echoed, c.echoedAt = true, w.now()
				}
			}
			again := w.faulty() && d.chance(w.plan.faults.acknowledgedInVain)
			if acknowledged && !again {
				w.api.pending--
			}
			w.mu.Unlock()
			if acknowledged && !again {
				return
			}
		}
		if w.stepWith(w.ctx, gap+d.between(0, 10*time.Millisecond)) != nil {
			return
		}
	}
}

// someone returns a living process, or nil if there is none.
func (w *world) someone(d *dice) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	living := slices.DeleteFunc(slices.Clone(w.living), func(p *process) bool { return p == nil })
	if len(living) == 0 {
		return nil
	}
	return living[d.below(len(living))]
}

// parse decodes the webhooks of deliver.
func parse(raw []byte) webhook.Delivery {
	var d webhook.Delivery
	if err := json.Unmarshal(raw, &d.Statuses); err != nil {
		d.Parked = []webhook.Parked{{Reason: err.Error(), Raw: raw}}
	}
	return d
}

// Probe asks WhatsApp whether a sender can send.
func (c client) Probe(ctx context.Context, s sender.Sender) (bool, message.Failure, error) {
	p, w := c.p, c.p.w
	d := w.dice("probe", hash(s.ID)^uint64(p.number))
	if err := w.stepWith(ctx, d.between(5*time.Millisecond, 80*time.Millisecond)); err != nil {
		return false, message.Failure{}, err
	}
	if err := p.alive(ctx); err != nil {
		return false, message.Failure{}, err
	}
	if w.faulty() && within(w.plan.faults.whatsappAway, w.now()) {
		return false, message.Failure{}, errCut
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.validToken(s.ID, s.TokenID) {
		return false, refused(401, codeAuth, message.ClassSender, message.CategoryAuth).Failure, nil
	}
	return true, message.Failure{}, nil
}
