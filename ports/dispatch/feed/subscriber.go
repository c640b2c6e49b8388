// Package feed turns the work list into a stream of messages for a Watermill router:
// it fetches items for the lanes of this process and emits each one when its turn
// has come.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/ports/dispatch/lane"
)

// Topic is the only topic of a Subscriber.
const Topic = "send"

const (
	// pollEvery is how often the work list is read without a wake-up call.
	pollEvery = 250 * time.Millisecond
	// lookAhead is how long before their time retries and scheduled messages are
	// fetched. They then wait in memory and go when they are due.
	lookAhead = 3 * pollEvery
	// quietAfter is the time without work and wake-up calls after which the work list is read only
	// every quietPoll, with quietLookAhead. It is longer than a retry takes, and than other read
	// models are behind.
	quietAfter     = 5 * time.Second
	quietPoll      = time.Second
	quietLookAhead = 3 * quietPoll
	// fetchGap is the shortest time between two fetches. It combines the wake-up calls
	// of a busy log.
	fetchGap = 5 * time.Millisecond
	// overdueGap is the shortest time between two fetches of items that need no call.
	overdueGap = 50 * time.Millisecond
	// rewindEvery is how often the lanes' cursors return to the start, for items that
	// were fetched once and forgotten. A lane with a paused campaign does so less often.
	rewindEvery = 5 * time.Second
	// limitedEvery is how often items that await a messaging limit are looked at.
	limitedEvery = time.Second
	// fetchTimeout limits one fetch.
	fetchTimeout = 10 * time.Second
	// overdueLimit is how many items that need no call are requested at once in addition
	// to the known ones, maxOverdue the most in all.
	overdueLimit = 256
	maxOverdue   = 5000
)

// Options are what a Subscriber works with. All are required.
type Options struct {
	List   work.List
	Lanes  *lane.Set
	Shared *lane.Shared
	// Ready reports whether the work list has caught up with the log. Nothing is
	// fetched before.
	Ready func() bool
	// Notified reports whether Wake is called after each change of the work list.
	Notified func() bool
	// Owned reports whether the lanes belong to this process at a time of the monotonic
	// clock.
	Owned func(now time.Time) bool
	// LimitRoom returns the portfolio of a sender, and to how many further people messages can be
	// sent within its messaging limit. It must not block.
	LimitRoom func(senderID string) (portfolio string, room int)
	Logger    *slog.Logger
}

// A Subscriber is a Watermill subscriber over the work list. It emits a message
// for every item of its lanes as soon as the item's turn has come, and never waits for
// the ack of one before the next. The ack of an item is the event that the handler
// records. After a nack, the item is fetched again later.
type Subscriber struct {
	opts     Options
	out      chan *wm.Message
	wake     chan struct{} // the work list changed, or a lane has room
	progress progress
	watchers sync.WaitGroup // of messages emitted
	first    int            // the lane that serveLoop looks at first; belongs to it
	busyAt   time.Time      // when there was work, or a wake-up call; belongs to fetchLoop
	interval atomic.Int64   // the time between two polls, as a time.Duration

	mu     sync.Mutex // guards all fields below
	begun  bool
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// NewSubscriber returns a Subscriber.
func NewSubscriber(o Options) *Subscriber {
	s := &Subscriber{opts: o, out: make(chan *wm.Message), wake: make(chan struct{}, 1), busyAt: time.Now()}
	s.interval.Store(int64(pollEvery))
	return s
}

// poll returns the time between two polls.
func (s *Subscriber) poll() time.Duration { return time.Duration(s.interval.Load()) }

// ahead returns how long before their time items are fetched.
func (s *Subscriber) ahead() time.Duration {
	if s.poll() > pollEvery {
		return quietLookAhead
	}
	return lookAhead
}

// settle sets the time between two polls at now. woken is set after a wake-up call.
func (s *Subscriber) settle(now time.Time, woken, ready bool) {
	if woken || !ready || !s.opts.Notified() || !s.opts.Shared.Known.Empty() {
		s.busyAt = now
	}
	interval := pollEvery
	if now.Sub(s.busyAt) >= quietAfter {
		interval = quietPoll
	}
	s.interval.Store(int64(interval))
}

// Subscribe starts to emit messages. It can be called once, and only for Topic.
// The channel is closed when ctx ends or the subscriber is closed. The messages' own
// contexts carry their flight and never end.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *wm.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if topic != Topic {
		return nil, fmt.Errorf("subscribe to %q: the only topic of the work list is %q", topic, Topic)
	}
	if s.begun {
		return nil, errors.New("subscribe to the work list: it has a subscription already")
	}
	s.begun = true
	ctx, s.cancel = context.WithCancel(ctx)
	s.loops.Go(func() { s.fetchLoop(ctx) })
	s.loops.Go(func() {
		defer close(s.out)
		s.serveLoop(ctx)
	})
	return s.out, nil
}

// Close stops emitting messages and waits until that has ended. It doesn't wait for
// the handler.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	cancel := s.cancel
	s.begun = true
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	s.loops.Wait()
	return nil
}

// Wake makes the subscriber fetch soon. It doesn't block.
func (s *Subscriber) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Drain stops emitting messages. It doesn't wait: see Idle.
func (s *Subscriber) Drain() { s.progress.drain() }

// Draining reports whether Drain was called.
func (s *Subscriber) Draining() bool { return s.progress.draining() }

// Idle waits until no message is with the handler, or until ctx ends.
func (s *Subscriber) Idle(ctx context.Context) { s.progress.wait(ctx) }

// Wait waits until every message that was emitted has been taken back.
func (s *Subscriber) Wait() { s.watchers.Wait() }

// fetchLoop keeps the in-memory queues in sync with the work list.
func (s *Subscriber) fetchLoop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last, fillAt, overdueAt, rewoundAt, limitedAt time.Time
	for {
		woken := false
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			woken = true
		case <-timer.C:
		}
		if gap := fetchGap - time.Since(last); gap > 0 {
			if retry.Sleep(ctx, gap) != nil {
				return
			}
		}
		select { // one fetch serves all wake-up calls until now
		case <-s.wake:
			woken = true
		default:
		}
		ready := s.opts.Ready()
		last = time.Now()
		// Every poll fills all queues. A wake-up call fills only those that run low or
		// may have new items, unless the last poll was long ago.
		fill := !last.Before(fillAt) || woken && s.poll() > pollEvery
		s.settle(last, woken, ready)
		if fill {
			fillAt = last.Add(s.poll())
		}
		if ready {
			if last.Sub(rewoundAt) >= rewindEvery {
				rewoundAt = last
				s.rewind(last)
			}
			overdue := last.Sub(overdueAt) >= overdueGap
			if overdue {
				overdueAt = last
			}
			if err := s.fetch(ctx, fill, overdue); err != nil && ctx.Err() == nil {
				s.opts.Logger.WarnContext(ctx, "failed to read the work list; retrying", slog.Any("error", err))
			}
			if last.Sub(limitedAt) >= limitedEvery {
				limitedAt = last
				if err := s.fetchLimited(ctx); err != nil && ctx.Err() == nil {
					s.opts.Logger.WarnContext(ctx, "failed to read messages that await a messaging limit; retrying", slog.Any("error", err))
				}
			}
			s.settle(last, false, ready) // something may have been fetched
			if next := last.Add(s.poll()); next.Before(fillAt) {
				fillAt = next
			}
			s.opts.Shared.Alarm.Ring()
		}
		timer.Reset(time.Until(fillAt))
	}
}

func (s *Subscriber) rewind(now time.Time) {
	for _, l := range s.opts.Lanes.All() {
		l.Rewind(now)
	}
}

// lanePlan is what one lane requests in a fetch.
type lanePlan struct {
	lane.FetchPlan

	lane *lane.Lane
}

// fetch requests the items that the lanes have room for and, if overdue is set, those
// that need no call. A poll, which sets fill, also requests undelivered messages.
func (s *Subscriber) fetch(ctx context.Context, fill, overdue bool) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	now := s.opts.Shared.Clock()
	until := now.Add(s.ahead())
	var plans []lanePlan
	var requests []work.FetchRequest
	var senders []string // of all lanes
	limit := overdueLimit
	for _, l := range s.opts.Lanes.All() {
		plan, ok := l.PlanFetch(fill, now)
		if !ok {
			continue
		}
		senders = append(senders, l.ID())
		requests = append(requests, plan.Requests...)
		limit += plan.Known
		plans = append(plans, lanePlan{plan, l})
	}
	if len(plans) == 0 {
		return nil
	}
	if len(requests) > 0 || fill {
		items, position, err := s.opts.List.Fetch(ctx, until, requests)
		if err != nil {
			return err
		}
		s.opts.Shared.Known.Projected(position)
		s.take(plans, items, position)
	}
	if overdue {
		items, position, err := s.opts.List.Overdue(ctx, until, senders, min(limit, maxOverdue))
		if err != nil {
			return err
		}
		s.opts.Shared.Known.Projected(position)
		s.takeOverdue(ctx, items, now)
	}
	if !fill {
		return nil
	}
	limit += s.opts.Shared.Known.Undelivered()
	items, position, err := s.opts.List.Undelivered(ctx, until, senders, min(limit, maxOverdue))
	if err != nil {
		return err
	}
	s.opts.Shared.Known.MessagesProjected(position)
	s.takeOverdue(ctx, items, now)
	return nil
}

// fetchLimited requests the items that await a messaging limit and that can be called now.
func (s *Subscriber) fetchLimited(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	now := s.opts.Shared.Clock()
	var wants []work.LimitRequest
	for _, l := range s.opts.Lanes.All() {
		if r, ok := l.PlanLimited(s.opts.LimitRoom(l.ID())); ok {
			wants = append(wants, r)
		}
	}
	if len(wants) == 0 {
		return nil
	}
	items, list, views, err := s.opts.List.Limited(ctx, now, wants)
	if err != nil {
		return err
	}
	s.opts.Shared.Known.Projected(list)
	bySender := make(map[string][]work.Item)
	for _, item := range items {
		bySender[item.Sender] = append(bySender[item.Sender], item)
	}
	for i := range wants {
		if l := s.opts.Lanes.Get(wants[i].Sender); l != nil {
			l.TakeLimited(&wants[i], bySender[wants[i].Sender], views, now)
		}
	}
	return nil
}

// take gives the fetched items to their lanes.
func (s *Subscriber) take(plans []lanePlan, items []work.Item, position event.Position) {
	now := s.opts.Shared.Clock()
	bySender := make(map[string][]work.Item, len(plans))
	for _, item := range items {
		bySender[item.Sender] = append(bySender[item.Sender], item)
	}
	for i := range plans {
		p := &plans[i]
		if len(p.Requests) > 0 {
			p.lane.Take(&p.FetchPlan, bySender[p.lane.ID()], position, now)
		}
	}
}

// takeOverdue emits the items that need no call, and those in memory that expired
// while they waited.
func (s *Subscriber) takeOverdue(ctx context.Context, items []work.Item, now time.Time) {
	if !s.progress.enter() {
		return
	}
	defer s.progress.leave()
	emitted := 0
	for i := range items {
		l := s.opts.Lanes.Get(items[i].Sender)
		if l == nil || !s.opts.Owned(time.Now()) || emitted >= overdueLimit {
			continue
		}
		if f := l.TakeOverdue(&items[i], now); f != nil {
			emitted++
			s.emit(ctx, f)
		}
	}
}

// serveLoop emits flights when their turn has come.
func (s *Subscriber) serveLoop(ctx context.Context) {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		timer.Reset(max(s.serve(ctx), time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-s.opts.Shared.Alarm.C():
		case <-timer.C:
		}
	}
}

// serve emits the flights whose turn has come and returns how long to wait until the
// next look.
func (s *Subscriber) serve(ctx context.Context) (wait time.Duration) {
	alarm := s.opts.Shared.Alarm
	now, at := time.Now(), s.opts.Shared.Clock()
	// While the lanes are looked at, each slot that becomes due before the next poll
	// rings: its lane may have been passed already.
	poll := s.poll()
	alarm.Set(now.Add(poll))
	if !s.progress.enter() {
		return poll
	}
	defer s.progress.leave()
	if !s.opts.Owned(now) {
		return poll
	}
	lanes := s.opts.Lanes.All()
	wait = poll
	hungry := false
	var picked []*lane.Flight
	s.first++ // another lane each time, since all share the recordings
	for i := range lanes {
		var next time.Duration
		var low bool
		picked, next, low = lanes[(s.first+i)%len(lanes)].Pick(now, at, picked)
		wait = min(wait, next)
		hungry = hungry || low
	}
	alarm.Advance(now.Add(wait))
	for _, f := range picked {
		s.emit(ctx, f)
	}
	if hungry {
		s.Wake()
	}
	return wait
}

type flightKey struct{}

// Flight returns the flight of a message that a Subscriber emitted. It returns false
// for any other message.
func Flight(m *wm.Message) (*lane.Flight, bool) {
	f, ok := m.Context().Value(flightKey{}).(*lane.Flight)
	return f, ok
}

// emit gives a flight to the router and waits in the background until it is acked or
// nacked. If ctx ends before the router takes it, it is nacked.
func (s *Subscriber) emit(ctx context.Context, f *lane.Flight) {
	m := wm.NewMessage(f.Item().MessageID.String(), nil)
	m.SetContext(context.WithValue(context.WithoutCancel(ctx), flightKey{}, f))
	s.progress.add()
	s.watchers.Go(func() {
		defer s.progress.leave()
		acked := false
		select {
		case <-m.Acked():
			acked = true
		case <-m.Nacked():
		}
		f.Lane().Finish(f, acked)
		s.opts.Shared.Alarm.Ring()
	})
	select {
	case s.out <- m:
	case <-ctx.Done():
		m.Nack()
	}
}
