package simulation

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

var errSeparated = errors.New("postgres cannot be reached")

// workList is the send work-list as the projector has it.
type workList struct {
	items    map[uuid.UUID]*work.Item
	position event.Position
	next     int       // in world.events
	behind   time.Time // since when something waits to be projected; zero: nothing does
}

// project keeps the work-list, the senders and the wamids up with the log, each
// batch at once and late.
func (w *world) project(ctx context.Context) {
	for {
		w.mu.Lock()
		appended := w.appended
		more := w.list.next < len(w.events)
		if more && w.list.behind.IsZero() {
			w.list.behind = time.Now()
		}
		w.mu.Unlock()
		if !more {
			select {
			case <-appended:
				continue
			case <-ctx.Done():
				return
			}
		}
		d := w.dice("project", 0)
		lag := d.between(500*time.Microsecond, 5*time.Millisecond)
		if w.faulty() {
			lag = d.between(500*time.Microsecond, w.plan.faults.lag)
			for _, stall := range w.plan.faults.stalls {
				if now := w.now(); stall.has(now) {
					lag = stall.to - now
				}
			}
		}
		if w.stepWith(ctx, lag) != nil {
			return
		}
		w.mu.Lock()
		part := len(w.events) - w.list.next
		if d.chance(0.3) { // a batch may end anywhere
			part = 1 + d.below(part)
		}
		for range part {
			w.list.apply(w, w.events[w.list.next])
			w.list.next++
		}
		w.list.behind = time.Time{}
		w.checkList()
		for _, p := range w.living {
			if p != nil {
				p.dispatcher.Wake()
			}
		}
		w.mu.Unlock()
	}
}

// caughtUp reports whether the work-list is at most a second behind the log. At the
// start of a process the answer takes a while: so the poll of its dispatcher, which
// asks first, never falls on the instant of one of its other timers.
func (p *process) caughtUp() bool {
	w := p.w
	if w.now() == p.begun {
		time.Sleep(w.dice("ready", uint64(p.number)).between(1, 10*time.Millisecond))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list.behind.IsZero() || time.Since(w.list.behind) < time.Second
}

// apply takes one event into the read models.
func (l *workList) apply(w *world, r event.Recorded) {
	l.position = r.Position
	if id, ok := strings.CutPrefix(r.Stream, event.SenderStreams); ok {
		s := w.senders[id].Apply(sender.Record{Event: r.Event, At: r.Meta.RecordedAt})
		if w.defect == DefectDeafToPauses {
			s.PausedPriorities = nil
		}
		w.senders[id] = s
		return
	}
	id, ok := event.MessageOf(r.Stream)
	if !ok {
		return
	}
	i := l.items[id]
	switch e := r.Event.(type) {
	case message.Queued:
		if w.defect == DefectLostItem && idOf(id)%5 == 0 {
			return
		}
		i = &work.Item{
			MessageID: id, Sender: e.Sender, Priority: e.Priority, State: work.Ready, Fresh: true, DueAt: r.Meta.RecordedAt,
			ExpiresAt: e.ExpiresAt, Recipient: e.Personal.To, Template: e.Template, OnAmbiguous: e.OnAmbiguous, QueuedPosition: r.Position,
		}
		if e.SendAt.After(i.DueAt) {
			i.DueAt, i.Fresh = e.SendAt, false
		}
		l.items[id] = i
	case message.Sent:
		w.wamids[e.Personal.WhatsAppID] = id
		i = nil
		delete(l.items, id)
	case message.DeadLettered, message.Cancelled, message.Expired, message.Discarded:
		i = nil
		delete(l.items, id)
	case message.Failed:
		if e.Final {
			i = nil
			delete(l.items, id)
		}
	case message.Confirmed, message.Delivered, message.Read:
		return // not of the work-list
	case message.Requeued:
		i = w.requeued(id, r)
		l.items[id] = i
	}
	if i == nil {
		return
	}
	switch e := r.Event.(type) {
	case message.SendAttempted:
		i.State, i.DueAt, i.Attempt, i.Call, i.Fresh = work.Calling, e.AnswerBy, e.Attempt, e.Call, false
	case message.Deferred:
		i.State, i.DueAt, i.Attempt, i.Fresh = work.Ready, e.DueAt, e.Attempt, false
	case message.RetryScheduled:
		i.State, i.DueAt, i.Attempt, i.Fresh = work.Ready, e.DueAt, e.Attempt, false
	case message.OutcomeUnknown:
		i.State, i.DueAt, i.Fresh = work.Unsettled, e.SettleBy, false
	}
	i.Revision, i.Position = r.Revision, r.Position
}

// requeued makes the item of a dead letter that is sent again.
func (w *world) requeued(id uuid.UUID, r event.Recorded) *work.Item {
	first := w.messageStream(id).events[0]
	q := first.Event.(message.Queued) //nolint:forcetypeassert // every message begins with it
	return &work.Item{
		MessageID: id, Sender: q.Sender, Priority: q.Priority, State: work.Ready, DueAt: r.Meta.RecordedAt, ExpiresAt: q.ExpiresAt,
		Recipient: q.Personal.To, Template: q.Template, OnAmbiguous: q.OnAmbiguous, QueuedPosition: first.Position,
	}
}

// postgres is the work-list and the read models as one process reaches them.
type postgres struct{ p *process }

func (p *process) separated() bool {
	return within(p.w.plan.faults.separated[p.place], p.w.now())
}

// ask lets a question to Postgres take its time, there or back.
func (p *process) ask(ctx context.Context, d *dice) error {
	if err := p.alive(ctx); err != nil {
		return err
	}
	if err := p.w.stepWith(ctx, p.transit(d)); err != nil {
		return err
	}
	if p.separated() {
		return errSeparated
	}
	return p.alive(ctx)
}

// Fetch answers what is ready and due.
func (l postgres) Fetch(ctx context.Context, now time.Time, wants []work.Want) ([]work.Item, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("fetch", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	var items []work.Item
	for _, want := range wants {
		var timed, fresh []work.Item
		for _, i := range w.list.items {
			if i.Sender != want.Sender || i.Priority != want.Priority || i.State != work.Ready {
				continue
			}
			switch {
			case i.Fresh && i.QueuedPosition > want.After:
				fresh = append(fresh, *i)
			case !i.Fresh && !i.DueAt.After(now):
				timed = append(timed, *i)
			}
		}
		slices.SortFunc(timed, byDue)
		slices.SortFunc(fresh, func(a, b work.Item) int { return cmp.Compare(a.QueuedPosition, b.QueuedPosition) })
		items = append(items, timed[:min(len(timed), want.Timed)]...)
		items = append(items, fresh[:min(len(fresh), want.Fresh)]...)
	}
	position := w.list.position
	w.mu.Unlock()
	return items, position, l.p.ask(ctx, d)
}

func byDue(a, b work.Item) int {
	return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.QueuedPosition, b.QueuedPosition))
}

// Overdue answers whose call or settling is due and what has expired.
func (l postgres) Overdue(ctx context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("overdue", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	var items []work.Item
	for _, i := range w.list.items {
		if len(senders) > 0 && !slices.Contains(senders, i.Sender) {
			continue
		}
		late := i.State != work.Ready && !i.DueAt.After(now)
		expired := i.State == work.Ready && !i.ExpiresAt.IsZero() && !i.ExpiresAt.After(now)
		if late || expired {
			items = append(items, *i)
		}
	}
	position := w.list.position
	w.mu.Unlock()
	slices.SortFunc(items, byDue)
	return items[:min(len(items), limit)], position, l.p.ask(ctx, d)
}

// Depths answers when the next item of each sender is due.
func (l postgres) Depths(ctx context.Context) (map[string]time.Time, error) {
	w, d := l.p.w, l.p.w.dice("depths", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, err
	}
	w.mu.Lock()
	due := make(map[string]time.Time)
	for _, i := range w.list.items {
		at := i.DueAt
		if i.State == work.Ready && !i.ExpiresAt.IsZero() && i.ExpiresAt.Before(at) {
			at = i.ExpiresAt
		}
		if have, ok := due[i.Sender]; !ok || at.Before(have) {
			due[i.Sender] = at
		}
	}
	w.mu.Unlock()
	return due, l.p.ask(ctx, d)
}

// Senders answers the senders of the read model. It takes no time: two parts of a
// dispatcher ask in turns, and so it does not matter which of them does.
func (l postgres) Senders(ctx context.Context) ([]sender.Sender, error) {
	p, w := l.p, l.p.w
	if err := p.alive(ctx); err != nil {
		return nil, err
	}
	if p.separated() {
		return nil, errSeparated
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]sender.Sender, 0, len(w.senders))
	for _, id := range slices.Sorted(maps.Keys(w.senders)) {
		all = append(all, w.senders[id])
	}
	return all, nil
}

// MessageOf finds a message by its wamid, as far as the read model knows it.
func (l postgres) MessageOf(ctx context.Context, wamid string) (uuid.UUID, bool, error) {
	w, d := l.p.w, l.p.w.dice("wamid", hash(wamid)^uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return uuid.Nil, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.wamids[wamid]
	return id, ok, nil
}
