package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/attempt"
	"github.com/waypost/waypost/ports/dispatch/feed"
	"github.com/waypost/waypost/ports/dispatch/guard"
	"github.com/waypost/waypost/ports/dispatch/health"
	"github.com/waypost/waypost/ports/dispatch/lane"
	"github.com/waypost/waypost/ports/dispatch/ownership"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

const (
	// maintenanceInterval is how often senders, held lanes, and the inbound count are updated.
	maintenanceInterval = 100 * time.Millisecond
	// quietInterval is the same while no lane waits for anything. New work, and events of senders,
	// update them immediately.
	quietInterval = time.Second
	// recordReserve is the part of a drain's time that is reserved for recording lost
	// responses: at most this, and at most a quarter.
	recordReserve = time.Second
)

type (
	// CallRequest is one call to make.
	CallRequest = attempt.CallRequest
	// SenderSource lists the senders as their streams have them.
	SenderSource = health.Source
	// LaneStatus is the state of a lane of this process.
	LaneStatus = lane.Status
)

// Campaigns knows which campaigns are paused.
type Campaigns interface {
	attempt.Campaigns
	// WaitsAt is Waits for one label, which is given as in work.Item.Labels.
	WaitsAt(label string) bool
}

// Caller makes calls to WhatsApp and asks it about senders.
type Caller interface {
	attempt.Caller
	health.Prober
}

// Options are what a Dispatcher works with. All are required unless noted otherwise.
type Options struct {
	Messages *command.Messages
	Senders  *command.Senders
	Source   SenderSource
	List     work.List
	Leases   work.Leases
	Caller   Caller
	Policy   message.Policy
	// PairLimit keeps each lane within Meta's limit for one recipient: one message every
	// 6 s, with bursts of 45.
	PairLimit bool
	// HoldsTemplate reports whether an error code means that a template, and not just
	// one message, can't be sent for now. If nil, no code does.
	HoldsTemplate func(code int) bool
	// Template returns what to do with messages of a template of a business account, as
	// WhatsApp reported it; the key is message.TemplateKey. It must not block. Call Wake when
	// the messages of a template can be sent again. If nil, all are sendable.
	Template func(businessAccountID, key string) template.Sendability
	// Category returns the category of such a template, or "" if it is not known. WhatsApp can
	// restrict a sender to templates of other categories. It must not block. If nil, no category is
	// known.
	Category func(businessAccountID, key string) string
	// SettleAfterOutage is how long after webhooks are recorded again a response that
	// was lost before then waits for its status.
	SettleAfterOutage time.Duration
	// Process is this process among all that share the lanes, Roles are its roles.
	Process uuid.UUID
	Roles   []string
	// Ready reports whether the work list has caught up with the log. Nothing is sent
	// before.
	Ready func() bool
	// Notified reports whether Wake or WakeFor is called after each change of the work list. Then
	// it is seldom read while there is nothing to do. If nil, it isn't.
	Notified func() bool
	// RecordingSince returns the time since which this process has recorded webhooks
	// without a break, or the zero time if it doesn't record them. If nil, it doesn't.
	RecordingSince func() time.Time
	// Inbound returns how many messages each sender received since a time. If nil,
	// inbound messages are ignored.
	Inbound func(ctx context.Context, since time.Time) (map[string]int, error)
	// NumberOf returns the phone number of the person with a user ID, or "" if it is not
	// known. If nil, messages to a user ID are always sent to it.
	NumberOf func(ctx context.Context, userID string) (string, error)
	// Guard knows what the recipients' choices and windows forbid. The caller runs it. If nil,
	// they forbid nothing.
	Guard *guard.Guard
	// Campaigns knows which campaigns are paused. It must not block. Call Wake when one was resumed.
	// If nil, none is.
	Campaigns Campaigns
	// Gate holds new calls back while webhooks that this process records are behind. If
	// nil, nothing does.
	Gate *fair.Gate
	// Trace traces the messages. If nil, they are not traced.
	Trace *trace.Tracer
	// Clock returns Waypost's time.
	Clock  event.Clock
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

// A Dispatcher sends due messages on the lanes that this process owns. It is safe for
// concurrent use.
type Dispatcher struct {
	opts     Options
	lanes    *lane.Set
	shared   *lane.Shared
	feed     *feed.Subscriber
	attempts *attempt.Handler
	monitor  *health.Monitor
	owner    *ownership.Owner
	upkeep   upkeep
	run      run
}

// upkeep is the state of what is done regularly.
type upkeep struct {
	quiet atomic.Bool   // no lane waited for anything the last time
	now   chan struct{} // it is due
}

// run is the state of Dispatcher.Run.
type run struct {
	drained func() // closes over
	over    chan struct{}

	mu      sync.Mutex // guards all fields below
	started bool
	// stopCalling ends the context of the calls when a drain abandons those in flight,
	// stopRecording the context of all records when the drain is over.
	stopCalling, stopRecording context.CancelFunc
}

// New returns a Dispatcher. Nothing starts before Run.
func New(o Options) (*Dispatcher, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.RecordingSince == nil {
		o.RecordingSince = func() time.Time { return time.Time{} }
	}
	if o.Notified == nil {
		o.Notified = func() bool { return false }
	}
	if o.HoldsTemplate == nil {
		o.HoldsTemplate = func(int) bool { return false }
	}
	d := &Dispatcher{opts: o, lanes: &lane.Set{}}
	d.run.over, d.upkeep.now = make(chan struct{}), make(chan struct{}, 1)
	d.run.drained = sync.OnceFunc(func() { close(d.run.over) })
	d.shared = &lane.Shared{
		Clock: o.Clock, PairLimit: o.PairLimit, Template: o.Template, Category: o.Category, Gate: o.Gate, HoldsBulk: o.Guard.HoldsBulk, Failures: pace.NewFailures(), Alarm: lane.NewAlarm(),
		MayCall: func(now time.Time) bool { return !d.feed.Draining() && d.owner.Owns(now) },
	}
	if o.Campaigns != nil {
		d.shared.Paused = o.Campaigns.WaitsAt
	}
	o.Gate.OnOpen(d.shared.Alarm.Ring)
	d.owner = ownership.New(ownership.Options{
		Leases: o.Leases, Lanes: ownedLanes{d}, Process: o.Process, Roles: o.Roles, Ready: o.Ready,
		RecordingSince: o.RecordingSince, Logger: o.Logger,
	})
	d.feed = feed.NewSubscriber(feed.Options{
		List: o.List, Lanes: d.lanes, Shared: d.shared, Ready: o.Ready, Notified: o.Notified, Owned: d.owner.Owns, LimitRoom: o.Guard.LimitRoom, Logger: o.Logger,
	})
	d.monitor = health.New(health.Options{
		Source: o.Source, Senders: o.Senders, Prober: o.Caller, Lanes: d.lanes, Clock: o.Clock,
		Appeared: d.owner.Claim, Released: d.feed.Wake, Known: o.Guard.Learn, Logger: o.Logger,
	})
	d.attempts = attempt.NewHandler(attempt.Options{
		Messages: o.Messages, Lanes: d.lanes, Shared: d.shared, Caller: o.Caller, Policy: o.Policy, HoldsTemplate: o.HoldsTemplate,
		Recording: d.owner.Recording, SettleAfterOutage: o.SettleAfterOutage, Hold: d.monitor.Hold, NumberOf: o.NumberOf, Guard: o.Guard, Campaigns: o.Campaigns, Trace: o.Trace, Logger: o.Logger,
	})
	return d, nil
}

// Wake reports that the work list or a sender has changed. It doesn't block for long.
func (d *Dispatcher) Wake() {
	for _, l := range d.lanes.All() {
		l.Arrived("")
	}
	d.feed.Wake()
	d.wakeUpkeep()
}

// wakeUpkeep makes maintain run soon, unless it does so at each interval anyway. It doesn't block.
func (d *Dispatcher) wakeUpkeep() {
	if d.upkeep.quiet.Swap(false) {
		select {
		case d.upkeep.now <- struct{}{}:
		default:
		}
	}
}

// Refresh reports that the event log has something new about senders. It doesn't block.
func (d *Dispatcher) Refresh() { d.wakeUpkeep() }

// WakeFor reports what is new in the work list. It is like Wake, but lanes and priorities
// without new work are not fetched for if they had no further items.
func (d *Dispatcher) WakeFor(arrivals []work.NewWork) {
	if len(arrivals) == 0 {
		return
	}
	for _, a := range arrivals {
		if l := d.lanes.Get(a.Sender); l != nil {
			l.Arrived(a.Priority)
		}
	}
	d.feed.Wake()
	d.wakeUpkeep()
}

// Learn reports a sender that this process has changed, so that the change acts immediately. It
// doesn't block.
func (d *Dispatcher) Learn(s sender.Sender) { d.monitor.Learn(s) }

// Owns reports whether this process sends for a sender.
func (d *Dispatcher) Owns(sender string) bool { return d.lanes.Get(sender) != nil }

// Shares reports whether other processes send for some of the senders.
func (d *Dispatcher) Shares() bool { return !ownedLanes{d}.Complete() }

// Snapshot returns the state of each lane that this process owns, by sender.
func (d *Dispatcher) Snapshot() map[string]LaneStatus {
	all := d.lanes.All()
	lanes := make(map[string]LaneStatus, len(all))
	for _, l := range all {
		lanes[l.ID()] = l.Status()
	}
	return lanes
}

// routerLogger lowers the router's messages about its own start and stop to debug.
func routerLogger(log *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
}

// Run sends until Drain is over or ctx ends. In the latter case the responses of calls in
// flight are abandoned and recorded as lost. It can be called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	calling, stopCalling := context.WithCancel(lasting)
	defer stopCalling()
	recording, stopRecording := context.WithCancel(lasting)
	defer stopRecording()
	if !d.run.start(stopCalling, stopRecording) {
		return errors.New("dispatch is already running")
	}
	router, err := d.newRouter(recording, calling)
	if err != nil {
		return err
	}
	maintaining, stopMaintaining := context.WithCancel(lasting)
	var tasks sync.WaitGroup
	tasks.Go(func() { d.owner.Run(maintaining) })
	tasks.Go(func() { d.maintainRegularly(maintaining, calling, recording) })
	// This loop queries nothing: if Postgres hangs, so do the other loops, and the lease
	// ends.
	tasks.Go(func() { d.attempts.AbandonUnwritten(maintaining, maintenanceInterval, d.owner.Owns) })
	routed := make(chan error, 1)
	tasks.Go(func() { routed <- router.Run(lasting) })
	select {
	case <-router.Running():
	case err := <-routed:
		stopMaintaining()
		tasks.Wait()
		return fmt.Errorf("start the dispatch router: %w", err)
	}

	select {
	case <-d.run.over:
	case <-ctx.Done():
		given, cancel := context.WithTimeout(lasting, 2*recordReserve)
		d.Drain(given)
		cancel()
	}
	// The router would wait for the handlers as well, but with its locks held.
	ending, cancel := context.WithTimeout(lasting, ownership.LeaseTTL)
	d.feed.Idle(ending)
	cancel()
	err = router.Close()
	d.feed.Wait()
	d.monitor.Wait()
	d.release(lasting)
	stopMaintaining()
	tasks.Wait()
	return errors.Join(err, <-routed)
}

// newRouter returns a router that passes every message of the feed to the handler.
// Outcomes are recorded with recording, calls end with calling.
func (d *Dispatcher) newRouter(recording, calling context.Context) (*wm.Router, error) {
	router, err := wm.NewRouter(wm.RouterConfig{CloseTimeout: ownership.LeaseTTL}, routerLogger(d.opts.Logger))
	if err != nil {
		return nil, fmt.Errorf("create the dispatch router: %w", err)
	}
	router.AddConsumerHandler("dispatch", feed.Topic, d.feed, func(m *wm.Message) error {
		f, ok := feed.Flight(m)
		if !ok {
			return fmt.Errorf("handle message %s: it does not come from the work list", m.UUID)
		}
		return d.attempts.Handle(recording, calling, f)
	})
	return router, nil
}

// start records that Run started. It returns false if it was started before.
func (r *run) start(stopCalling, stopRecording context.CancelFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return false
	}
	r.started, r.stopCalling, r.stopRecording = true, stopCalling, stopRecording
	return true
}

// Drain starts nothing any longer and waits for the calls in flight and their records.
// Shortly before ctx ends, it abandons the responses that are still outstanding and
// records them as lost. Run returns after it.
func (d *Dispatcher) Drain(ctx context.Context) {
	d.feed.Drain()
	d.owner.Drain()
	d.monitor.Drain()
	for _, l := range d.lanes.All() {
		l.Dismiss()
	}
	d.run.mu.Lock()
	started, stopCalling, stopRecording := d.run.started, d.run.stopCalling, d.run.stopRecording
	d.run.mu.Unlock()
	defer d.run.drained()
	if !started {
		return
	}
	patient, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		patient, cancel = context.WithTimeout(ctx, left-min(recordReserve, left/4))
	}
	d.feed.Idle(patient)
	cancel()
	stopCalling()
	d.feed.Idle(ctx)
	stopRecording()
}

// release gives all lanes back, once their last calls have left the window of the rate.
func (d *Dispatcher) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ownership.Timeout)
	defer cancel()
	var last time.Time
	for _, l := range d.lanes.All() {
		if at := l.LastWrite(); at.After(last) {
			last = at
		}
	}
	if !last.IsZero() {
		_ = retry.Sleep(ctx, time.Until(last.Add(pace.Window)))
	}
	if err := d.owner.Release(ctx); err != nil {
		d.opts.Logger.WarnContext(ctx, "failed to give the lanes back; other processes take them when the lease ends", slog.Any("error", err))
	}
}

// maintainRegularly calls maintain at an interval, and when it is due, until ctx ends.
func (d *Dispatcher) maintainRegularly(ctx, calling, recording context.Context) {
	timer := time.NewTimer(maintenanceInterval)
	defer timer.Stop()
	for {
		woken := false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-d.upkeep.now:
			woken = true
		}
		quiet := !woken && !slices.ContainsFunc(d.lanes.All(), (*lane.Lane).Waits)
		// What arrives from now on makes the next time due immediately.
		d.upkeep.quiet.Store(quiet)
		d.maintain(ctx, calling, recording)
		if quiet {
			timer.Reset(quietInterval)
		} else {
			timer.Reset(maintenanceInterval)
		}
	}
}

// maintain updates the senders, held lanes, and the inbound count. Probes of senders end
// with calling, and their results are recorded with recording.
func (d *Dispatcher) maintain(ctx, calling, recording context.Context) {
	d.monitor.Refresh(ctx)
	d.monitor.StartProbes(calling, recording)
	d.countInbound(ctx)
}

// countInbound subtracts the messages that each sender received in the last second from
// its lane's rate. If they can't be counted, the rates don't change.
func (d *Dispatcher) countInbound(ctx context.Context) {
	lanes := d.lanes.All()
	if d.opts.Inbound == nil || len(lanes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ownership.Timeout)
	defer cancel()
	counts, err := d.opts.Inbound(ctx, d.opts.Clock().Add(-time.Second))
	if err != nil {
		return
	}
	for _, l := range lanes {
		l.SetInbound(counts[l.ID()])
	}
}

// ownedLanes are the lanes of a dispatcher's process as its owner sees them.
type ownedLanes struct{ d *Dispatcher }

// Senders returns the IDs of all known senders.
func (o ownedLanes) Senders() []string { return o.d.monitor.IDs() }

// Complete reports whether this process has the lanes of all known senders.
func (o ownedLanes) Complete() bool { return len(o.d.lanes.All()) == o.d.monitor.Len() }

// SetOwned creates the missing lanes of the senders and retires all other lanes.
func (o ownedLanes) SetOwned(ctx context.Context, ids []string) {
	owned := make(map[string]bool, len(ids))
	taken := 0
	for _, id := range ids {
		s, ok := o.d.monitor.Sender(id)
		owned[id] = ok
		if !ok || o.d.lanes.Get(id) != nil {
			continue
		}
		taken++
		o.d.lanes.Add(lane.New(s, o.d.shared))
		o.d.feed.Wake()
	}
	for _, l := range o.d.lanes.All() {
		if !owned[l.ID()] {
			l.Retire()
			o.d.lanes.Remove(l)
		}
	}
	if taken > 0 {
		o.d.opts.Logger.InfoContext(ctx, "this process sends for more senders",
			slog.Int("taken", taken), slog.Int("senders", len(o.d.lanes.All())))
	}
}

// GiveBack stops the lanes beyond the first keep, and returns the senders of those that
// it retired.
func (o ownedLanes) GiveBack(keep int) (retired []string) {
	now := time.Now()
	for i, l := range o.d.lanes.All() {
		if i < keep {
			l.Keep()
			continue
		}
		if l.Leave(now) {
			o.d.lanes.Remove(l)
			retired = append(retired, l.ID())
		}
	}
	return retired
}
