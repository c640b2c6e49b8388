package simulation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// Report is the result of a run.
type Report struct {
	Seed uint64
	// Digest covers everything that happened, and when.
	Digest uint64
	// Violations is empty if all invariants hold.
	Violations []string
	Stats      Stats
	// History returns the events and the requests, one per line.
	History func() string
}

// Stats counts what happened in a run.
type Stats struct {
	Messages, Events, Calls, Accepted, Lost, Refused, NotCalled int
	Webhooks, Acknowledged, Crashes, DeadLetters, Overdue       int
	Suppressed, Substituted                                     int
	// Paused counts the messages that were accepted by Waypost while their campaign was paused.
	Paused int
	// TakenTwice counts the messages that WhatsApp accepted two requests of, SentTwice
	// those that Waypost knows to be sent twice.
	TakenTwice, SentTwice int
	// Took is in virtual time.
	Took time.Duration
}

// Add returns the sum of s and o.
func (s Stats) Add(o Stats) Stats {
	return Stats{
		Messages: s.Messages + o.Messages, Events: s.Events + o.Events, Calls: s.Calls + o.Calls, Accepted: s.Accepted + o.Accepted,
		Lost: s.Lost + o.Lost, Refused: s.Refused + o.Refused, NotCalled: s.NotCalled + o.NotCalled, Webhooks: s.Webhooks + o.Webhooks,
		Acknowledged: s.Acknowledged + o.Acknowledged, Crashes: s.Crashes + o.Crashes, DeadLetters: s.DeadLetters + o.DeadLetters, Overdue: s.Overdue + o.Overdue,
		Suppressed: s.Suppressed + o.Suppressed, Substituted: s.Substituted + o.Substituted, Paused: s.Paused + o.Paused,
		TakenTwice: s.TakenTwice + o.TakenTwice, SentTwice: s.SentTwice + o.SentTwice, Took: s.Took + o.Took,
	}
}

// Run runs a seed, with a defect unless it is NoDefect. It must be called in a synctest
// bubble of its own. Elsewhere it takes minutes of real time.
func Run(ctx context.Context, seed uint64, defect Defect) Report {
	return play(ctx, seed, draw(seed), defect)
}

func play(ctx context.Context, seed uint64, p plan, defect Defect) Report {
	w := playWorld(ctx, seed, p, defect)
	return Report{Seed: seed, Digest: w.digest, Violations: w.violations, Stats: w.stats, History: w.history}
}

func playWorld(ctx context.Context, seed uint64, p plan, defect Defect) *world {
	w := newWorld(seed, p, defect)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.ctx = ctx
	w.projecting.Go(func() { w.project(ctx) })
	w.desk = w.frontDesk()
	w.register()
	for place := range p.processes {
		w.step(w.dice("start", uint64(place)).between(time.Microsecond, 20*time.Millisecond))
		w.mustRun(place)
	}
	for _, m := range p.messages {
		w.callers.Go(func() { w.send(m) })
	}
	for _, a := range p.acts {
		w.callers.Go(func() { w.act(a) })
	}
	for place := range p.processes {
		w.callers.Go(func() { w.crashes(place) })
	}
	w.step(p.faults.end)
	w.callers.Wait()
	w.resume()
	w.settle()
	w.attend()
	w.settle()
	for _, p := range w.living {
		if p != nil {
			p.stop()
		}
	}
	w.waitForList()
	cancel()
	w.tasks.Wait()
	w.desk.cancel()
	w.projecting.Wait()
	w.checkEnd()
	w.stats.Took = w.now()
	return w
}

// frontDesk returns a process that dispatches nothing and never fails. Callers and
// operators use it while no other process is alive.
func (w *world) frontDesk() *process {
	p := &process{w: w, place: -1}
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	log := eventLog{p}
	p.messages = command.NewMessages(log, time.Now, w.newID, cached)
	p.senders = command.NewSenders(log, time.Now, w.newID, tokens{w})
	p.queue = command.NewQueueMessage(p.messages, p.senders, prints{})
	p.campaigns = repository.NewCampaigns(log, time.Now, w.newID, labelIndex, w.quiet)
	return p
}

var person = event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: "person"}}

// insist repeats do until no fault of the event store makes it fail.
func (w *world) insist(kind string, id uint64, do func(p *process) error) {
	d := w.dice(kind, id)
	for range 200 {
		p := w.someone(d)
		if p == nil {
			p = w.desk
		}
		err := do(p)
		var fault *domain.Error
		if err == nil || errors.As(err, &fault) && fault.Code != domain.CodeUnavailable && fault.Code != domain.CodeInternal {
			return
		}
		w.step(d.between(50*time.Millisecond, 500*time.Millisecond))
	}
}

func (w *world) register() {
	for i, s := range w.plan.senders {
		w.insist("register", uint64(i), func(*process) error {
			_, err := w.desk.senders.Register(w.ctx, sender.Registration{
				ID: s.id, Name: s.id, PhoneNumberID: s.number, BusinessAccountID: s.account, Rate: s.rate,
			}, "first", person)
			return err
		})
	}
}

func (w *world) mustRun(place int) {
	if err := w.run(place); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.violatedf("a process could not start: %v", err)
	}
}

// send queues a message, and repeats that until it gets the result.
func (w *world) send(m messagePlan) {
	w.step(m.at)
	now := time.Now()
	r := message.Request{
		Sender: w.plan.senders[m.sender].id, To: m.to, Content: message.Text{Body: "Hello"}, Priority: m.priority,
		OnAmbiguous: m.onAmbiguous, IdempotencyKey: m.key, Labels: m.labels,
	}
	if m.sendAfter > 0 {
		r.SendAt = now.Add(m.sendAfter)
	}
	if m.expireAfter > 0 {
		r.ExpiresAt = now.Add(m.expireAfter)
	}
	if m.deliverWithin > 0 {
		r.DeliverWithin = &m.deliverWithin
	}
	if m.outside != "" {
		r.OutsideWindow = m.outside
	}
	if m.outside == message.OutsideFallback {
		r.Fallback = &message.Template{Name: "reminder", Language: message.Language{Code: "en"}}
	}
	for range 1 + count(m.twice) {
		w.insist("queue", hash(m.key), func(p *process) error {
			q, err := p.queue.Handle(p.ctx, r, person)
			if err == nil {
				w.mu.Lock()
				w.accepted[q.ID] = true
				w.mu.Unlock()
			}
			return err
		})
	}
}

// act runs an action of an operator.
func (w *world) act(a act) {
	w.step(a.at)
	id := w.plan.senders[a.sender].id
	key := uint64(a.at)
	switch a.kind {
	case actCancel:
		m := w.plan.messages[a.message]
		message := message.ID(w.plan.senders[m.sender].id, m.key)
		w.insist("cancel", key, func(p *process) error {
			_, err := p.messages.Cancel(p.ctx, message, "no need", person)
			return err
		})
	case actOptOut:
		w.optOut(key, w.plan.messages[a.message])
	case actPauseCampaign:
		w.insist("pause campaign", key, func(p *process) error {
			_, err := p.campaigns.Pause(p.ctx, a.label, "a pause", person)
			return err
		})
	case actResumeCampaign:
		w.resumeCampaign(key, a.label)
	case actPause:
		w.change(key, id, func(s sender.Sender) ([]domain.Event, error) { return sender.Pause(s, nil, "a pause") })
	case actResume:
		w.change(key, id, sender.Resume)
	case actRate:
		w.change(key, id, func(s sender.Sender) ([]domain.Event, error) { return sender.SetRate(s, a.rate) })
	case actToken:
		w.insist("token", key, func(p *process) error {
			_, err := p.senders.Update(p.ctx, id, sender.Changes{}, fmt.Sprintf("token-%d", a.at), person)
			return err
		})
	}
}

func (w *world) change(key uint64, id string, decide func(sender.Sender) ([]domain.Event, error)) {
	w.insist("change", key, func(p *process) error {
		_, err := p.senders.Change(p.ctx, id, person, decide)
		return err
	})
}

// crashes ends the processes of a place as planned, and starts new ones.
func (w *world) crashes(place int) {
	for _, c := range w.plan.faults.crashes {
		if c.place != place {
			continue
		}
		w.step(c.at - w.now())
		w.mu.Lock()
		p := w.living[place]
		w.stats.Crashes++
		w.mu.Unlock()
		switch {
		case p == nil:
		case c.graceful:
			p.stop()
		default:
			p.crash()
		}
		w.step(c.back - w.now())
		w.mustRun(place)
	}
}

func (w *world) resumeCampaign(key uint64, l message.Label) {
	w.insist("resume campaign", key, func(p *process) error {
		_, _, err := p.campaigns.Resume(p.ctx, l, person)
		return err
	})
}

// resume resumes the senders and campaigns that operators paused.
func (w *world) resume() {
	for i, l := range campaigns() {
		w.resumeCampaign(uint64(i), l)
	}
	for i, s := range w.plan.senders {
		w.change(uint64(i), s.id, sender.Resume)
	}
}

// settle waits until all messages have ended, all webhooks are acknowledged, and no
// delivery is awaited.
func (w *world) settle() {
	for end := w.now() + patience; w.now() < end; w.step(look) {
		w.mu.Lock()
		rest := w.open == 0 && w.awaited == 0 && len(w.api.open) == 0 && w.api.pending == 0
		w.mu.Unlock()
		if rest {
			return
		}
	}
}

// attend decides about the dead letters: some are requeued, some are discarded.
func (w *world) attend() {
	w.mu.Lock()
	var dead []uuid.UUID
	for name, s := range w.streams {
		if id, ok := event.ParseMessageStream(name); ok && s.message.Status == message.StatusDeadLettered {
			dead = append(dead, id)
		}
	}
	w.mu.Unlock()
	slices.SortFunc(dead, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range dead {
		d := w.dice("dead letter", idOf(id))
		decide := pick(d, (*command.Messages).Requeue, (*command.Messages).Discard, nil)
		if decide == nil {
			continue
		}
		w.insist("attend", idOf(id), func(p *process) error {
			_, err := decide(p.messages, p.ctx, id, "attended to", person)
			return err
		})
	}
}

// waitForList waits until the work list has projected the whole event log.
func (w *world) waitForList() {
	for range 1000 {
		w.mu.Lock()
		seen := w.list.next == len(w.events)
		w.mu.Unlock()
		if seen {
			return
		}
		w.step(look)
	}
}

// history returns the event log in readable form.
func (w *world) history() string {
	var b strings.Builder
	index := make(map[string]int)
	writes := slices.Clone(w.api.writes)
	slices.SortFunc(writes, func(a, b write) int { return cmp.Compare(a.at, b.at) })
	for _, r := range w.events {
		i := index[r.Stream]
		index[r.Stream]++
		at := w.streams[r.Stream].at[i]
		for len(writes) > 0 && writes[0].at <= at {
			fmt.Fprintf(&b, "%14s  %s  call %d written\n", writes[0].at, writes[0].key.message, writes[0].key.number)
			writes = writes[1:]
		}
		data, _ := json.Marshal(r.Event) // events can always be encoded
		fmt.Fprintf(&b, "%14s  %s/%d %s %s\n", at, r.Stream, r.Revision, r.Type, data)
	}
	for _, c := range writes {
		fmt.Fprintf(&b, "%14s  %s  call %d written\n", c.at, c.key.message, c.key.number)
	}
	return b.String()
}
