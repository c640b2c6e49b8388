package simulation

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	orphans "github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/ports/dispatch"
	"github.com/waypost/waypost/ports/dispatch/guard"
)

const (
	// cached is the number of folded messages that a process caches: so few that it has to
	// read.
	cached = 4
	// drainTimeout is the longest time a process can take to stop.
	drainTimeout = 3 * time.Second
	// checkEvery is how often a process checks whether webhooks can be recorded.
	checkEvery = time.Second
)

// process is one process of Waypost from its start to its end. The next one in its place
// is another process.
type process struct {
	w             *world
	place, number int
	ctx           context.Context //nolint:containedctx // it ends when the process does
	cancel        context.CancelFunc
	dead          bool // guarded by w.mu
	begun         time.Duration
	tasks         sync.WaitGroup

	messages   *command.Messages
	senders    *command.Senders
	queue      *command.QueueMessage
	recorder   *command.RecordWebhook
	gate       *fair.Gate
	guard      *guard.Guard
	campaigns  *repository.Campaigns
	dispatcher *dispatch.Dispatcher
}

// alive returns an error once the process has crashed or ctx has ended.
func (p *process) alive(ctx context.Context) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead {
		return errDead
	}
	return ctx.Err()
}

// run starts a process at a place.
func (w *world) run(place int) error {
	w.mu.Lock()
	w.begun++
	p := &process{w: w, place: place, number: w.begun, begun: w.now()}
	w.mu.Unlock()
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	clock := p.clock(w.dice("clock", uint64(p.number)))
	p.gate = fair.NewGate()
	log, pg := p.gate.Timed(eventLog{p}, time.Now), postgres{p}
	p.messages = command.NewMessages(log, clock, w.newID, cached)
	p.senders = command.NewSenders(log, clock, w.newID, tokens{w})
	p.queue = command.NewQueueMessage(p.messages, p.senders, prints{})
	p.campaigns = repository.NewCampaigns(log, clock, w.newID, labelIndex, w.quiet)
	p.guard = guard.New(guard.Options{Log: log, Conversations: pg, Coverage: p.coverage, Clock: clock, Logger: w.quiet})
	p.recorder = command.NewRecordWebhook(log, clock, p.messages, p.senders, pg, parse, nil, w.quiet)
	var err error
	p.dispatcher, err = dispatch.New(dispatch.Options{
		Messages: p.messages, Senders: p.senders, Source: pg, List: pg, Leases: pg, Caller: client{p},
		Policy: w.plan.policy, SettleAfterOutage: w.plan.settleAfterOutage, Process: w.newID(),
		Roles: []string{roleDispatch, roleWebhook}, Ready: p.caughtUp, Notified: func() bool { return true }, RecordingSince: p.recorder.RecordingSince, Guard: p.guard, Campaigns: p.campaigns, Gate: p.gate,
		Clock: clock, Logger: w.quiet,
	})
	if err != nil {
		p.cancel()
		return err
	}
	w.mu.Lock()
	w.living[place] = p
	w.mu.Unlock()
	joiner := orphans.NewJoinOrphans(log, command.NewReports(p.messages, p.senders), pg, clock, time.After, w.quiet)
	p.tasks.Go(func() { _ = joiner.Run(p.ctx) })                         // it ends with ctx, or with the process
	p.tasks.Go(func() { _ = p.guard.Run(p.ctx) })                        // likewise
	p.tasks.Go(func() { _ = p.campaigns.Run(p.ctx, p.dispatcher.Wake) }) // likewise
	p.tasks.Go(func() { _ = p.dispatcher.Run(p.ctx) })
	p.tasks.Go(func() {
		for w.stepWith(p.ctx, checkEvery+p.transit(w.dice("check", uint64(p.number)))) == nil {
			_ = p.recorder.Check(p.ctx) // the recorder knows what a fault means
		}
	})
	return nil
}

// clock returns the process's clock: it differs from the true time and can be slightly fast
// or slow.
func (p *process) clock(d *dice) event.Clock {
	f := &p.w.plan.faults
	begun := time.Now()
	offset := d.between(-f.offset, f.offset+1)
	rate := 1 + f.drift*pick(d, -1.0, 1.0)
	if p.w.defect == DefectFastClock {
		rate = 1.5
	}
	return func() time.Time {
		return begun.Add(offset + time.Duration(float64(time.Since(begun))*rate))
	}
}

// crash ends the process as kill -9 does: nothing it does has an effect from now on.
// Requests in transit to a store can still arrive.
func (p *process) crash() {
	p.w.mu.Lock()
	p.dead = true
	p.w.living[p.place] = nil
	p.w.mu.Unlock()
	p.cancel()
	p.w.tasks.Go(p.tasks.Wait)
}

// stop ends the process gracefully.
func (p *process) stop() {
	ctx, cancel := context.WithTimeout(p.w.ctx, drainTimeout)
	defer cancel()
	p.dispatcher.Drain(ctx)
	p.w.mu.Lock()
	p.w.living[p.place] = nil
	p.w.mu.Unlock()
	p.cancel()
	p.tasks.Wait()
	p.w.mu.Lock()
	p.dead = true
	p.w.mu.Unlock()
}

// tokens is a vault that numbers the tokens of a sender.
type tokens struct{ w *world }

// Put stores a token. WhatsApp always accepts all tokens of a sender except the first.
func (t tokens) Put(_ context.Context, senderID, token string) (string, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	id := senderID + "/" + token
	if t.w.api.token[senderID] == "" {
		t.w.api.token[senderID] = id
	}
	return id, nil
}

// prints computes fingerprints without a key.
type prints struct{}

// Fingerprint returns the parts themselves.
func (prints) Fingerprint(parts ...[]byte) string {
	var all []byte
	for _, p := range parts {
		all = append(append(all, p...), 0)
	}
	return string(all)
}

// Matches reports whether a fingerprint is that of the parts.
func (f prints) Matches(fingerprint string, parts ...[]byte) bool {
	return fingerprint == f.Fingerprint(parts...)
}

var _ command.WhatsAppIDs = postgres{}
