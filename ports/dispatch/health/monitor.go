// Package health keeps lanes in step with the records of their senders. It reads the
// senders regularly, records the holds that lanes run into, asks WhatsApp about held
// senders, and releases them when they can send again.
package health

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch/lane"
)

const (
	// refreshGap is the shortest time between two reads of the senders, readTimeout
	// limits one.
	refreshGap  = 100 * time.Millisecond
	readTimeout = 10 * time.Second
	// probeTimeout limits one question for a sender's health.
	probeTimeout = 30 * time.Second
	// recordTimeout limits one attempt to record a sender's state. recordRetry and
	// maxRecordRetry are the waits between two attempts.
	recordTimeout  = 10 * time.Second
	recordRetry    = 50 * time.Millisecond
	maxRecordRetry = 2 * time.Second
	// learnedFor is how long a sender that this process changed is preferred to an older reading
	// of its stream: one that began before the change has ended by then.
	learnedFor = readTimeout
)

// Source lists the senders as their streams have them: a pause, a hold, and a rate must
// act even while the read models are behind or lack the sender.
type Source interface {
	// Senders returns the senders. With an error it returns those that could be read.
	Senders(ctx context.Context) ([]sender.Sender, error)
}

// Prober asks WhatsApp about senders.
type Prober interface {
	// Probe asks WhatsApp whether the sender can send. If it returns an error, nothing
	// is known about the sender. If the sender is not healthy, f is the failure.
	Probe(ctx context.Context, s sender.Sender) (healthy bool, f message.Failure, err error)
}

// Options are what a Monitor works with. All are required.
type Options struct {
	Source  Source
	Senders *command.Senders
	Prober  Prober
	Lanes   *lane.Set
	Clock   event.Clock
	// Appeared is called when a sender is new. Released is called when a held lane was
	// released, or when a restriction or a pause ended.
	Appeared, Released func()
	// Known is called with the known senders when one is new, or when an account or a messaging
	// limit changed. complete is set if there are no others. It must not block.
	Known  func(known []sender.Sender, complete bool)
	Logger *slog.Logger
}

// A Monitor knows all senders and keeps the lanes of this process in step with them. It
// is safe for concurrent use.
type Monitor struct {
	opts   Options
	probes sync.WaitGroup

	mu          sync.Mutex               // guards all fields below
	senders     map[string]sender.Sender // all of them, of other processes too
	learned     map[string]learnedSender
	refreshedAt time.Time
	draining    bool // no probe starts any longer
	// complete is set once all senders were read, and changed if Known must be called.
	complete, changed bool
}

// learnedSender is a sender as this process changed it.
type learnedSender struct {
	sender sender.Sender
	at     time.Time // by the monotonic clock
}

// New returns a Monitor that knows no senders.
func New(o Options) *Monitor {
	return &Monitor{opts: o, senders: make(map[string]sender.Sender), learned: make(map[string]learnedSender)}
}

// Sender returns a known sender.
func (m *Monitor) Sender(id string) (sender.Sender, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.senders[id]
	return s, ok
}

// IDs returns the IDs of all known senders, sorted.
func (m *Monitor) IDs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.senders))
}

// Len returns the number of known senders.
func (m *Monitor) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.senders)
}

// Refresh reads the senders and applies their records to their lanes.
// It does nothing if it was called less than refreshGap ago.
func (m *Monitor) Refresh(ctx context.Context) {
	m.mu.Lock()
	due := time.Since(m.refreshedAt) >= refreshGap
	if due {
		m.refreshedAt = time.Now()
	}
	m.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := m.opts.Source.Senders(ctx)
	if err != nil && ctx.Err() == nil {
		m.opts.Logger.WarnContext(ctx, "failed to read the senders; continuing with the known ones", slog.Any("error", err))
	}
	differ := m.adopt(all)
	if err == nil {
		m.completed()
	}
	for _, l := range differ {
		m.syncHoldFromLog(ctx, l)
	}
	m.endRestrictions(ctx)
}

// Learn applies a sender that this process has changed. It doesn't wait for the next Refresh.
func (m *Monitor) Learn(s sender.Sender) {
	m.mu.Lock()
	if have, ok := m.learned[s.ID]; !ok || have.sender.Version <= s.Version {
		m.learned[s.ID] = learnedSender{s, time.Now()}
	}
	m.mu.Unlock()
	m.adopt([]sender.Sender{s})
}

// completed records that all senders are known.
func (m *Monitor) completed() {
	m.mu.Lock()
	m.changed = m.changed || !m.complete
	m.complete = true
	m.mu.Unlock()
	m.publish()
}

// publish calls Known if that is due.
func (m *Monitor) publish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed {
		m.changed = false
		m.opts.Known(slices.Collect(maps.Values(m.senders)), m.complete)
	}
}

// adopt applies the records of senders to their lanes, and returns the lanes that differ
// from the record on a hold.
func (m *Monitor) adopt(all []sender.Sender) (differ []*lane.Lane) {
	anyAppeared, anyFreed := false, false
	for _, s := range all {
		appeared, differs, freed := m.adoptOne(s)
		anyAppeared, anyFreed = anyAppeared || appeared, anyFreed || freed
		if differs != nil {
			differ = append(differ, differs)
		}
	}
	m.publish() // before a lane can send for a new sender
	if anyAppeared {
		m.opts.Appeared()
	}
	if anyFreed {
		m.opts.Released()
	}
	return differ
}

// adoptOne applies the record of a sender. It reports whether the sender is new, returns its lane
// if that differs on a hold, and reports whether more of its messages can be sent than before.
func (m *Monitor) adoptOne(s sender.Sender) (appeared bool, differs *lane.Lane, freed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.learned[s.ID]; ok {
		switch {
		case time.Since(l.at) > learnedFor:
			delete(m.learned, s.ID)
		case l.sender.Version > s.Version:
			s = l.sender // it was read before the change
		}
	}
	was, known := m.senders[s.ID]
	m.senders[s.ID] = s
	m.changed = m.changed || !known || was.Limit != s.Limit || !was.LimitAt.Equal(s.LimitAt) ||
		was.BusinessAccountID != s.BusinessAccountID
	if l := m.opts.Lanes.Get(s.ID); l != nil && l.Adopt(s, m.opts.Clock()) {
		differs = l
	}
	return !known, differs, known && !was.SameReach(s)
}

// endRestrictions records the end of restrictions whose time has passed, of the senders that this
// process sends for. What can't be recorded now is tried again after the next Refresh.
func (m *Monitor) endRestrictions(ctx context.Context) {
	now := m.opts.Clock()
	for _, l := range m.opts.Lanes.All() {
		if s := l.Sender(); !slices.ContainsFunc(s.Restrictions, func(r sender.Restriction) bool { return r.Ended(now) }) {
			continue
		}
		cause := event.Cause{By: domain.Platform("dispatch")}
		s, err := m.opts.Senders.Change(ctx, l.ID(), cause, func(have sender.Sender) ([]domain.Event, error) {
			return sender.EndRestrictions(have, now)
		})
		if err != nil {
			m.opts.Logger.WarnContext(ctx, "failed to record the end of a restriction; trying again",
				slog.String("sender", l.ID()), slog.Any("error", err))
			continue
		}
		m.Learn(s)
	}
}

// syncHoldFromLog takes the hold of a lane's sender from the event log: the read model
// may be behind what this process recorded, or another process has recorded it.
func (m *Monitor) syncHoldFromLog(ctx context.Context, l *lane.Lane) {
	s, err := m.opts.Senders.Load(ctx, l.ID())
	if err != nil {
		return
	}
	l.SyncHold(s, m.opts.Clock())
}

// Hold records that a sender is held because of a failure. It retries until that is
// recorded or ctx ends.
func (m *Monitor) Hold(ctx context.Context, s sender.Sender, failure message.Failure) {
	f := faultOf(failure)
	m.opts.Logger.WarnContext(ctx, "the sender is held", slog.String("sender", s.ID),
		slog.String("category", f.Category), slog.String("fault", f.Message))
	m.change(ctx, s.ID, func(have sender.Sender) ([]domain.Event, error) { return sender.Hold(have, f) })
}

// change records a decision about a sender, and retries until that is recorded or ctx
// ends. It reports whether it was recorded.
func (m *Monitor) change(ctx context.Context, id string, decide func(sender.Sender) ([]domain.Event, error)) bool {
	cause := event.Cause{By: domain.Platform("dispatch")}
	for failing := (retry.Backoff{First: recordRetry, Max: maxRecordRetry}); ; {
		trying, cancel := context.WithTimeout(ctx, recordTimeout)
		_, err := m.opts.Senders.Change(trying, id, cause, decide)
		cancel()
		if err == nil || domain.CodeOf(err) == domain.CodeNotFound {
			return err == nil
		}
		m.opts.Logger.WarnContext(ctx, "failed to record the sender's state; retrying",
			slog.String("sender", id), slog.Any("error", err))
		if failing.Sleep(ctx) != nil {
			return false
		}
	}
}

// StartProbes starts to ask WhatsApp about the held senders that are due. The questions
// end with calling, the records of their results with recording.
func (m *Monitor) StartProbes(calling, recording context.Context) {
	now := m.opts.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draining {
		return
	}
	for _, l := range m.opts.Lanes.All() {
		if s, due := l.StartProbe(now); due {
			m.probes.Go(func() { m.probe(calling, recording, l, s) })
		}
	}
}

// Drain stops the Monitor from starting probes.
func (m *Monitor) Drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draining = true
}

// Wait waits until all probes have ended. Drain must be called first.
func (m *Monitor) Wait() { m.probes.Wait() }

// probe asks WhatsApp about a held sender and releases it if it is healthy.
func (m *Monitor) probe(calling, recording context.Context, l *lane.Lane, s sender.Sender) {
	ctx, cancel := context.WithTimeout(calling, probeTimeout)
	defer cancel()
	healthy, failure, err := m.opts.Prober.Probe(ctx, s)
	switch {
	case err != nil:
		m.opts.Logger.InfoContext(ctx, "failed to get the health of a held sender", slog.String("sender", s.ID), slog.Any("error", err))
	case healthy:
		healthy = m.change(recording, s.ID, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Release(have, "WhatsApp says that the number can send again")
		})
	case failure.Message != "":
		m.change(recording, s.ID, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Hold(have, faultOf(failure))
		})
	}
	healthy = healthy && err == nil
	l.EndProbe(s, healthy, m.opts.Clock())
	if healthy {
		m.opts.Released()
	}
}

// faultOf returns the sender's fault in a failure of a call.
func faultOf(f message.Failure) sender.Fault {
	return sender.Fault{Code: f.Code, Category: string(f.Category), Message: f.Message, Advice: f.Advice}
}
