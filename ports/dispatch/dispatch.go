package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// heartbeatEvery, leaseTTL and leaseMargin: a process that misses three beats
	// has lost its lanes, and stops a second before another may take them.
	heartbeatEvery = time.Second
	leaseTTL       = 4 * time.Second
	leaseMargin    = time.Second
	// claimEvery is how often lanes are asked for or given back while this process
	// does not own all, so that those of a dead one stand still less than 5 s.
	claimEvery = 250 * time.Millisecond
	// leaseTimeout bounds a question to the leases.
	leaseTimeout = 2 * time.Second
	// tendEvery is how often held lanes and the inbound count are looked after.
	tendEvery = 100 * time.Millisecond
	// sendersGap is the least time between two readings of the senders when the
	// work-list moves on, sendersEvery the most.
	sendersGap   = 100 * time.Millisecond
	sendersEvery = time.Second
	// recordReserve is the part of a drain's time that is kept to record lost
	// answers: at most this, and at most a quarter.
	recordReserve = time.Second
)

// SenderSource lists the senders as the read model has them.
type SenderSource interface {
	Senders(ctx context.Context) ([]sender.Sender, error)
}

// Options are what a Dispatcher works with. All are required but where said.
type Options struct {
	Messages *command.Messages
	Senders  *command.Senders
	Source   SenderSource
	List     work.List
	Leases   work.Leases
	Caller   Caller
	Policy   message.Policy
	// PairLimit keeps each lane within Meta's limit for one recipient: a message in
	// 6 s, and bursts of 45.
	PairLimit bool
	// HoldsTemplate tells the error codes that say of a template, and not of a
	// message, that it cannot be sent for now. Nil: none does.
	HoldsTemplate func(code int) bool
	// SettleAfterOutage is how long after webhooks are recorded again a lost
	// answer from before waits for its status.
	SettleAfterOutage time.Duration
	// Process is this process among all that share the lanes, Roles what it does.
	Process uuid.UUID
	Roles   []string
	// Ready reports whether the work-list has caught up with the log; nothing is
	// begun before.
	Ready func() bool
	// RecordingSince is since when this process has recorded webhooks without a
	// break, zero if it does not. Nil: it does not.
	RecordingSince func() time.Time
	// Inbound counts what came in since a time, by sender. Nil: nothing does.
	Inbound func(ctx context.Context, since time.Time) (map[string]int, error)
	// Trace follows the messages; nil: nobody does.
	Trace *trace.Tracer
	// Clock tells the platform's time.
	Clock  command.Clock
	Logger *slog.Logger
}

func (o Options) validate() error {
	for name, missing := range map[string]bool{
		"Messages": o.Messages == nil, "Senders": o.Senders == nil, "Source": o.Source == nil, "List": o.List == nil,
		"Leases": o.Leases == nil, "Caller": o.Caller == nil, "Process": o.Process == uuid.Nil,
		"Ready": o.Ready == nil, "Clock": o.Clock == nil, "Logger": o.Logger == nil,
		"Policy.CallTimeout": o.Policy.CallTimeout <= 0,
	} {
		if missing {
			return fmt.Errorf("dispatch needs %s", name)
		}
	}
	return nil
}

// Dispatcher sends what is due on the lanes that this process owns.
type Dispatcher struct {
	messages          *command.Messages
	senders           *command.Senders
	source            SenderSource
	list              work.List
	leases            work.Leases
	caller            Caller
	policy            message.Policy
	pairLimit         bool
	holdsTemplate     func(int) bool
	settleAfterOutage time.Duration
	process           uuid.UUID
	roles             []string
	ready             func() bool
	recorder          func() time.Time
	inbound           func(context.Context, time.Time) (map[string]int, error)
	trace             *trace.Tracer
	clock             command.Clock
	log               *slog.Logger

	sub *Subscriber
	// calling is cancelled when a drain gives up on the calls under way, recording
	// when it is over. Neither ends with the context of Run.
	calling, recording       context.Context //nolint:containedctx // they end in another goroutine than they are used in
	stopCalling, stopRecords context.CancelFunc
	drained                  chan struct{}
	drain                    sync.Once
	claim                    chan struct{}  // a sender is new: its lane is to be claimed
	watchers                 sync.WaitGroup // of messages handed out, and of probes

	mu         sync.Mutex
	started    bool
	joined     bool // the work-list had caught up: this process takes lanes
	stopping   bool
	lanes      map[string]*lane
	known      map[uuid.UUID]*flight
	done       []*flight
	leads      leadTime
	recordings int       // flights that are recording
	lookAt     time.Time // when the subscriber looks for what is to be handed out
	working    int
	nacks      int
	all        map[string]sender.Sender // every sender, of other processes too
	allAt      time.Time
	throttles  map[scope]*throttle
	// leasedTill is until when the lanes are this process's own, renewedTill until when
	// its lease is, by the monotonic clock. The two differ once the lease had lapsed,
	// until it is known which lanes others have taken meanwhile.
	leasedTill, renewedTill time.Time
	recordingSince          time.Time
	recordingNow            bool
}

// New makes a Dispatcher. Nothing starts before Run.
func New(o Options) (*Dispatcher, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.RecordingSince == nil {
		o.RecordingSince = func() time.Time { return time.Time{} }
	}
	if o.HoldsTemplate == nil {
		o.HoldsTemplate = func(int) bool { return false }
	}
	d := &Dispatcher{
		messages: o.Messages, senders: o.Senders, source: o.Source, list: o.List, leases: o.Leases, caller: o.Caller,
		policy: o.Policy, pairLimit: o.PairLimit, holdsTemplate: o.HoldsTemplate, settleAfterOutage: o.SettleAfterOutage, process: o.Process, roles: o.Roles, ready: o.Ready,
		recorder: o.RecordingSince, inbound: o.Inbound, trace: o.Trace, clock: o.Clock, log: o.Logger,
		drained: make(chan struct{}), claim: make(chan struct{}, 1),
		lanes: make(map[string]*lane), known: make(map[uuid.UUID]*flight),
		all: make(map[string]sender.Sender), throttles: make(map[scope]*throttle),
	}
	d.sub = newSubscriber(d)
	return d, nil
}

// Wake says that the work-list or a sender has changed. It never blocks for long.
func (d *Dispatcher) Wake() {
	d.mu.Lock()
	for _, l := range d.lanes {
		l.arrived("")
	}
	d.mu.Unlock()
	signal(d.sub.wake)
}

// WakeFor is Wake for what the work-list has anew: other lanes and priorities are not
// looked at if they had nothing more.
func (d *Dispatcher) WakeFor(arrivals []work.Arrival) {
	if len(arrivals) == 0 {
		return
	}
	d.mu.Lock()
	for _, a := range arrivals {
		if l := d.lanes[a.Sender]; l != nil {
			l.arrived(a.Priority)
		}
	}
	d.mu.Unlock()
	signal(d.sub.wake)
}

// Owns reports whether this process sends for a sender.
func (d *Dispatcher) Owns(sender string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[sender] != nil
}

// Shares reports whether other processes send for some of the senders.
func (d *Dispatcher) Shares() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lanes) != len(d.all)
}

// routerLogger takes what the router tells of its own comings and goings for talk.
func routerLogger(log *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
}

// Run sends until Drain is over or ctx ends; then the answers of calls under way
// are given up and recorded as lost. It may be called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	router, err := wm.NewRouter(wm.RouterConfig{CloseTimeout: leaseTTL}, routerLogger(d.log))
	if err != nil {
		return fmt.Errorf("make the dispatch router: %w", err)
	}
	router.AddConsumerHandler("dispatch", Topic, d.sub, d.handle)

	d.mu.Lock()
	if d.started {
		d.mu.Unlock()
		return errors.New("dispatch runs already")
	}
	d.started = true
	lasting := context.WithoutCancel(ctx)
	d.calling, d.stopCalling = context.WithCancel(lasting)
	d.recording, d.stopRecords = context.WithCancel(lasting)
	d.mu.Unlock()
	defer d.stopCalling()
	defer d.stopRecords()

	tending, stopTending := context.WithCancel(lasting)
	var tasks sync.WaitGroup
	tasks.Go(func() { d.leaseLoop(tending) })
	tasks.Go(func() { every(tending, tendEvery, func() { d.tend(tending) }) })
	// This asks nobody anything: when Postgres hangs, so does what asks it, and the
	// lease ends.
	tasks.Go(func() { every(tending, tendEvery, d.abandonUnwritten) })
	routed := make(chan error, 1)
	tasks.Go(func() { routed <- router.Run(lasting) })
	select {
	case <-router.Running():
	case err := <-routed: // it could not start
		stopTending()
		tasks.Wait()
		return fmt.Errorf("start the dispatch router: %w", err)
	}

	select {
	case <-d.drained:
	case <-ctx.Done():
		given, cancel := context.WithTimeout(lasting, 2*recordReserve)
		d.Drain(given)
		cancel()
	}
	// The router would wait for the handlers as well, but with its locks held.
	ending, cancel := context.WithTimeout(lasting, leaseTTL)
	d.idle(ending)
	cancel()
	err = router.Close()
	d.watchers.Wait()
	d.release(lasting)
	stopTending()
	tasks.Wait()
	return errors.Join(err, <-routed)
}

// Drain begins nothing any more and waits for the calls under way and their
// records. Shortly before ctx ends it gives the answers up that are still out,
// and records them as lost. Run returns after it.
func (d *Dispatcher) Drain(ctx context.Context) {
	d.mu.Lock()
	d.stopping = true
	for _, l := range d.lanes {
		l.dismiss()
	}
	started := d.started
	d.mu.Unlock()
	defer d.drain.Do(func() { close(d.drained) })
	if !started {
		return
	}
	patient, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		patient, cancel = context.WithTimeout(ctx, left-min(recordReserve, left/4))
	}
	d.idle(patient)
	cancel()
	d.stopCalling()
	d.idle(ctx)
	d.stopRecords()
}

// idle waits until no message is with the handler.
func (d *Dispatcher) idle(ctx context.Context) {
	for {
		d.mu.Lock()
		working := d.working
		d.mu.Unlock()
		if working == 0 || sleep(ctx, 2*time.Millisecond) != nil {
			return
		}
	}
}

// release gives the lanes back, once their last calls are out of the window.
func (d *Dispatcher) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	var last time.Time
	d.mu.Lock()
	for _, l := range d.lanes {
		if at := l.limiter.lastWrite(); at.After(last) {
			last = at
		}
	}
	d.mu.Unlock()
	if !last.IsZero() {
		_ = sleep(ctx, time.Until(last.Add(window)))
	}
	if err := d.leases.Release(ctx, d.process); err != nil {
		d.log.WarnContext(ctx, "the lanes could not be given back; others take them when the lease ends", slog.Any("error", err))
	}
}

// leased reports whether the lanes are this process's own; d.mu is held.
func (d *Dispatcher) leased(now time.Time) bool { return now.Before(d.leasedTill) }

// leaseLoop keeps the lease, claims lanes and gives them back.
func (d *Dispatcher) leaseLoop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var beatAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.claim:
		case <-timer.C:
		}
		begun := time.Now()
		var err error
		if !begun.Before(beatAt) {
			beatAt = begun.Add(heartbeatEvery)
			err = d.beat(ctx, begun)
		}
		if err == nil {
			err = d.share(ctx)
		}
		if err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "the lease of the lanes could not be renewed; trying again", slog.Any("error", err))
		}
		next := time.Until(beatAt)
		if d.partial() {
			next = min(next, claimEvery)
		}
		timer.Reset(next)
	}
}

// beat renews the lease. A process has the role of dispatch from when its work-list
// has caught up until it drains: the others go by that for their share.
func (d *Dispatcher) beat(ctx context.Context, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	ready := d.ready()
	d.mu.Lock()
	d.joined = d.joined || ready
	takes := d.joined && !d.stopping
	d.mu.Unlock()
	roles := d.roles
	if !takes {
		roles = slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return role == work.RoleDispatch })
	}
	if err := d.leases.Heartbeat(ctx, d.process, roles, d.recorder(), leaseTTL); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	since, recording, err := d.leases.RecordingSince(ctx)
	if err != nil {
		return fmt.Errorf("ask since when webhooks are recorded: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recordingSince, d.recordingNow = since, recording
	d.renewedTill = begun.Add(leaseTTL - leaseMargin)
	if d.leased(time.Now()) {
		d.leasedTill = d.renewedTill
	}
	return nil
}

// share claims lanes up to this process's share and gives back what is above.
func (d *Dispatcher) share(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	select { // the senders known by now are claimed now, whoever called for it
	case <-d.claim:
	default:
	}
	d.mu.Lock()
	joined, stopping, ids := d.joined, d.stopping, slices.Sorted(maps.Keys(d.all))
	d.mu.Unlock()
	if !joined {
		return nil
	}
	most := 0
	if !stopping {
		owned, err := d.leases.Claim(ctx, d.process, ids)
		if err != nil {
			return fmt.Errorf("claim lanes: %w", err)
		}
		d.own(owned)
		if most, err = d.leases.Share(ctx, d.process, len(ids)); err != nil {
			return fmt.Errorf("ask for the share of lanes: %w", err)
		}
	}
	leaving := d.giveBack(most)
	if len(leaving) == 0 {
		return nil
	}
	if err := d.leases.ReleaseLanes(ctx, d.process, leaving); err != nil {
		return fmt.Errorf("give lanes back: %w", err)
	}
	d.log.InfoContext(ctx, "lanes were given to other processes", slog.Int("lanes", len(leaving)))
	return nil
}

// own makes the lanes those that were claimed.
func (d *Dispatcher) own(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leasedTill = d.renewedTill
	owned := make(map[string]bool, len(ids))
	taken := 0
	for _, id := range ids {
		s, ok := d.all[id]
		owned[id] = ok
		if !ok || d.lanes[id] != nil {
			continue
		}
		taken++
		l := newLane(s, d.pairLimit)
		if s.Hold != nil {
			l.stop(s.Hold.Fault, d.clock())
		}
		d.lanes[id] = l
		signal(d.sub.wake)
	}
	for id, l := range d.lanes {
		if !owned[id] {
			d.dropLane(id, l)
		}
	}
	if taken > 0 {
		d.log.InfoContext(d.recording, "this process sends for more senders", slog.Int("taken", taken), slog.Int("senders", len(d.lanes)))
	}
}

// giveBack stops the lanes beyond so many and forgets those of them whose last
// writes have left the window: they may go to another process. Answers that are
// still out are recorded by this one.
func (d *Dispatcher) giveBack(most int) (gone []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i, id := range slices.Sorted(maps.Keys(d.lanes)) {
		l := d.lanes[id]
		l.leaving = i >= most
		if l.leaving && l.quiet(now) {
			d.dropLane(id, l)
			gone = append(gone, id)
		}
	}
	return gone
}

// partial reports whether lanes are to be claimed, again or anew, or given back soon.
func (d *Dispatcher) partial() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.joined || len(d.lanes) != len(d.all) || d.stopping || !d.leasedTill.Equal(d.renewedTill)
}

// every does something again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// tend looks after held lanes and what came in.
func (d *Dispatcher) tend(ctx context.Context) {
	d.refreshSenders(ctx)
	d.startProbes()
	d.countInbound(ctx)
}

// abandonUnwritten cancels the calls that were not written when the lease ended:
// another process may soon write its own.
func (d *Dispatcher) abandonUnwritten() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leased(time.Now()) {
		return
	}
	for _, f := range d.known {
		if f.abandon != nil && !f.slot.isSpent() {
			f.abandon()
		}
	}
}

func (d *Dispatcher) countInbound(ctx context.Context) {
	if d.inbound == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	counts, err := d.inbound(ctx, d.clock().Add(-time.Second))
	if err != nil {
		return // the rates stay as they were
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, l := range d.lanes {
		l.limiter.setInbound(counts[id])
	}
}

// refreshSenders takes over what is recorded of the senders.
func (d *Dispatcher) refreshSenders(ctx context.Context) {
	d.mu.Lock()
	due := time.Since(d.allAt) >= sendersGap
	if due {
		d.allAt = time.Now()
	}
	d.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	all, err := d.source.Senders(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "the senders cannot be read; going on with what is known", slog.Any("error", err))
		}
		return
	}
	for _, id := range d.adoptAll(all) {
		d.askLog(ctx, id)
	}
}

// adoptAll answers the senders on whose hold lane and read model differ.
func (d *Dispatcher) adoptAll(all []sender.Sender) (differ []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	for _, s := range all {
		if _, known := d.all[s.ID]; !known {
			signal(d.claim)
		}
		d.all[s.ID] = s
		if l := d.lanes[s.ID]; l != nil && l.adopt(s, now) && !l.hold.probing {
			differ = append(differ, s.ID)
		}
	}
	return differ
}

// askLog settles with the log whether a sender is held: the read model is behind
// what this process recorded, or another has recorded it.
func (d *Dispatcher) askLog(ctx context.Context, id string) {
	s, err := d.senders.Load(ctx, id)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[id]
	if l == nil || l.hold.probing {
		return
	}
	now := d.clock()
	switch {
	case s.Hold != nil && !l.hold.active && now.Sub(l.hold.ended) > sendersEvery:
		l.stop(s.Hold.Fault, now)
	case s.Hold == nil && l.hold.active && now.Sub(l.hold.begun) > holdAgain:
		l.hold.active, l.hold.ended = false, now
	}
}

// scope is what a throttle reaches: a number, an account or all that share a token.
type scope struct {
	reach message.ThrottleScope
	id    string
}

func scopeOf(reach message.ThrottleScope, s sender.Sender) scope {
	switch {
	case reach == message.ScopeApp:
		return scope{reach, s.TokenID}
	case reach == message.ScopeAccount && s.BusinessAccountID != "":
		return scope{reach, s.BusinessAccountID}
	}
	return scope{message.ScopeNumber, s.PhoneNumberID}
}

// throttleOf is the state of a scope; d.mu is held. There are no more of them
// than numbers, accounts and tokens.
func (d *Dispatcher) throttleOf(s scope) *throttle {
	t := d.throttles[s]
	if t == nil {
		t = &throttle{}
		d.throttles[s] = t
	}
	return t
}

// throttledUntil is until when a lane waits for its scopes; d.mu is held.
func (d *Dispatcher) throttledUntil(l *lane) (until time.Time) {
	if len(d.throttles) == 0 {
		return time.Time{}
	}
	for _, reach := range [...]message.ThrottleScope{message.ScopeNumber, message.ScopeAccount, message.ScopeApp} {
		if t := d.throttles[scopeOf(reach, l.sender)]; t != nil && t.until.After(until) {
			until = t.until
		}
	}
	return until
}

// LaneStatus is how a lane of this process stands.
type LaneStatus struct {
	Sender string
	// EffectiveRate is how many calls a second it may make now: less than the
	// sender's rate after throttles and while messages come in, 0 while it stands.
	EffectiveRate  float64
	InFlight       int
	ThrottledUntil time.Time // zero: not throttled
	// BreakerOpen is set while WhatsApp is taken for away, Held while the platform
	// has stopped the sender.
	BreakerOpen bool
	Held        bool
	NextProbeAt time.Time // of a held lane: when WhatsApp is asked again
	// HeldTemplates are those that WhatsApp does not take for now, sorted.
	HeldTemplates []string
}

// Snapshot answers the lanes that this process owns, by sender.
func (d *Dispatcher) Snapshot() map[string]LaneStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, at := time.Now(), d.clock()
	lanes := make(map[string]LaneStatus, len(d.lanes))
	for id, l := range d.lanes {
		s := LaneStatus{
			Sender: id, EffectiveRate: float64(l.limiter.effective(now)), InFlight: l.working,
			BreakerOpen: l.breaker.open(), Held: l.hold.active,
		}
		if until := d.throttledUntil(l); at.Before(until) {
			s.ThrottledUntil = until
		}
		for name, h := range l.templates {
			if !h.over {
				s.HeldTemplates = append(s.HeldTemplates, name)
			}
		}
		slices.Sort(s.HeldTemplates)
		if s.Held {
			s.NextProbeAt = l.hold.probeAt
		}
		standing := s.Held || s.BreakerOpen || !s.ThrottledUntil.IsZero() || d.stopping || !d.leased(now)
		if standing || l.sender.State() == sender.StatePaused {
			s.EffectiveRate = 0
		}
		lanes[id] = s
	}
	return lanes
}
