package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// Topic is the one topic of the subscriber.
const Topic = "send"

const (
	// pollEvery is the safety net behind the wake-up calls. lookAhead is how long
	// before their time retries and scheduled messages are fetched: they then wait
	// in memory, and leave when they are due.
	pollEvery = 250 * time.Millisecond
	lookAhead = 3 * pollEvery
	// fetchGap is the least time between two fetches, by which wake-up calls of a
	// busy log are gathered.
	fetchGap = 5 * time.Millisecond
	// overdueGap is the least time between two looks for what needs no call.
	overdueGap = 50 * time.Millisecond
	// rewindEvery is how often the cursors go back to the start, for items that
	// were fetched once and given up.
	rewindEvery = 5 * time.Second
	// fetchTimeout bounds a question to the work-list.
	fetchTimeout = 10 * time.Second
	// overdueLimit is how many items that need no call are asked for at once
	// beyond those known, maxOverdue the most in all.
	overdueLimit = 256
	maxOverdue   = 5000
	// firstNack and maxNack are the waits after an item could not be recorded.
	firstNack = 50 * time.Millisecond
	maxNack   = 5 * time.Second
)

type flightKey struct{}

// Subscriber is a Watermill subscriber over the send work-list. It hands out a
// message for every item of the lanes that this process owns as soon as the
// item's turn has come, and never waits for an ack before the next. The ack is
// the event that the handler records; a nack has the item fetched again later.
type Subscriber struct {
	d    *Dispatcher
	out  chan *wm.Message
	wake chan struct{} // the work-list moved on, or there is room
	turn chan struct{} // something may be handed out

	mu     sync.Mutex
	begun  bool
	cancel context.CancelFunc
	wg     sync.WaitGroup // the two loops
}

func newSubscriber(d *Dispatcher) *Subscriber {
	return &Subscriber{
		d: d, out: make(chan *wm.Message), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
}

// Subscribe starts to hand out; it may be called once and for Topic alone. The
// channel is closed once ctx or the subscriber is. The messages' own contexts
// outlive both, until the drain is over.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *wm.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if topic != Topic {
		return nil, fmt.Errorf("subscribe to %q: the send work-list has the one topic %q", topic, Topic)
	}
	if s.begun {
		return nil, errors.New("subscribe to the send work-list: it is handed out already")
	}
	s.begun = true
	ctx, s.cancel = context.WithCancel(ctx)
	s.wg.Go(func() { s.fetchLoop(ctx) })
	s.wg.Go(func() {
		defer close(s.out)
		s.serveLoop(ctx)
	})
	return s.out, nil
}

// Close ends the handing out and waits for it. What is with the handler goes on.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	cancel := s.cancel
	s.begun = true
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	s.wg.Wait()
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fetchLoop keeps what is at hand up to date with the work-list.
func (s *Subscriber) fetchLoop(ctx context.Context) {
	d := s.d
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last, fillAt, overdueAt, rewoundAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		if gap := fetchGap - time.Since(last); gap > 0 {
			if sleep(ctx, gap) != nil {
				return
			}
		}
		select { // one fetch answers all that called for it up to now
		case <-s.wake:
		default:
		}
		ready := d.ready()
		last = time.Now()
		// By the poll every queue is filled up; in between only those that run low
		// or of which something new was told.
		fill := !last.Before(fillAt)
		if fill {
			fillAt = last.Add(pollEvery)
		}
		if ready {
			if last.Sub(rewoundAt) >= rewindEvery {
				rewoundAt = last
				d.rewind()
			}
			overdue := last.Sub(overdueAt) >= overdueGap
			if overdue {
				overdueAt = last
			}
			if err := s.fetch(ctx, fill, overdue); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "the send work-list cannot be read; trying again", slog.Any("error", err))
			}
			signal(s.turn)
		}
		timer.Reset(time.Until(fillAt))
	}
}

// fetch asks for what the lanes have room for, and for what needs no call.
func (s *Subscriber) fetch(ctx context.Context, fill, overdue bool) error {
	d := s.d
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	asked := d.wants(fill)
	if len(asked.senders) == 0 {
		return nil
	}
	now := d.clock()
	if len(asked.wants) > 0 || fill {
		items, position, err := d.list.Fetch(ctx, now.Add(lookAhead), asked.wants)
		if err != nil {
			return err
		}
		d.take(asked, items, position)
	}
	if !overdue {
		return nil
	}
	late, position, err := d.list.Overdue(ctx, now.Add(lookAhead), asked.senders, asked.overdue)
	if err != nil {
		return err
	}
	for _, f := range d.takeOverdue(late, position, now) {
		s.hand(ctx, f)
	}
	return nil
}

// serveLoop hands out what has its turn.
func (s *Subscriber) serveLoop(ctx context.Context) {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		flights, next, hungry := s.d.pick()
		for _, f := range flights {
			s.hand(ctx, f)
		}
		if hungry {
			signal(s.wake)
		}
		timer.Reset(min(max(next, time.Millisecond), pollEvery))
		select {
		case <-ctx.Done():
			return
		case <-s.turn:
		case <-timer.C:
		}
	}
}

// hand gives a flight to the router and watches what becomes of it. A flight
// that is not taken any more goes back.
func (s *Subscriber) hand(ctx context.Context, f *flight) {
	m := wm.NewMessage(f.item.MessageID.String(), nil)
	m.SetContext(context.WithValue(s.d.recording, flightKey{}, f))
	s.d.watchers.Go(func() {
		select {
		case <-m.Acked():
			s.d.finish(f, f.end)
		case <-m.Nacked():
			s.d.finish(f, ending{kind: endFailed})
		}
		signal(s.turn)
	})
	select {
	case s.out <- m:
	case <-ctx.Done():
		m.Nack()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// asking is what one fetch asks for.
type asking struct {
	wants   []work.Want
	senders []string // of all lanes
	overdue int      // how many items that need no call
	// signals are those of each lane when it was asked for.
	signals map[string]int
}

// wants is what the lanes have room for.
func (d *Dispatcher) wants(fill bool) asking {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := asking{overdue: overdueLimit, signals: make(map[string]int, len(d.lanes))}
	now := d.clock()
	for id, l := range d.lanes {
		if l.gone {
			continue
		}
		a.senders = append(a.senders, id)
		a.overdue += len(l.aside) + l.working
		a.signals[id] = l.signals
		for class := range priorities {
			a.overdue += len(l.classes[class].timed)
			a.wants = append(a.wants, l.wants(class, fill, now)...)
		}
	}
	a.overdue = min(a.overdue, maxOverdue)
	return a
}

// revisited answers whether an item was asked for behind its gate.
func (a asking) revisited() func(work.Item) bool {
	type gated struct {
		sender              string
		priority            message.Priority
		recipient, template string
	}
	var asked map[gated]bool
	for _, w := range a.wants {
		if w.Recipient == "" && w.Template == "" {
			continue
		}
		if asked == nil {
			asked = make(map[gated]bool)
		}
		asked[gated{w.Sender, w.Priority, w.Recipient, w.Template}] = true
	}
	return func(i work.Item) bool {
		return len(asked) > 0 && (asked[gated{i.Sender, i.Priority, i.Recipient, ""}] || asked[gated{i.Sender, i.Priority, "", i.Template}])
	}
}

// wants is what a lane asks of one priority.
func (l *lane) wants(class int, fill bool, now time.Time) []work.Want {
	fresh := l.room(class, fill)
	if fresh == 0 && !fill || !l.open(class) || l.crowded() {
		return nil
	}
	// What is known already comes again with what is due, and after a rewind with
	// what is fresh: it must not stand in the way of the rest.
	q := &l.classes[class]
	known := len(l.aside) - l.settling + l.working
	w := work.Want{Sender: l.sender.ID, Priority: priorities[class], After: q.cursor, Fresh: fresh}
	if room := l.prefetch() - len(q.timed); room > 0 {
		w.Timed = room + len(q.timed) + known
	}
	if q.rewind && fresh > 0 {
		q.rewind, w.After, w.Fresh = false, 0, fresh+len(q.fresh)+known
	}
	if len(l.gates) == 0 {
		return []work.Want{w}
	}
	w, behind := l.skip(w, class, now)
	return append(behind, w)
}

// settle lets those items go of which the work-list has seen the last event.
func (d *Dispatcher) settle(position event.Position) {
	kept := d.done[:0]
	for _, f := range d.done {
		if f.end.position <= position {
			delete(d.known, f.item.MessageID)
			continue
		}
		kept = append(kept, f)
	}
	clear(d.done[len(kept):])
	d.done = kept
}

// take queues what was fetched and is not known yet.
func (d *Dispatcher) take(asked asking, items []work.Item, position event.Position) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(position)
	now := d.clock()
	type class struct {
		sender   string
		priority message.Priority
	}
	fresh := make(map[class]int, len(asked.wants))
	revisited := asked.revisited()
	for _, item := range items {
		l := d.lanes[item.Sender]
		if l == nil || l.gone {
			continue
		}
		q := &l.classes[rank(item.Priority)]
		// What stood behind a gate may lie far behind all that was not fetched yet.
		if item.Fresh && !revisited(item) {
			q.cursor = max(q.cursor, item.QueuedPosition)
			fresh[class{item.Sender, item.Priority}]++
		}
		if _, known := d.known[item.MessageID]; known {
			continue
		}
		f := &flight{item: item, lane: l}
		d.known[item.MessageID] = f
		if item.DueAt.After(now) && !item.Fresh {
			l.setAside(f, item.DueAt, false)
			continue
		}
		l.queue(f)
	}
	for _, w := range asked.wants {
		l, class := d.lanes[w.Sender], class{w.Sender, w.Priority}
		switch {
		case l == nil:
		case w.Recipient != "" || w.Template != "":
			l.visited(w, rank(w.Priority), items)
		case l.signals == asked.signals[w.Sender] && w.Fresh > 0:
			l.classes[rank(w.Priority)].drained = fresh[class] < w.Fresh
		}
	}
}

// takeOverdue answers what is to be handed out without a slot: new items, and
// those at hand that have expired while they waited.
func (d *Dispatcher) takeOverdue(items []work.Item, position event.Position, now time.Time) []*flight {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(position)
	var out []*flight
	for _, item := range items {
		l := d.lanes[item.Sender]
		if l == nil || l.gone || !d.leased(time.Now()) || d.stopping || len(out) >= overdueLimit {
			continue
		}
		f, known := d.known[item.MessageID]
		if known {
			expired := !f.item.ExpiresAt.IsZero() && !now.Before(f.item.ExpiresAt)
			waits := f.state == flightQueued || f.state == flightAside && !f.forget && (f.byGate || f.item.State == work.Ready)
			if !expired || !waits {
				continue
			}
			f.release()
			f.state = flightDone // its queue passes it over
		}
		f = &flight{item: item, lane: l}
		switch {
		case item.State != work.Ready && item.DueAt.After(now):
			d.known[item.MessageID] = f
			l.setAside(f, item.DueAt, false)
		case item.State == work.Ready && item.ExpiresAt.After(now): // soon
		default:
			d.known[item.MessageID] = f
			d.begin(f)
			out = append(out, f)
		}
	}
	return out
}

// begin counts a flight among those with the handler.
func (d *Dispatcher) begin(f *flight) {
	f.release()
	f.state, f.end = flightWorking, ending{}
	d.working++
	if !f.call {
		return
	}
	f.recording, f.ahead = true, true
	d.recordings++
	class := rank(f.item.Priority)
	f.lane.working++
	f.lane.ahead[class]++
	if class == 0 {
		f.lane.urgent++
	}
}

// pick takes out what may be handed out now. next is when to look again, hungry
// whether a lane has room for more than it has at hand.
func (d *Dispatcher) pick() (out []*flight, next time.Duration, hungry bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next = pollEvery
	if d.stopping {
		return nil, next, false
	}
	now, at := time.Now(), d.clock()
	defer func() { d.lookAt = now.Add(next) }()
	if !d.leased(now) {
		return nil, next, false
	}
	for _, l := range d.lanes {
		for f := l.popAside(at); f != nil; f = l.popAside(at) {
			switch {
			case d.known[f.item.MessageID] != f:
			case f.forget:
				delete(d.known, f.item.MessageID)
				l.classes[rank(f.item.Priority)].rewind = true
				hungry = true
			case f.item.State == work.Ready:
				l.queue(f)
			default:
				d.begin(f)
				out = append(out, f)
			}
		}
		if len(l.aside) > 0 {
			next = min(next, l.aside[0].until.Sub(at))
		}
		if again := l.grant(now, at); !again.IsZero() {
			next = min(next, again.Sub(now))
		}
		wait, took := d.pickCalls(l, now, at, &out)
		next = min(next, wait)
		for _, f := range l.left { // their gate opens later
			delete(d.known, f.item.MessageID)
		}
		clear(l.left)
		l.left = l.left[:0]
		hungry = hungry || took && l.low()
	}
	return out, next, hungry
}

// pickCalls takes out what a lane is to record now to call it when its slot comes.
func (d *Dispatcher) pickCalls(l *lane, now, at time.Time, out *[]*flight) (wait time.Duration, took bool) {
	if until := d.throttledUntil(l); at.Before(until) {
		return until.Sub(at), false
	}
	lead := d.leads.ahead(now)
	for {
		if d.recordings >= d.leads.recording() {
			return pollEvery, took // the next that is recorded wakes the loop
		}
		probe, ok := l.breaker.allows(at)
		if !ok {
			return max(l.breaker.probeAt.Sub(at), slotLead), took
		}
		f, again := l.next(now, at, lead)
		if f == nil {
			if again.IsZero() {
				return pollEvery, took // what comes or ends wakes the loop
			}
			return again.Sub(now), took
		}
		f.call, f.picked, f.probe = true, now, probe
		l.breaker.probing = probe
		l.pairTake(f, at)
		if h := l.templates[f.item.Template]; h != nil && !h.over {
			h.probing, f.templateProbe = true, true
		}
		d.begin(f)
		*out = append(*out, f)
		took = true
	}
}

// finish takes a flight back from the handler.
func (d *Dispatcher) finish(f *flight, end ending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := f.lane
	d.working--
	if f.call {
		l.endWait(f)
		l.pairReturn(f)
		f.slot.release()
		d.recorded(f)
		l.working--
		if rank(f.item.Priority) == 0 {
			l.urgent--
		}
		if f.probe && l.breaker.probing {
			l.breaker.probing = false
		}
		if h := l.templates[f.item.Template]; h != nil && f.templateProbe {
			h.probing = false
		}
		f.call, f.slot, f.probe, f.templateProbe = false, nil, false, false
	}
	f.end = end
	if d.known[f.item.MessageID] != f {
		return
	}
	if l.gone && end.kind != endDone {
		delete(d.known, f.item.MessageID)
		return
	}
	switch end.kind {
	case endDone:
		d.nacks = 0
		f.state = flightDone
		d.done = append(d.done, f)
	case endNeedSlot:
		if q := &l.classes[rank(f.item.Priority)]; len(q.timed) >= maxQueued {
			l.setAside(f, d.clock().Add(time.Second), false)
			return
		}
		f.item.Fresh = false
		l.queue(f)
	case endLater:
		l.setAside(f, end.until, false)
	case endFailed:
		wait := min(firstNack<<min(d.nacks, 10), maxNack)
		d.nacks++
		l.setAside(f, d.clock().Add(wait), true)
	}
}

// rewind has every cursor start from the first fresh item again.
func (d *Dispatcher) rewind() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		for class := range l.classes {
			l.classes[class].rewind = true
			l.classes[class].drained = false
		}
	}
}

// dropLane forgets what is at hand of a lane that another process may own.
func (d *Dispatcher) dropLane(id string, l *lane) {
	l.gone = true
	l.dismiss()
	delete(d.lanes, id)
	var gone []uuid.UUID
	for message, f := range d.known {
		if f.lane == l && f.state != flightWorking {
			gone = append(gone, message)
		}
	}
	for _, message := range gone {
		delete(d.known, message)
	}
}
